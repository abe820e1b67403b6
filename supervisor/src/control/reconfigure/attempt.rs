//! One attempt to apply a plan, or to report what the plan would change.

use std::collections::BTreeMap;

use api::Progress;

use crate::{
    control::{
        Context, Task,
        api::answers::Answer,
        operations::Operations,
        reconfigure::{
            attempt_step::AttemptStep, last_word::LastWord, load_result::LoadResult,
            request::ReconfigureRequest, stage::Stage,
        },
    },
    staging::Staged,
};

/// One attempt.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    pub(super) stage: Stage,
    pub(super) request: ReconfigureRequest,
    /// Whether this is the daemon's first plan.
    pub(super) first: bool,
    /// Whether an earlier control process put the files in place and died before the plan was
    /// applied.
    pub(super) in_place: bool,
    /// Whether the init has been told that an attempt is under way.
    pub(super) told: bool,
    /// Accounts and groups that the attempt made, in words.
    pub(super) created: Vec<String>,
    /// Services whose accounts could not be made at the daemon's start, and why.
    pub(super) without_account: BTreeMap<String, String>,
    pub(super) loaded: LoadResult,
}

impl Attempt {
    pub(super) const fn is_dry_run(&self) -> bool {
        self.request.is_dry_run()
    }

    /// Reports the progress of the attempt to the client.
    pub(super) fn say_step(&self, cx: &mut Context, operations: &mut Operations, detail: String) {
        let step = Progress::Step { detail };
        let answer = match (&self.request.operation, &self.request.preview) {
            (Some(id), _) => operations.progress(id, step),
            (None, Some(preview)) => Some(Answer::Progress(preview.clone(), step)),
            (None, None) => None,
        };
        cx.answer(answer);
    }

    /// Removes candidates and new directories before the last word: nothing is left of an attempt
    /// once its client knows the outcome.
    pub(super) fn discard(
        &mut self,
        cx: &mut Context,
        staged: Staged,
        last: LastWord,
    ) -> AttemptStep {
        self.stage = Stage::Discarding(last);
        let (staged, made) = staged.leftovers();
        cx.queue_task(Task::Discard { staged, made });
        AttemptStep::Wait
    }
}
