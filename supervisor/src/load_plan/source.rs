//! Where a plan comes from, and how it was found.

use std::sync::Arc;

use plan::Plan;

use crate::plan_store::{AppliedBy, Inputs, Kept};

/// The source that a plan is made from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// All configuration files; secrets that are made or put back are stored. With the plan that
    /// runs.
    Files(Arc<Plan>),
    /// As `Files`, at the daemon's start: a plan that was rolled back is not taken again.
    FirstFiles,
    /// The same, and nothing is stored.
    FilesAsTheyAre(Arc<Plan>),
    /// The last plan that worked and is another than this one.
    Kept(Arc<Plan>),
    /// The plan that ran before one that has failed.
    Before(Box<Kept>),
}

/// A plan, as it was found.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The plan.
    pub(crate) plan: Box<Plan>,
    /// Secrets, by section and key, that were gone from the files.
    pub(crate) put_back: Vec<(String, String)>,
    /// The plan is one of those that were kept.
    pub(crate) kept: Option<api::KeptPlan>,
    /// Inputs in whose place this plan runs.
    pub(crate) rejected: Option<Inputs>,
    /// Who had the plan applied, if it was applied before.
    pub(crate) mark: Option<AppliedBy>,
}

/// Why there is no plan.
#[derive(Debug)]
pub(crate) enum NotLoaded {
    /// The files do not check.
    Problems(Vec<plan::Problem>),
    /// No plan is kept that could be gone back to.
    NothingKept,
}
