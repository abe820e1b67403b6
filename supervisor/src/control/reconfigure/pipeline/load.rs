//! The first step: the files become a plan, or all problems.

use std::{collections::VecDeque, sync::Arc};

use api::{ErrorKind, ErrorReply, HostAction, HostChange};
use keeper::message::Request;
use plan::Plan;

use crate::{
    control::{
        Context, Task,
        reconfigure::{
            attempt_step::AttemptStep,
            last_word::{LastWord, refused},
            load_result::{LoadResult, PROBLEMS_TOLD_MAX},
            stage::Stage,
            state::{REFUSED, Reconfigure},
        },
        state_warnings::StateWarnings,
    },
    load_plan::{Loaded, NotLoaded},
    plan_store,
};

impl Reconfigure {
    pub(in crate::control) fn on_loaded(
        &mut self,
        cx: &mut Context,
        state_warnings: &mut StateWarnings,
        result: Result<Loaded, NotLoaded>,
    ) -> AttemptStep {
        if !matches!(self.attempt.stage, Stage::Loading) {
            return AttemptStep::Wait;
        }
        let mut loaded = match result {
            Ok(loaded) => loaded,
            Err(NotLoaded::Problems(problems)) => return self.on_problems(cx, &problems),
            Err(NotLoaded::NothingKept) => {
                return AttemptStep::Say(LastWord::Refused(ErrorReply {
                    kind: ErrorKind::Refused,
                    message: "there is no configuration to go back to: none that worked differs from the one that runs".to_owned(),
                    hint: Some("ctl diff-config compares the one that runs with the files".to_owned()),
                }));
            }
        };
        let host = secrets(&loaded);
        if !self.attempt.is_dry_run() {
            if loaded.kept.is_none() && loaded.rejected.is_none() {
                self.set_refused(cx, None);
            }
            state_warnings.note_put_back(cx, &loaded.put_back);
        }
        if let Some(by) = loaded.mark {
            self.attempt.request.by = by;
        }
        for remark in &loaded.plan.remarks {
            tracing::warn!("{remark}");
        }
        self.attempt.loaded = LoadResult {
            kept: loaded.kept,
            rolled_back: loaded.rejected.is_some(),
            rejected: loaded.rejected,
            // Plans are compared without them.
            remarks: std::mem::take(&mut loaded.plan.remarks),
            host,
            ..LoadResult::default()
        };
        self.with_plan(cx, Arc::from(loaded.plan))
    }

    /// Goes on with a plan that checks: has missing accounts looked for.
    pub(in crate::control::reconfigure) fn with_plan(
        &mut self,
        cx: &mut Context,
        plan: Arc<Plan>,
    ) -> AttemptStep {
        cx.queue_task(Task::MissingAccounts { plan: plan.clone() });
        self.attempt.stage = Stage::Accounts {
            plan,
            left: VecDeque::new(),
            run: None,
            making: None,
        };
        AttemptStep::Wait
    }

    fn on_problems(&mut self, cx: &mut Context, problems: &[plan::Problem]) -> AttemptStep {
        if !self.attempt.is_dry_run() {
            for problem in problems {
                tracing::error!("{problem}");
            }
        }
        if self.attempt.first {
            return self.boot_with_last_good(cx);
        }
        let said = problems.iter().take(PROBLEMS_TOLD_MAX);
        let said: Vec<_> = said.map(ToString::to_string).collect();
        let message = format!("the configuration does not check:\n{}", said.join("\n"));
        AttemptStep::Say(refused(
            message,
            "nothing has changed; mend the files and try again",
        ))
    }

    fn boot_with_last_good(&mut self, cx: &mut Context) -> AttemptStep {
        let Some(applied) = plan_store::read(&cx.plan.paths.state_dir) else {
            tracing::error!("there is no configuration that has ever worked; giving up");
            cx.tell(Request::Quit {
                code: crate::exit::CONFIGURATION,
            });
            return AttemptStep::Wait;
        };
        tracing::error!("the last good configuration runs instead");
        self.set_refused(cx, Some(REFUSED.to_owned()));
        self.attempt.request.by = applied.mark;
        self.attempt.loaded.rolled_back = applied.rejected.is_some();
        self.attempt.loaded.rejected = applied.rejected;
        self.with_plan(cx, Arc::new(applied.plan))
    }
}

/// Secrets that are put back or generated, for a dry run to tell.
fn secrets(loaded: &Loaded) -> Vec<HostChange> {
    let change = |action, service: &str, key: &str| HostChange {
        action,
        what: format!("secret {service}.{key}"),
        services: vec![service.to_owned()],
    };
    let back = loaded.put_back.iter();
    let back = back.map(|(service, key)| change(HostAction::PutBack, service, key));
    let missing = loaded.plan.missing_secrets.iter();
    back.chain(missing.map(|it| change(HostAction::Generate, &it.service, &it.key)))
        .collect()
}
