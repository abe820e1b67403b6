//! The third step: directories are made, and rendered files are written beside their places.

use std::sync::Arc;

use plan::Plan;

use crate::{
    control::{
        Context, Task,
        operations::Operations,
        reconfigure::{
            attempt::Attempt,
            attempt_step::AttemptStep,
            last_word::refused,
            stage::{Stage, StagedPlan},
            state::Reconfigure,
        },
    },
    staging::{Broken, Staged, StagedFile},
};

impl Reconfigure {
    /// Has directories made and candidates written. The accounts are there, or cannot be had.
    pub(super) fn stage(&mut self, cx: &mut Context, plan: Arc<Plan>) -> AttemptStep {
        if self.clear_left(cx, Some(&plan)) {
            return AttemptStep::Wait;
        }
        let rehearsal = self.attempt.is_dry_run();
        self.probation.note_candidates(cx, Some(&plan));
        self.attempt.stage = Stage::Staging { plan: plan.clone() };
        cx.queue_task(Task::Stage { plan, rehearsal });
        AttemptStep::Wait
    }

    /// Has candidates removed that an earlier control process left, if there are any; then the
    /// attempt goes on with the plan `then`.
    fn clear_left(&mut self, cx: &mut Context, then: Option<&Arc<Plan>>) -> bool {
        let staged = self.probation.left_candidates();
        let any = !staged.is_empty();
        if any {
            self.attempt.stage = Stage::Clearing(then.cloned());
            let made = Vec::new();
            cx.queue_task(Task::Discard { staged, made });
        }
        any
    }

    pub(in crate::control) fn on_staged(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        mut staged: Staged,
    ) -> AttemptStep {
        let without_account = std::mem::take(&mut self.attempt.without_account);
        let without_account = without_account.into_iter();
        let without_account = without_account.map(|(name, why)| (name, Broken { why, own: None }));
        staged.broken.extend(without_account);
        match std::mem::take(&mut self.attempt.stage) {
            Stage::Resolving => AttemptStep::Resolved(Box::new(staged)),
            Stage::Staging { plan } => self.begin_checks(cx, operations, plan, staged),
            other => {
                self.attempt.stage = other;
                AttemptStep::Wait
            }
        }
    }

    fn begin_checks(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        plan: Arc<Plan>,
        mut staged: Staged,
    ) -> AttemptStep {
        // The first plan has nothing running that a bad file could hurt: a service's own validator
        // sees the file before the start and fails that service alone.
        let checked = !self.attempt.first;
        if checked && let Some((service, why)) = staged.first_refused() {
            let last = refused(format!("{service}: {why}"), "nothing has changed");
            return self.attempt.discard(cx, staged, last);
        }
        let left = staged.files.iter();
        let left = left.filter(|file| checked && !file.validate.is_empty());
        let left = left.cloned().collect();
        let loaded = &mut self.attempt.loaded;
        loaded.host.append(&mut staged.host);
        loaded.checks.append(&mut staged.left_out);
        if checked {
            loaded.warn_of_spoiled(&staged.broken);
        }
        let staged = Box::new(staged);
        self.attempt.stage = Stage::Checking {
            staged: StagedPlan { plan, staged },
            left,
            run: None,
        };
        self.next_check(cx, operations)
    }

    /// Ids and programs of the plan that runs are known, after a takeover. `files`: those that are
    /// not as the plan has them, of a swap that was cut short, or somebody's own.
    pub(in crate::control) fn on_resolved(
        &mut self,
        cx: &mut Context,
        files: Vec<StagedFile>,
    ) -> AttemptStep {
        if files.is_empty() {
            return self.end_takeover(cx);
        }
        self.attempt.stage = Stage::PuttingBack;
        cx.queue_task(if self.probation.is_swapping() {
            Task::PutBack { staged: files }
        } else {
            Task::Discard {
                staged: files,
                made: Vec::new(),
            }
        });
        AttemptStep::Wait
    }

    pub(in crate::control) fn on_put_back(&mut self, cx: &mut Context) -> AttemptStep {
        if matches!(self.attempt.stage, Stage::PuttingBack) {
            self.end_takeover(cx)
        } else {
            AttemptStep::Wait
        }
    }

    /// Files of the plan that runs are in place; candidates of another may still be there.
    fn end_takeover(&mut self, cx: &mut Context) -> AttemptStep {
        if self.clear_left(cx, None) {
            return AttemptStep::Wait;
        }
        self.probation.note_swapping(cx, false);
        self.attempt = Attempt::default();
        AttemptStep::TakenOver
    }

    pub(in crate::control) fn on_discarded(&mut self, cx: &mut Context) -> AttemptStep {
        match std::mem::take(&mut self.attempt.stage) {
            Stage::Discarding(last) => AttemptStep::Say(last),
            Stage::PuttingBack => self.end_takeover(cx),
            Stage::Clearing(plan) => {
                self.probation.note_candidates(cx, None);
                match plan {
                    Some(plan) => self.stage(cx, plan),
                    None => self.end_takeover(cx),
                }
            }
            other => {
                self.attempt.stage = other;
                AttemptStep::Wait
            }
        }
    }
}
