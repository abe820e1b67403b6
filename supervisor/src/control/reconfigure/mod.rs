//! From changed files to a changed host, step by step, with nothing half-applied.
//!
//! Load and check, make missing accounts, write candidates beside the files, let each service's
//! own program check them, swap them in, and only then tell the engine (`apply.rs`). A step that
//! fails leaves everything as it was. A dry run takes the same road and turns back before the swap
//! (`impact.rs` says what either does). A rollback takes it with a plan that has worked (`probation.rs`
//! knows whether one has); so does a plan that goes back by itself, as a reload with another has failed
//! (`way_back.rs`). At the daemon's start the same steps bring up the first plan; there a
//! configuration that does not check is refused aloud and the last good plan runs.
//! One at a time: a second one is refused.

mod apply;
mod finish;
mod impact;
mod mended;
mod new_addresses;
mod probation;
mod stages;
mod steps;
mod unreloaded;
mod way_back;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use api::{ErrorReply, FileCheck, HostChange, KeptPlan, Preview, Progress};
use engine::RunId;
use keeper::message::Request;
use plan::{Plan, Severity};
use tokio::sync::mpsc;

pub(super) use probation::Probation;
pub(super) use way_back::WayBack;

use crate::{
    accounts::MakeCommand,
    ask::{Peer, ReconfigureOptions, STREAM_LINES_MAX},
    control::{
        Control, Job,
        input::Done,
        operations::{Kind, admission::Intent, audit},
        record_keys::Key,
        text,
    },
    load_plan::Source,
    plan_store::{AppliedBy, Inputs},
    staging::{Broken, Staged, StagedFile},
};

/// Shown in status as long as it is true.
const REFUSED: &str = "the configuration on disk was refused, the last good one runs: see ctl check-config, and the supervisor's own log";

/// What a dry run says of an account.
const CREATE: &str = "create";

/// One reconfiguration, if there is one.
#[derive(Debug, Default)]
pub(super) struct Reconfigure {
    stage: Stage,
    request: ReconfigureRequest,
    /// It is the daemon's first.
    first: bool,
    /// An earlier control process has put its files in place, and died before it was applied.
    in_place: bool,
    /// The init has been told that it is under way.
    told: bool,
    /// A client's, that came while a control process took over.
    next: Option<ReconfigureRequest>,
    /// Another SIGHUP came meanwhile.
    again: bool,
    /// Accounts that were made for it, and files.
    created: Vec<String>,
    /// Services whose accounts could not be made at the daemon's start, and why.
    without_account: BTreeMap<String, String>,
    /// What is known of the plan besides.
    loaded: LoadResult,
}

/// What is wanted, and by whom.
#[derive(Debug, Default)]
struct ReconfigureRequest {
    mark: AppliedBy,
    /// The id of the change that it is; none: a dry run, or the daemon's first plan.
    change: Option<String>,
    /// No client hears of it, so what refuses it stays in status.
    unattended: bool,
    /// Who wants to know what would be done, and nothing done.
    preview: Option<mpsc::Sender<Progress>>,
    source: PlanSource,
}

/// Where the plan of a request is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum PlanSource {
    #[default]
    Files,
    /// The last that worked.
    Kept,
    /// What ran before a plan with which a reload has failed.
    Before,
}

/// What has come to light on the way.
#[derive(Debug, Default)]
struct LoadResult {
    /// The plan is one that was kept.
    kept: Option<KeptPlan>,
    /// What the files say that it stands in the place of.
    rejected: Option<Inputs>,
    /// There is such a thing.
    rolled_back: bool,
    /// Warnings and notes on the files.
    remarks: Vec<plan::Problem>,
    /// Of a dry run: accounts to be made, secrets to be generated.
    host: Vec<HostChange>,
    /// Candidates that have been checked.
    checks: Vec<FileCheck>,
}

impl LoadResult {
    /// What is probably not meant, in lines; notes are for those who ask.
    fn warnings(&self) -> Vec<String> {
        let remarks = self.remarks.iter();
        let warnings = remarks.filter(|it| it.severity == Severity::Warning);
        let said = warnings.take(stages::PROBLEMS_TOLD_MAX);
        said.flat_map(|it| {
            it.to_string()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
    }

    /// Warns of services that their own accounts have broken.
    fn spoiled(&mut self, broken: &BTreeMap<String, Broken>) {
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
            })
        });
        self.remarks.extend(spoiled);
    }

    /// Of a dry run: an account would be made for it.
    fn would_have_account(&self, service: &str) -> bool {
        let mut made = self.host.iter().filter(|it| it.action == CREATE);
        made.any(|it| it.services.iter().any(|name| name == service))
    }
}

/// How far it is.
#[derive(Debug, Default)]
enum Stage {
    #[default]
    Idle,
    /// Files are being read.
    Loading,
    /// Missing accounts are being made, one command after the other.
    Accounts {
        plan: Arc<Plan>,
        left: VecDeque<MakeCommand>,
        run: Option<RunId>,
        /// What that run makes.
        making: Option<MakeCommand>,
    },
    /// Directories and candidates are being written.
    Staging { plan: Arc<Plan> },
    /// Candidates are being checked, one after the other.
    Checking {
        plan: Arc<Plan>,
        staged: Box<Staged>,
        left: VecDeque<StagedFile>,
        /// The run, and which file it checks.
        run: Option<(RunId, FileCheck)>,
    },
    /// Whoever has the addresses that are new is being looked for.
    Addresses {
        plan: Arc<Plan>,
        staged: Box<Staged>,
        /// What becomes of each service.
        impacts: BTreeMap<String, plan::PlanImpact>,
    },
    /// Candidates are being put in place.
    Swapping {
        plan: Arc<Plan>,
        staged: Box<Staged>,
    },
    /// Candidates are being removed; then this is said.
    Discarding(LastWord),
    /// Only ids and programs are being looked up, for a control process that took over.
    Resolving,
    /// Files are being put back, for a control process that took over.
    PuttingBack,
    /// What an earlier control process left of a plan that it did not apply is being removed; then
    /// this plan goes on.
    Clearing(Option<Arc<Plan>>),
}

/// The last word of one that changes nothing.
#[derive(Debug)]
enum LastWord {
    Refused(ErrorReply),
    Preview(Box<Preview>),
}

impl Reconfigure {
    pub(super) const fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle) || self.is_taking_over()
    }

    /// Nothing of it is left to be done, not even for a control process that took over.
    #[cfg(test)]
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    const fn is_taking_over(&self) -> bool {
        matches!(
            self.stage,
            Stage::Resolving | Stage::PuttingBack | Stage::Clearing(None)
        )
    }

    /// The program of a step that could not be executed.
    pub(super) fn program(&self, number: RunId) -> String {
        match &self.stage {
            Stage::Accounts {
                run: Some(run),
                making: Some(making),
                ..
            } if *run == number => making.argv[0].clone(),
            _ => "the validator of a file".to_owned(),
        }
    }

    /// The service whose candidate this run checks, by the plan that is being checked.
    pub(super) fn checked_service(&self, number: RunId) -> Option<&plan::Service> {
        match &self.stage {
            Stage::Checking {
                plan,
                run: Some((run, check)),
                ..
            } if *run == number => plan.services.get(&check.service).map(AsRef::as_ref),
            _ => None,
        }
    }

    /// The daemon's first plan is being made: there is nothing to show yet.
    pub(super) const fn is_first(&self) -> bool {
        self.first && !self.is_idle()
    }

    /// It is this client's.
    pub(super) fn is_for(&self, change: &str) -> bool {
        let orders = [Some(&self.request), self.next.as_ref()];
        let mut changes = orders.into_iter().flatten().map(|it| &it.change);
        changes.any(|it| it.as_deref() == Some(change))
    }

    /// What is in the way of another, in words.
    pub(super) fn under_way(&self) -> Option<String> {
        let request = if self.is_idle() {
            self.next.as_ref()
        } else {
            Some(&self.request)
        };
        request.map(under_way)
    }
}

impl Control {
    pub(super) fn ask_reconfigure(
        &mut self,
        id: &str,
        wanted: ReconfigureOptions,
        peer: &Peer,
    ) -> Result<mpsc::Receiver<Progress>, ErrorReply> {
        if let Some(known) = self.follow_operation(id) {
            return Ok(known);
        }
        self.admit(if wanted.dry_run {
            Intent::Rehearsal
        } else {
            Intent::Reconfigure
        })?;
        let source = if wanted.rollback {
            PlanSource::Kept
        } else {
            PlanSource::Files
        };
        let request = ReconfigureRequest {
            mark: self.mark(&peer.name),
            source,
            ..ReconfigureRequest::default()
        };
        if wanted.dry_run {
            let (sender, stream) = mpsc::channel(STREAM_LINES_MAX);
            let preview = Some(sender);
            self.start_request(ReconfigureRequest { preview, ..request });
            return Ok(stream);
        }
        Ok(self.start_change(id, request, peer))
    }

    /// A request that is told to whoever asked for it, and to the history.
    fn start_change(
        &mut self,
        id: &str,
        request: ReconfigureRequest,
        peer: &Peer,
    ) -> mpsc::Receiver<Progress> {
        let what = match request.source {
            PlanSource::Kept => "reconfigure --rollback",
            PlanSource::Files | PlanSource::Before => "reconfigure",
        };
        self.cx.publish("", "change", what, Some(&peer.name));
        tracing::info!(by = peer.name, "{what}");
        let asked = audit::asked(self.cx.now.unix_ms, id, peer, what, &[]);
        let stream = self.begin_operation(id, Kind::Reconfigure, true, asked);
        let change = Some(id.to_owned());
        self.start_request(ReconfigureRequest { change, ..request });
        stream
    }

    /// The daemon's first plan.
    pub(super) fn start_first(&mut self) {
        self.reconfigure = Reconfigure {
            stage: Stage::Loading,
            request: ReconfigureRequest {
                mark: self.mark("the start of the supervisor"),
                ..ReconfigureRequest::default()
            },
            first: true,
            ..Reconfigure::default()
        };
        self.cx.job(Job::Load(Source::FirstFiles));
    }

    /// SIGHUP: the files as they are when what is under way is over.
    pub(super) fn on_hangup(&mut self) {
        if !std::mem::replace(&mut self.lifecycle.hangup, true) {
            self.remember_hangup("asked");
        }
        if !matches!(self.reconfigure.stage, Stage::Idle) || self.cx.engine.has_leases() {
            self.reconfigure.again = true;
            return;
        }
        self.reconfigure.again = false;
        if self.lifecycle.is_stopping() {
            return;
        }
        // Nobody can say whose it is.
        let peer = Peer {
            uid: nix::unistd::Uid::effective().as_raw(),
            name: "SIGHUP".to_owned(),
        };
        let number = self.cx.engine.allocate_run().0;
        let id = format!("sighup-{}-{number}", self.cx.now.unix_ms);
        let request = ReconfigureRequest {
            mark: self.mark(&peer.name),
            unattended: true,
            ..ReconfigureRequest::default()
        };
        drop(self.start_change(&id, request, &peer));
    }

    /// One that came while a job kept services stopped.
    pub(super) fn hangup_after_leases(&mut self) {
        let waits = self.reconfigure.again && matches!(self.reconfigure.stage, Stage::Idle);
        if waits && !self.cx.engine.has_leases() && !self.lifecycle.is_stopping() {
            self.on_hangup();
        }
    }

    /// An earlier control process had taken in a SIGHUP and died before it was through with it.
    pub(super) fn go_on_with_hangup(&mut self) {
        self.reconfigure.again = self.lifecycle.hangup;
    }

    /// Nothing is under way any more that began with one.
    pub(super) fn forget_hangup_when_idle(&mut self) {
        let idle = matches!(self.reconfigure.stage, Stage::Idle) && !self.reconfigure.again;
        if idle && std::mem::take(&mut self.lifecycle.hangup) {
            self.remember_hangup("");
        }
    }

    fn remember_hangup(&mut self, record: &str) {
        self.cx.remember(Key::Hangup, record.to_owned());
    }

    fn start_request(&mut self, request: ReconfigureRequest) {
        if self.reconfigure.is_taking_over() {
            // Two answers of the same kind could not be told apart: one after the other.
            self.reconfigure.next = Some(request);
            return;
        }
        let told = request.preview.is_none();
        if told {
            self.tell_reloading();
        }
        let plan = Arc::clone(&self.cx.plan);
        let source = match (request.source, &request.preview, &self.way_back) {
            (PlanSource::Kept, ..) => Source::Kept(plan),
            (PlanSource::Before, _, Some(it)) => Source::Before(Box::new(it.before().clone())),
            (PlanSource::Files | PlanSource::Before, Some(_), _) => Source::FilesAsTheyAre(plan),
            (PlanSource::Files | PlanSource::Before, None, _) => Source::Files(plan),
        };
        self.reconfigure = Reconfigure {
            stage: Stage::Loading,
            request,
            told,
            again: self.reconfigure.again,
            ..Reconfigure::default()
        };
        self.cx.job(Job::Load(source));
    }

    fn mark(&self, by: &str) -> AppliedBy {
        AppliedBy {
            at_unix_ms: self.cx.now.unix_ms,
            by: by.to_owned(),
        }
    }

    /// A control process that took over goes on with a plan that is in place and not applied.
    pub(super) fn go_on_with(&mut self, plan: Arc<Plan>) {
        self.reconfigure.in_place = true;
        self.with_plan(plan);
    }

    /// A control process that took over looks up ids and programs; the plan itself runs already.
    pub(super) fn start_stage_only(&mut self) {
        self.reconfigure.stage = Stage::Resolving;
        self.cx.job(Job::Stage {
            plan: Arc::clone(&self.cx.plan),
            rehearsal: false,
        });
    }

    fn tell_reloading(&mut self) {
        let usec = self.cx.now.moment.0.saturating_mul(1000);
        let message = format!("RELOADING=1\nMONOTONIC_USEC={usec}");
        self.cx.tell(Request::TellInit { message });
    }

    /// A job of a reconfiguration, or of anything else, is done.
    pub(super) fn on_done(&mut self, done: Done) {
        match done {
            Done::Loaded(result) => self.on_loaded(result),
            Done::MissingAccounts(accounts) => self.on_missing_accounts(accounts),
            Done::Staged(staged) => self.on_staged(staged),
            Done::Swapped(result) => self.on_swapped(result),
            Done::PutBack => self.on_put_back(),
            Done::Discarded => self.on_discarded(),
            Done::HoldsStored(result) => self.holds.stored(&self.cx, result),
            Done::ScheduleStored(result) => self.schedule.stored(&self.cx, result),
            Done::Recorded(result) => self.on_recorded(result),
            Done::MaintenanceStored(result) => self.maintenance_stored(result),
            Done::UsersAreTold { question, answer } => self.users_are_told(question, answer),
            Done::StatusFilesWritten(result) => self.status_files_written(result),
            Done::RunningStored(result) => self.running.stored(&self.cx, result),
            Done::ExitsRecorded(result) => {
                let written = self.exits.on_written(&mut self.cx, result);
                self.running.forget(&written);
            }
            Done::OrderStored(result) => self.order_stored(result),
            Done::ResultRead { id, result } => self.result_read(&id, result),
            Done::Prepared { run, outcome } => {
                let next = self.starts.on_prepared(&mut self.cx, run, outcome);
                self.follow_start(next);
            }
            Done::Holder { run, holder } => {
                let next = self.starts.on_holder(&mut self.cx, run, &holder);
                self.follow_start(next);
            }
            Done::Addresses(taken) => self.on_addresses(taken),
            Done::Listeners(seen) => self.listening.on_listeners(&mut self.cx, seen),
            Done::HostChecked(seen) => self.host_checks.on_seen(&mut self.cx, seen),
            Done::FilesSeen(seen) => self.on_files_seen(seen),
            Done::FilesTouched(unwatched) => self.file_watch.on_touched(&mut self.cx, unwatched),
            Done::LineSeen { run, pattern } => self.on_ready_line(run, &pattern),
            Done::Probed {
                run,
                probe,
                ok,
                detail,
                took,
            } => {
                self.metrics.count_probe(&self.cx, run, probe, ok, took);
                self.fact(engine::Fact::Probed {
                    run,
                    probe,
                    ok,
                    detail,
                });
            }
        }
    }
}

fn under_way(other: &ReconfigureRequest) -> String {
    let what = match (&other.preview, other.source) {
        (Some(_), _) => "a dry run of a reconfigure",
        (None, PlanSource::Kept) => "a rollback",
        (None, PlanSource::Before) => "the way back from a reconfigure that failed",
        (None, PlanSource::Files) => "another reconfigure",
    };
    let (by, at) = (&other.mark.by, text::time(other.mark.at_unix_ms));
    let asked = if other.mark.by.is_empty() {
        String::new()
    } else {
        format!(", asked for by {by} at {at}")
    };
    format!("{what} is under way{asked}")
}
