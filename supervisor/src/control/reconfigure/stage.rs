//! The progress of an attempt, with all data that its next step needs.
//!
//! The result of a job or a run comes back to the step by the [`Stage`] that the attempt is in: a
//! result that belongs to no stage is dropped.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use api::FileCheck;
use engine::{RunId, ServiceId};
use plan::{Plan, PlanImpact};

use crate::{
    accounts::MakeCommand,
    control::reconfigure::last_word::LastWord,
    staging::{Staged, StagedFile},
};

/// A plan that has been checked, and what was written for it.
#[derive(Debug)]
pub(in crate::control) struct StagedPlan {
    pub(super) plan: Arc<Plan>,
    pub(super) staged: Box<Staged>,
}

/// How far an attempt is.
#[derive(Debug, Default)]
pub(super) enum Stage {
    #[default]
    Idle,
    /// Files are being read.
    Loading,
    /// Missing accounts are being made, one command after the other.
    Accounts {
        plan: Arc<Plan>,
        left: VecDeque<MakeCommand>,
        run: Option<RunId>,
        /// The account that the run makes.
        making: Option<MakeCommand>,
    },
    /// Directories and candidates are being written.
    Staging { plan: Arc<Plan> },
    /// Candidates are being checked, one after the other.
    Checking {
        staged: StagedPlan,
        left: VecDeque<StagedFile>,
        /// The run, and which file it checks.
        run: Option<(RunId, FileCheck)>,
    },
    /// A job is looking for the holders of new addresses.
    Addresses {
        staged: StagedPlan,
        /// The impact on each service.
        impacts: BTreeMap<ServiceId, PlanImpact>,
    },
    /// Candidates are being put in place.
    Swapping(StagedPlan),
    /// Candidates are being removed; then the client hears this last word.
    Discarding(LastWord),
    /// Ids and programs of the plan that runs are being looked up, after a takeover.
    Resolving,
    /// Files of the plan that runs are being put back, after a takeover.
    PuttingBack,
    /// What an earlier control process left of a plan that it did not apply is being removed; then
    /// this plan goes on.
    Clearing(Option<Arc<Plan>>),
}

impl Stage {
    pub(super) const fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    /// A control process takes over: the plan runs, and there is no attempt.
    pub(super) const fn is_taking_over(&self) -> bool {
        matches!(
            self,
            Self::Resolving | Self::PuttingBack | Self::Clearing(None)
        )
    }

    /// The program that a run of this stage executes, for people.
    pub(super) fn program(&self, number: RunId) -> String {
        match self {
            Self::Accounts {
                run: Some(run),
                making: Some(making),
                ..
            } if *run == number => making.argv[0].clone(),
            _ => "the validator of a file".to_owned(),
        }
    }

    /// The service whose candidate this run checks, by the plan that is being checked.
    pub(super) fn checked_service(&self, number: RunId) -> Option<&plan::Service> {
        match self {
            Self::Checking {
                staged,
                run: Some((run, check)),
                ..
            } if *run == number => {
                let services = &staged.plan.services;
                services.get(&check.service).map(AsRef::as_ref)
            }
            _ => None,
        }
    }
}
