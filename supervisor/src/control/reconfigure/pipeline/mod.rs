//! The steps from files to candidates in their places: jobs and runs, one after the other.
//!
//! Order: load, accounts, candidates, checks, addresses, swap. Until the swap nothing that runs is
//! changed, so each step may refuse; accounts alone stay once they are made, since others may have
//! seen them. Every step ends with a [`Next`], and the result of its job or run comes back to the
//! step by the [`Stage`] that the attempt is in: a result that belongs to no stage is dropped.

mod accounts;
mod addresses;
mod candidates;
mod checks;
mod load;
mod swap;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use api::{ErrorKind, ErrorReply, FileCheck};
use engine::{RunId, ServiceId};
use keeper::message::{Request, Spawn};
use plan::{Plan, PlanImpact};

pub(super) use load::PROBLEMS_TOLD_MAX;
pub(super) use swap::not_up;

use crate::{
    accounts::MakeCommand,
    control::{
        Context, Job, Purpose, Run,
        operations::Operations,
        reconfigure::{Attempt, LastWord, Next, StagedPlan},
    },
    staging::{Staged, StagedFile},
};

use super::Reconfigure;

/// An account tool or validator may take this long.
const STEP_TIMEOUT_MS: u64 = 60_000;

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
    /// Whoever has the addresses that are new is being looked for.
    Addresses {
        staged: StagedPlan,
        /// What becomes of each service.
        impacts: BTreeMap<ServiceId, PlanImpact>,
    },
    /// Candidates are being put in place.
    Swapping(StagedPlan),
    /// Candidates are being removed; then the client hears this.
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

impl Attempt {
    const fn is_dry_run(&self) -> bool {
        self.request.is_dry_run()
    }

    /// Says to the client how far the attempt is.
    fn say_step(&self, cx: &mut Context, operations: &mut Operations, detail: String) {
        let step = api::Progress::Step { detail };
        let answer = match (&self.request.operation, &self.request.preview) {
            (Some(id), _) => operations.progress(id, step),
            (None, Some(preview)) => Some(crate::control::api::answers::Answer::Progress(
                preview.clone(),
                step,
            )),
            (None, None) => None,
        };
        cx.answer(answer);
    }
}

impl Reconfigure {
    /// A run of a step has ended.
    pub(in crate::control) fn step_ended(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        number: RunId,
        result: Result<(), &str>,
    ) -> Next {
        match &self.attempt.stage {
            Stage::Accounts { run: Some(run), .. } if *run == number => {
                self.account_made(cx, operations, result)
            }
            Stage::Checking {
                run: Some((run, _)),
                ..
            } if *run == number => self.candidate_checked(cx, operations, result),
            _ => Next::Wait,
        }
    }
}

fn spawn_step(cx: &mut Context, number: RunId, spawn: Spawn) {
    let run = Run::of_nobody(Purpose::Reconfigure);
    cx.add_run(number, run);
    cx.tell(Request::Spawn(Box::new(spawn)));
}

/// Refuses the files: nothing has changed.
fn refused(message: String, hint: &str) -> LastWord {
    LastWord::Refused(ErrorReply {
        kind: ErrorKind::Configuration,
        message,
        hint: Some(hint.to_owned()),
    })
}

/// Removes what was written and made first, so that nothing is left of it once the client knows.
fn discard(attempt: &mut Attempt, cx: &mut Context, staged: Staged, last: LastWord) -> Next {
    attempt.stage = Stage::Discarding(last);
    let (staged, made) = staged.leftovers();
    cx.job(Job::Discard { staged, made });
    Next::Wait
}

#[cfg(test)]
mod tests;
