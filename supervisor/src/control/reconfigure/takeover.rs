//! The takeover of the previous control process's attempt.
//!
//! The keeper remembers the current plan. A plan that was put in place and not applied is applied
//! now, whoever wanted it. Otherwise ids and programs are looked up for the current plan, and
//! candidates of another plan are removed.

use std::sync::Arc;

use keeper::message::Hello;
use plan::Plan;

use crate::{
    control::{
        Context, Task,
        operations::{Operations, Way},
        reconfigure::{
            attempt_step::AttemptStep,
            hangup::Hangup,
            load_result::LoadResult,
            probation::Verdicts,
            request::{PlanSource, ReconfigureRequest},
            stage::Stage,
            state::Reconfigure,
        },
        record_keys::Key,
    },
    plan_store::{AppliedBy, Inputs},
};

impl Reconfigure {
    /// Takes back whether a SIGHUP is remembered.
    pub(in crate::control) fn restore_hangup(&mut self, hello: &Hello) {
        self.hangup = Hangup::restore(hello);
    }

    /// Goes on with what an earlier control process had in hand. `unfinished`: a plan that is in
    /// place and not applied.
    pub(in crate::control) fn go_on(
        &mut self,
        cx: &mut Context,
        unfinished: Option<Arc<Plan>>,
    ) -> AttemptStep {
        match unfinished {
            Some(plan) => {
                self.attempt.in_place = true;
                self.with_plan(cx, plan)
            }
            None => self.resolve(cx),
        }
    }

    /// Acts once more on a SIGHUP that the keeper remembers.
    pub(in crate::control) const fn go_on_with_hangup(&mut self) {
        self.hangup.go_on();
    }

    /// Looks up ids and programs; the plan itself runs already.
    pub(super) fn resolve(&mut self, cx: &mut Context) -> AttemptStep {
        self.attempt.stage = Stage::Resolving;
        cx.queue_task(Task::Stage {
            plan: Arc::clone(&cx.plan),
            rehearsal: false,
        });
        AttemptStep::Wait
    }

    /// What an earlier control process knew of the plan that runs. `stored` is of the plan on disk,
    /// if that process had not applied it to the end.
    pub(in crate::control) fn restore_probation(
        &mut self,
        cx: &mut Context,
        operations: &Operations,
        verdicts: Verdicts<'_>,
        hello: &Hello,
        stored: Option<(AppliedBy, Option<Inputs>)>,
    ) {
        self.probation
            .restore(cx, verdicts, Key::Probation.of(&hello.records));
        if let Some(why) = Key::Refused.of(&hello.records).filter(|it| !it.is_empty()) {
            self.refused = Some(why.clone());
        }
        if let Some((by, rejected)) = stored {
            self.attempt.request = ReconfigureRequest {
                by,
                operation: operations.pending_reconfigure(),
                source: match &rejected {
                    Some(_) => PlanSource::Kept,
                    None => PlanSource::Files,
                },
                unattended: self.hangup.is_remembered(),
                ..ReconfigureRequest::default()
            };
            self.attempt.loaded = LoadResult {
                rolled_back: rejected.is_some(),
                rejected,
                ..LoadResult::default()
            };
        }
    }

    /// What an earlier control process knew of the way back. `unfinished`: that process had put a
    /// plan in place and not applied it to the end.
    pub(in crate::control) fn restore_way_back(
        &mut self,
        operations: &mut Operations,
        record: Option<&String>,
        unfinished: bool,
    ) {
        let record = record.filter(|it| !it.is_empty());
        match record.map(|it| serde_json::from_str(it)) {
            Some(Ok(way_back)) => self.way_back = Some(way_back),
            Some(Err(error)) => {
                let why = ::text::json_place(&error);
                tracing::error!("lost which configuration is to be gone back to: {why}");
            }
            None => {}
        }
        let Some(way_back) = &self.way_back else {
            return;
        };
        let id = way_back.operation.clone();
        let way = operations.way_of(&id);
        // A plan that is another operation's own is no way back.
        let unfinished = unfinished && self.attempt.request.operation.is_none();
        if unfinished && matches!(way, Way::Begun | Way::Applied) {
            self.attempt.request.source = PlanSource::Before;
            self.attempt.request.operation = Some(id).filter(|_| way == Way::Begun);
            self.attempt.loaded.kept = Some(way_back.before.told());
        } else if way == Way::Begun {
            operations.begin_way_back_again(&id);
        }
    }
}
