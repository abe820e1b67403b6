//! From changed files to a changed host, step by step, with nothing half-applied.
//!
//! `pipeline/` loads and checks, makes missing accounts, writes candidates beside the files, lets
//! each service's own program check them and swaps them in. Only then the engine is told
//! (`apply.rs`). A step that fails leaves everything as it was. A dry run takes the same steps and
//! turns back before the swap (`impact/` says what either does). A rollback takes them with a plan
//! that has worked (`probation.rs` knows whether one has); so does a plan that goes back by itself,
//! as a reload with another has failed (`way_back.rs`). At the daemon's start the same steps bring
//! up the first plan; there a configuration that does not check is refused aloud and the last good
//! plan runs. One at a time: a second one is refused.
//!
//! [`Reconfigure`] owns how far the attempt is, whether the running plan has worked, and which plan
//! there is to go back to. A step that needs another component ends with a [`Next`]: `routing.rs`
//! carries that out and comes back.

mod apply;
mod finish;
mod hangup;
mod impact;
mod pipeline;
mod probation;
mod request;
mod routing;
mod takeover;
mod way_back;

use std::{collections::BTreeMap, sync::Arc};

use api::{FileCheck, HostAction, HostChange, KeptPlan};
use engine::RunId;
use keeper::message::Request;
use plan::{Plan, Severity};

use hangup::Hangup;
use pipeline::{PROBLEMS_TOLD_MAX, Stage, not_up};
use probation::Probation;
use request::{PlanSource, ReconfigureRequest};
use way_back::WayBack;

pub(super) use impact::{Known, specs};
pub(super) use probation::Verdicts;

use crate::{
    control::{Context, input::Job, record_keys::Key},
    load_plan::Source,
    plan_store::{Inputs, Swapped},
    staging::{Broken, Staged},
};

use finish::LastWord;

/// Shown in status as long as it is true.
const REFUSED: &str = "the configuration on disk was refused, the last good one runs: see ctl check-config, and the supervisor's own log";

/// The attempt to apply a plan, if there is one, and what is known of the plan that runs.
#[derive(Debug, Default)]
pub(super) struct Reconfigure {
    attempt: Attempt,
    /// A client's request that came while a control process took over.
    next: Option<ReconfigureRequest>,
    hangup: Hangup,
    probation: Probation,
    way_back: Option<WayBack>,
    /// Why the files on disk are refused, in words.
    refused: Option<String>,
}

/// One attempt to apply a plan, or to say what that would change.
#[derive(Debug, Default)]
struct Attempt {
    stage: Stage,
    request: ReconfigureRequest,
    /// This is the daemon's first plan.
    first: bool,
    /// An earlier control process has put the files in place, and died before the plan was applied.
    in_place: bool,
    /// The init has been told that an attempt is under way.
    told: bool,
    /// Accounts and groups that were made, in words.
    created: Vec<String>,
    /// Services whose accounts could not be made at the daemon's start, and why.
    without_account: BTreeMap<String, String>,
    loaded: LoadResult,
}

/// What is known of a plan beside its content.
#[derive(Debug, Default)]
struct LoadResult {
    /// The plan is one that was kept.
    kept: Option<KeptPlan>,
    /// What the files say that the plan stands in the place of.
    rejected: Option<Inputs>,
    /// The files are rejected; the kept plan runs instead.
    rolled_back: bool,
    /// Warnings and notes on the files.
    remarks: Vec<plan::Problem>,
    /// Of a dry run: accounts to be made, secrets to be generated.
    host: Vec<HostChange>,
    /// Candidates that have been checked.
    checks: Vec<FileCheck>,
}

/// A plan that has been checked, and what was written for it.
#[derive(Debug)]
pub(super) struct StagedPlan {
    plan: Arc<Plan>,
    staged: Box<Staged>,
}

/// What is to be done before an attempt goes on.
#[must_use]
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing: jobs or runs are under way, whose results go on with the attempt.
    Wait,
    /// All candidates are right: [`Reconfigure::weigh`] the plan.
    Weigh(StagedPlan),
    /// The plan is to run from here on. None: it is the one that runs already.
    Apply(StagedPlan, Option<Swapped>),
    /// A control process that took over knows all that the plan which runs needs.
    Resolved(Box<Staged>),
    /// [`Reconfigure::say_last`] this: nothing has changed.
    Say(LastWord),
    /// The attempt is over.
    Ended,
    /// A control process has taken over: requests that came meanwhile may begin.
    TakenOver,
}

impl LoadResult {
    /// What is probably not meant, in lines; notes are for those who ask.
    fn warnings(&self) -> Vec<String> {
        let remarks = self.remarks.iter();
        let warnings = remarks.filter(|it| it.severity == Severity::Warning);
        let said = warnings.take(PROBLEMS_TOLD_MAX);
        said.flat_map(|it| {
            it.to_string()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
    }

    /// Warns of services that their own accounts have broken.
    fn warn_of_spoiled(&mut self, broken: &BTreeMap<String, Broken>) {
        let spoiled = broken.iter().filter_map(|(name, it)| {
            Some(plan::Problem {
                severity: Severity::Warning,
                file: it.own.clone()?,
                line: None,
                column: None,
                key: String::new(),
                message: format!("{name} cannot start any more: {}", it.why),
                hint: Some("mend it, then: ctl reconfigure".to_owned()),
                variable: None,
                denied: false,
            })
        });
        self.remarks.extend(spoiled);
    }

    /// Of a dry run: an account would be made for this service.
    fn would_have_account(&self, service: &str) -> bool {
        let mut made = self
            .host
            .iter()
            .filter(|it| it.action == HostAction::Create);
        made.any(|it| it.services.iter().any(|name| name == service))
    }
}

impl Reconfigure {
    /// A request may begin: nothing is under way that changes the host.
    pub(super) const fn is_idle(&self) -> bool {
        self.attempt.stage.is_idle() || self.attempt.stage.is_taking_over()
    }

    /// Nothing is left to be done, not even for a control process that took over.
    #[cfg(test)]
    pub(super) const fn is_over(&self) -> bool {
        self.attempt.stage.is_idle()
    }

    /// The daemon's first plan is being made: there is nothing to show yet.
    pub(super) const fn is_first(&self) -> bool {
        self.attempt.first && !self.is_idle()
    }

    /// The attempt under way, or the one that waits, is of this operation.
    pub(super) fn is_for(&self, operation: &str) -> bool {
        let requests = [Some(&self.attempt.request), self.next.as_ref()];
        let mut operations = requests.into_iter().flatten().map(|it| &it.operation);
        operations.any(|it| it.as_deref() == Some(operation))
    }

    /// What is in the way of another attempt, in words.
    pub(super) fn under_way(&self) -> Option<String> {
        let request = if self.is_idle() {
            self.next.as_ref()
        } else {
            Some(&self.attempt.request)
        };
        request.map(ReconfigureRequest::under_way)
    }

    /// The program of a step that could not be executed.
    pub(super) fn program(&self, run: RunId) -> String {
        self.attempt.stage.program(run)
    }

    /// The service whose candidate this run checks, by the plan that is being checked.
    pub(super) fn checked_service(&self, run: RunId) -> Option<&plan::Service> {
        self.attempt.stage.checked_service(run)
    }

    /// Shown in status as long as each is true.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let rolled_back = self.probation.warning();
        rolled_back.into_iter().chain(self.refused.clone())
    }

    /// The plan that runs is on disk, and the files say the same.
    #[cfg(test)]
    pub(super) const fn is_stored_as_files_have_it(&self) -> bool {
        self.probation.is_stored_as_files_have_it()
    }

    /// The daemon's first plan.
    pub(super) fn start_first(&mut self, cx: &mut Context) {
        let by = "the start of the supervisor";
        self.attempt = Attempt {
            stage: Stage::Loading,
            request: ReconfigureRequest::of(cx, by),
            first: true,
            ..Attempt::default()
        };
        cx.job(Job::Load(Source::FirstFiles));
    }

    /// Begins an attempt, or lets the request wait until a control process has taken over.
    fn start(&mut self, cx: &mut Context, request: ReconfigureRequest) {
        if self.attempt.stage.is_taking_over() {
            // Two answers of the same kind could not be told apart: one after the other.
            self.next = Some(request);
            return;
        }
        let told = request.preview.is_none();
        if told {
            let usec = cx.now.moment.0.saturating_mul(1000);
            let message = format!("RELOADING=1\nMONOTONIC_USEC={usec}");
            cx.tell(Request::TellInit { message });
        }
        let plan = Arc::clone(&cx.plan);
        let source = match (request.source, &request.preview, &self.way_back) {
            (PlanSource::Kept, ..) => Source::Kept(plan),
            (PlanSource::Before, _, Some(it)) => Source::Before(Box::new(it.before().clone())),
            (PlanSource::Files | PlanSource::Before, Some(_), _) => Source::FilesAsTheyAre(plan),
            (PlanSource::Files | PlanSource::Before, None, _) => Source::Files(plan),
        };
        self.attempt = Attempt {
            stage: Stage::Loading,
            request,
            told,
            ..Attempt::default()
        };
        cx.job(Job::Load(source));
    }

    /// The files are refused, or are good again.
    fn set_refused(&mut self, cx: &mut Context, refused: Option<String>) {
        if self.refused != refused {
            self.refused.clone_from(&refused);
            cx.remember(Key::Refused, refused.unwrap_or_default());
        }
    }

    /// The engine does not take the plan that runs.
    pub(super) fn note_not_applied(&mut self, why: String) {
        self.refused = Some(why);
    }
}
