//! The result of a step of an attempt, for `routing.rs` to carry out.

use crate::{
    control::reconfigure::{last_word::LastWord, stage::StagedPlan},
    plan_store::Swapped,
    staging::Staged,
};

/// The action that an attempt needs before it goes on.
#[must_use]
#[derive(Debug)]
pub(in crate::control) enum AttemptStep {
    /// Nothing: jobs or runs are under way, whose results go on with the attempt.
    Wait,
    /// All candidates are right: the plan is to be weighed (`pipeline/addresses.rs`).
    Weigh(StagedPlan),
    /// The plan is to run from here on. None: it is the one that runs already.
    Apply(StagedPlan, Option<Swapped>),
    /// A control process that took over knows all that the plan which runs needs.
    Resolved(Box<Staged>),
    /// This is to be said last (`finish.rs`): nothing has changed.
    Say(LastWord),
    /// The attempt is over.
    Ended,
    /// A control process has taken over: requests that came meanwhile may begin.
    TakenOver,
}
