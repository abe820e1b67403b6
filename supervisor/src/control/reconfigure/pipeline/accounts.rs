//! The second step: missing accounts are made, once it is certain that nothing stands against any
//! of them.

use api::{HostAction, HostChange};
use engine::RunId;
use keeper::message::Spawn;

use crate::{
    accounts::{Accounts, MakeCommand},
    control::{
        Context,
        operations::Operations,
        reconfigure::{
            attempt_step::AttemptStep,
            last_word::refused,
            pipeline::step_run::{STEP_TIMEOUT_MS, spawn_step},
            stage::Stage,
            state::Reconfigure,
        },
    },
    programs::PATH,
};

impl Reconfigure {
    /// A clash refuses the plan; at the daemon's start it fails that service alone, since staging
    /// finds the clash again.
    pub(in crate::control) fn on_missing_accounts(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        accounts: Accounts,
    ) -> AttemptStep {
        let Stage::Accounts { left, .. } = &mut self.attempt.stage else {
            return AttemptStep::Wait;
        };
        if !self.attempt.first && !accounts.clashes.is_empty() {
            let clashes = accounts.clashes.iter();
            let said: Vec<_> = clashes
                .map(|(name, why)| format!("{name}: {why}"))
                .collect();
            return AttemptStep::Say(refused(said.join("\n"), "nothing has changed"));
        }
        if self.attempt.request.is_dry_run() {
            let made = accounts.commands.iter().map(created);
            self.attempt.loaded.host.extend(made);
        } else {
            *left = accounts.commands.into();
        }
        self.next_account(cx, operations)
    }

    fn next_account(&mut self, cx: &mut Context, operations: &mut Operations) -> AttemptStep {
        let Stage::Accounts {
            plan,
            left,
            run,
            making,
        } = &mut self.attempt.stage
        else {
            return AttemptStep::Wait;
        };
        let Some(command) = left.pop_front() else {
            let plan = plan.clone();
            return self.stage(cx, plan);
        };
        let number = cx.engine.allocate_run();
        *run = Some(number);
        let service = command.services.first().cloned().unwrap_or_default();
        let argv = command.argv.clone();
        tracing::info!(service, "creates {}: {}", command.what, argv.join(" "));
        let step = format!("creates {}", command.what);
        *making = Some(command);
        self.attempt.say_step(cx, operations, step);
        start_command(cx, number, &service, argv);
        AttemptStep::Wait
    }

    /// The command that makes an account has ended.
    pub(super) fn account_made(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        result: Result<(), &str>,
    ) -> AttemptStep {
        let Stage::Accounts { making, .. } = &mut self.attempt.stage else {
            return AttemptStep::Wait;
        };
        match (making.take(), result) {
            (Some(failed), Err(why)) => return self.on_no_account(cx, operations, &failed, why),
            (made, _) => self.attempt.created.extend(made.map(|made| made.what)),
        }
        self.next_account(cx, operations)
    }

    /// At the daemon's start the services that need the account fail with that reason and the rest
    /// goes on; later the plan is refused.
    fn on_no_account(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        failed: &MakeCommand,
        detail: &str,
    ) -> AttemptStep {
        let why = format!("cannot create {}: {detail}", failed.what);
        if !self.attempt.first {
            return AttemptStep::Say(refused(why, "nothing that runs has changed"));
        }
        tracing::error!("{why}");
        for service in &failed.services {
            let known = &mut self.attempt.without_account;
            known.entry(service.clone()).or_insert_with(|| why.clone());
        }
        self.next_account(cx, operations)
    }
}

/// Runs one command of a reconfiguration, as the supervisor itself.
fn start_command(cx: &mut Context, number: RunId, service: &str, argv: Vec<String>) {
    let env = [("PATH".to_owned(), PATH.to_owned())].into();
    let spawn = Spawn::helper(number.0, service, argv, env, STEP_TIMEOUT_MS);
    spawn_step(cx, number, spawn);
}

fn created(command: &MakeCommand) -> HostChange {
    HostChange {
        action: HostAction::Create,
        what: command.what.clone(),
        services: command.services.clone(),
    }
}
