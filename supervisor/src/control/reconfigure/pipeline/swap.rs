//! The last step of the pipeline: candidates are put in place, and the plan is stored; or neither.

use std::sync::Arc;

use crate::{
    control::{
        Context, Task,
        input::Swap,
        reconfigure::{
            attempt_step::AttemptStep,
            impact::{known::Known, preview},
            last_word::{LastWord, refused},
            probation::not_up,
            stage::{Stage, StagedPlan},
            state::Reconfigure,
        },
    },
    plan_store::Swapped,
};

impl Reconfigure {
    /// Nothing speaks against the plan: a dry run ends here, a real attempt goes on.
    pub(super) fn ready_to_swap(
        &mut self,
        cx: &mut Context,
        known: &Known<'_>,
        staged: StagedPlan,
    ) -> AttemptStep {
        if self.attempt.is_dry_run() {
            let last = match preview(cx, known, &mut self.attempt, &staged) {
                Ok(preview) => LastWord::Preview(Box::new(preview)),
                Err(error) => LastWord::Refused(error),
            };
            return self.attempt.discard(cx, *staged.staged, last);
        }
        if self.runs_already(cx, &staged) {
            return AttemptStep::Apply(staged, None);
        }
        let before = (!self.attempt.first).then(|| {
            let by = self.probation.applied_by().clone();
            (Arc::clone(&cx.plan), by, not_up(cx))
        });
        self.probation.note_swapping(cx, true);
        cx.queue_task(Task::Swap(Box::new(Swap {
            plan: Arc::clone(&staged.plan),
            staged: staged.staged.files.clone(),
            modes: staged.staged.modes.clone(),
            mark: self.attempt.request.by.clone(),
            rejected: self.attempt.loaded.rejected.take(),
            before,
        })));
        self.attempt.stage = Stage::Swapping(staged);
        AttemptStep::Wait
    }

    /// The plan is the one that runs, and nothing has to be written for it.
    fn runs_already(&self, cx: &Context, StagedPlan { plan, staged }: &StagedPlan) -> bool {
        let disk = staged.files.is_empty() && staged.modes.is_empty();
        let same = !self.attempt.first && disk && **plan == *cx.plan;
        same && self.probation.is_stored_as_files_have_it()
    }

    pub(in crate::control) fn on_swapped(
        &mut self,
        cx: &mut Context,
        result: Result<Swapped, String>,
    ) -> AttemptStep {
        let mut staged = match std::mem::take(&mut self.attempt.stage) {
            Stage::Swapping(staged) => staged,
            other => {
                self.attempt.stage = other;
                return AttemptStep::Wait;
            }
        };
        let swapped = match result {
            Ok(mut swapped) => {
                let mut spoiled = std::mem::take(&mut swapped.spoiled);
                self.attempt.loaded.warn_of_spoiled(&spoiled);
                staged.staged.broken.append(&mut spoiled);
                swapped
            }
            Err(error) if !self.attempt.first => {
                self.probation.note_swapping(cx, false);
                let message = format!("cannot put the new configuration in place: {error}");
                return AttemptStep::Say(refused(message, "nothing has changed"));
            }
            Err(error) => {
                tracing::error!("cannot store the plan or its files: {error}");
                Swapped::default()
            }
        };
        AttemptStep::Apply(staged, Some(swapped))
    }
}
