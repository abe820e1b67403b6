//! The steps of a reconfiguration that are commands: accounts to be made, candidates to be checked.
//! One after the other, each a run of the keeper's.

use std::collections::BTreeSet;

use api::{ErrorKind, FileCheck};
use engine::RunId;
use keeper::message::{Request, Spawn};

use plan::Plan;

use crate::{
    accounts::MakeCommand,
    control::{Control, Purpose, Run, reconfigure::Stage, runs::spawn::helper_spawn},
    programs::PATH,
    staging::{OwnerChange, Staged, StagedFile},
};

/// An account tool or validator may take this long.
const STEP_TIMEOUT_MS: u64 = 60_000;

impl Control {
    pub(super) fn next_account(&mut self) {
        let Stage::Accounts {
            plan,
            left,
            run,
            making,
        } = &mut self.reconfigure.stage
        else {
            return;
        };
        let Some(command) = left.pop_front() else {
            let plan = plan.clone();
            self.stage(plan);
            return;
        };
        let number = self.cx.engine.allocate_run();
        *run = Some(number);
        let service = command.services.first().cloned().unwrap_or_default();
        let argv = command.argv.clone();
        tracing::info!(service, "creates {}: {}", command.what, argv.join(" "));
        let step = format!("creates {}", command.what);
        *making = Some(command);
        self.say_step(step);
        self.start_step(number, &service, argv);
    }

    /// Runs one command of a reconfiguration, as the supervisor itself.
    fn start_step(&mut self, number: RunId, service: &str, argv: Vec<String>) {
        let path = ("PATH".to_owned(), PATH.to_owned());
        let env = [path].into();
        let spawn = Spawn::helper(number.0, service, argv, env, STEP_TIMEOUT_MS);
        self.spawn_step(number, spawn);
    }

    fn spawn_step(&mut self, number: RunId, spawn: Spawn) {
        let run = Run::of_nobody(Purpose::Reconfigure);
        self.cx.runs.insert(number, run);
        self.cx.tell(Request::Spawn(Box::new(spawn)));
    }

    pub(in crate::control) fn reconfigure_step_ended(
        &mut self,
        number: RunId,
        ok: bool,
        detail: &str,
    ) {
        match &mut self.reconfigure.stage {
            Stage::Accounts { run, making, .. } if *run == Some(number) => match making.take() {
                Some(failed) if !ok => self.on_no_account(&failed, detail),
                made => {
                    let created = made.map(|made| made.what);
                    self.reconfigure.created.extend(created);
                    self.next_account();
                }
            },
            Stage::Checking { run, .. } if run.as_ref().is_some_and(|it| it.0 == number) => {
                if ok {
                    if let Some((_, check)) = run.take() {
                        self.reconfigure.loaded.checks.push(check);
                    }
                    self.next_check();
                } else {
                    self.on_bad_candidate(detail);
                }
            }
            _ => {}
        }
    }

    /// At the daemon's start what needs the account fails with that reason and the rest goes on;
    /// later nothing is changed.
    fn on_no_account(&mut self, failed: &MakeCommand, detail: &str) {
        let why = format!("cannot create {}: {detail}", failed.what);
        if !self.reconfigure.first {
            let hint = Some("nothing that runs has changed");
            self.give_up(ErrorKind::Configuration, why, hint);
            return;
        }
        tracing::error!("{why}");
        for service in &failed.services {
            let known = &mut self.reconfigure.without_account;
            known.entry(service.clone()).or_insert_with(|| why.clone());
        }
        self.next_account();
    }

    pub(super) fn next_check(&mut self) {
        let Stage::Checking {
            plan,
            staged,
            left,
            run,
        } = &mut self.reconfigure.stage
        else {
            return;
        };
        if let Some(file) = left.pop_front() {
            let number = self.cx.engine.allocate_run();
            let check = FileCheck {
                service: file.service.clone(),
                path: file.path.display().to_string(),
                passed: true,
                detail: String::new(),
            };
            let step = format!("checks {}", check.path);
            let spawn = check_spawn(plan, staged, number, file);
            *run = Some((number, check));
            match spawn {
                Ok(spawn) => {
                    self.say_step(step);
                    self.spawn_step(number, spawn);
                }
                Err(why) => self.on_bad_candidate(&why),
            }
            return;
        }
        let Stage::Checking { plan, staged, .. } = std::mem::take(&mut self.reconfigure.stage)
        else {
            return;
        };
        self.checked(plan, staged);
    }
}

/// The check of a candidate, as the service itself would be run by the plan that is being checked:
/// what its account may not read, it is not to find in its configuration either.
fn check_spawn(
    plan: &Plan,
    staged: &Staged,
    number: RunId,
    file: StagedFile,
) -> Result<Spawn, String> {
    let gone = || format!("{} has left the plan", file.service);
    let service = plan.services.get(&file.service).ok_or_else(gone)?;
    match staged.resolved.get(&file.service) {
        Some(Ok(resolved)) => {
            let spawn = helper_spawn(service, resolved, number, file.validate, STEP_TIMEOUT_MS)?;
            Ok(let_in(spawn, staged.owners.get(&file.service)))
        }
        Some(Err(why)) => Err(why.reason.clone()),
        None => Err(gone()),
    }
}

/// What it reads lies in directories that change hands only when the service starts: until then their
/// groups let it in.
fn let_in(mut spawn: Spawn, changes: Option<&Vec<OwnerChange>>) -> Spawn {
    if let Some(ids) = &mut spawn.ids {
        let groups = changes.into_iter().flatten().map(|it| it.from.gid);
        let groups = groups.filter(|gid| *gid != 0 && *gid != ids.gid);
        let groups: BTreeSet<u32> = groups.chain(ids.groups.iter().copied()).collect();
        ids.groups = groups.into_iter().collect();
    }
    spawn
}
