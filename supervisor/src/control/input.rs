//! The inputs and outputs of the control machine.
//!
//! [`crate::control::Control`] is sans-IO: it takes one [`Input`], queues [`Output`]s and never
//! waits. The event loop carries the outputs out; a simulation can do so as well.

use std::{path::PathBuf, sync::Arc, time::Duration};

use engine::{Moment, ProbeKind, RunId};
use keeper::message::{Notice, Request};
use plan::Plan;

use crate::{
    accounts::Accounts,
    ask::Ask,
    control::{
        api::answers::Answer,
        monitors::{
            host_checks::{HostLook, HostSeen},
            inotify::{Seen, Unwatched, WatchedFiles},
        },
        runs::network_probe::No,
    },
    history,
    listening::{self, Taken, Wanted},
    load_plan::{Loaded, NotLoaded, Source},
    plan_store::{AppliedBy, Inputs, Swapped},
    port_owner::Holder,
    prepare::{Outcome, Start},
    staging::{Staged, StagedDirectory, StagedFile},
    status_files::Situations,
    store::{Handled, Holds, Running},
    usage::Target,
};

/// The time, twice: for deadlines and for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Monotonic.
    pub(crate) moment: Moment,
    /// Wall clock, milliseconds of the Unix epoch.
    pub(crate) unix_ms: u64,
}

/// One thing that happens to the control process.
#[derive(Debug)]
pub(crate) enum Input {
    /// The keeper has sent a notice.
    Notice(Notice),
    /// A client has sent a request.
    Ask(Ask),
    /// A task is done.
    Done(Box<Done>),
    /// Time has passed.
    Timeout,
}

/// One action outside, after everything that the keeper was told before it (`in_order.rs`).
#[derive(Debug)]
pub(crate) enum Output {
    /// Send this request to the keeper.
    Keeper(Request),
    /// Do this task off the control thread; its result comes back as `Input::Done`.
    Task(Task),
    /// Send this answer to a client.
    Answer(Answer),
    /// The users of the control socket, as the plan names them.
    Access(plan::ControlAccess),
    /// Whether clients may connect now, or wait in the backlog.
    LetIn(bool),
    /// Watch exactly these files.
    WatchFiles(Vec<PathBuf>),
    /// A burst of work is over: release the memory that it took.
    ReleaseMemory,
}

/// Work that blocks or waits.
#[derive(Debug)]
pub(crate) enum Task {
    /// Load a plan.
    Load(Source),
    /// Read all configuration files and only report what is wrong.
    Check {
        /// The current plan.
        plan: Arc<Plan>,
        /// Where the reply goes.
        reply: tokio::sync::oneshot::Sender<api::CheckReply>,
    },
    /// Render the current plan.
    ShowPlan {
        /// The plan.
        plan: Arc<Plan>,
        /// Empty means all.
        names: Vec<String>,
        /// Where the reply goes.
        reply: tokio::sync::oneshot::Sender<Result<api::PlanReply, api::ErrorReply>>,
    },
    /// Read all configuration files and report what they would change.
    Diff {
        /// The current plan.
        plan: Arc<Plan>,
        /// Empty means all.
        names: Vec<String>,
        /// Where the reply goes.
        reply: tokio::sync::oneshot::Sender<Result<api::DiffReply, api::ErrorReply>>,
    },
    /// Find accounts that the plan names and that do not exist.
    MissingAccounts {
        /// The plan.
        plan: Arc<Plan>,
    },
    /// Make directories and write changed files as candidates beside their places.
    Stage {
        /// The plan.
        plan: Arc<Plan>,
        /// Whether to make only candidates, and report the rest without doing it.
        rehearsal: bool,
    },
    /// Put candidates in place and store the plan as the applied plan; or do neither.
    Swap(Box<Swap>),
    /// Put back files that an earlier control process changed before it died without storing their
    /// plan.
    PutBack {
        /// The files that `Stage` wrote.
        staged: Vec<StagedFile>,
    },
    /// Remove candidates, and directories that `Stage` made.
    Discard {
        /// The files that `Stage` wrote.
        staged: Vec<StagedFile>,
        /// The directories that `Stage` made.
        made: Vec<StagedDirectory>,
    },
    /// Keep a plan that has worked, for a later rollback.
    Keep {
        /// The plan.
        plan: Arc<Plan>,
        /// Who applied the plan, and when.
        mark: AppliedBy,
    },
    /// Store goals and holds.
    StoreHolds {
        /// All holds.
        holds: Holds,
    },
    /// Store the moment up to which schedules were handled.
    StoreSchedule {
        /// The state of all schedules.
        handled: Handled,
    },
    /// Store which main runs are alive.
    StoreRunning {
        /// All main runs.
        running: Running,
    },
    /// Store whether the host is in maintenance.
    StoreMaintenance {
        /// The maintenance; none: no maintenance.
        maintenance: Option<api::Maintenance>,
    },
    /// Ask a service whether it tells users of maintenance.
    AskWhatUsersAreTold {
        /// The number of this question.
        question: u64,
        /// The probe that asks.
        probe: plan::Probe,
    },
    /// Write the status files of services.
    WriteStatusFiles {
        /// The plan, with places and templates of the files.
        plan: Arc<Plan>,
        /// The content of the files.
        situations: Situations,
    },
    /// Add lines to the history of operations.
    Record {
        /// The lines.
        lines: Vec<history::Line>,
        /// Wall clock, milliseconds of the Unix epoch.
        now_ms: u64,
    },
    /// Add ends of runs to the history.
    RecordExits {
        /// The ends.
        records: Vec<api::ExitRecord>,
        /// Wall clock, milliseconds of the Unix epoch.
        now_ms: u64,
    },
    /// Store the order for a job.
    StoreOrder {
        /// The job.
        service: String,
        /// The order.
        order: api::JobOrder,
    },
    /// Read the result that a job has left.
    ReadResult {
        /// The job.
        service: String,
        /// The request that the result must belong to.
        id: String,
    },
    /// Find or make what runs need before their spawn.
    Prepare(Vec<Start>),
    /// Find the process that holds a port.
    Holder {
        /// The run that wanted the port.
        run: RunId,
        /// The address.
        address: String,
    },
    /// Find which of these addresses are not free, and which processes use them.
    Addresses {
        /// The addresses.
        wanted: Vec<Wanted>,
        /// Main processes of our services.
        running: Vec<Target>,
        /// The keeper's process.
        keeper: i32,
    },
    /// Check where services listen.
    LookAtListeners {
        /// The services.
        looks: Vec<listening::ListenCheck>,
        /// The keeper's process.
        keeper: i32,
    },
    /// Check disks and programs.
    CheckHost(HostLook),
    /// Check certificates and watched files.
    LookAtFiles(WatchedFiles),
    /// Wait until a service logs a line that makes one of its runs ready.
    AwaitLine {
        /// The run that waits for the line.
        run: RunId,
        /// The service.
        service: String,
        /// The directory of the service's log.
        dir: PathBuf,
        /// Regular expression; the first line that matches counts.
        pattern: String,
        /// Only lines from this moment on count, milliseconds of the Unix epoch.
        since_unix_ms: u64,
        /// Closes when nobody waits any more.
        unwanted: tokio::sync::oneshot::Receiver<()>,
    },
    /// One attempt of a network probe.
    Probe {
        /// The service's main run.
        run: RunId,
        /// Which of its probes.
        probe: ProbeKind,
        /// The question of the probe.
        ask: plan::Ask,
        /// Longest time of the attempt.
        timeout_ms: u64,
    },
}

/// A plan to apply.
#[derive(Debug)]
pub(crate) struct Swap {
    /// The plan.
    pub(crate) plan: Arc<Plan>,
    /// The files that `Stage` wrote.
    pub(crate) staged: Vec<StagedFile>,
    /// Directories that get another mode.
    pub(crate) modes: Vec<StagedDirectory>,
    /// Who applies the plan, and when.
    pub(crate) mark: AppliedBy,
    /// The rejected files that this plan replaces.
    pub(crate) rejected: Option<Inputs>,
    /// The current plan, who applied it, and the services that are not up with it; none: nothing
    /// runs.
    pub(crate) before: Option<(Arc<Plan>, AppliedBy, Vec<String>)>,
}

/// The result of a task.
#[derive(Debug)]
pub(crate) enum Done {
    /// Of `Load`.
    Loaded(Result<Loaded, NotLoaded>),
    /// Of `MissingAccounts`: the commands that create them, and obstacles.
    MissingAccounts(Accounts),
    /// Of `Stage`: what was written, and the trouble of each service.
    Staged(Staged),
    /// Of `Swap`.
    Swapped(Result<Swapped, String>),
    /// Of `PutBack`.
    PutBack,
    /// Of `Discard`.
    Discarded,
    /// Of `StoreHolds`.
    HoldsStored(Result<(), String>),
    /// Of `StoreSchedule`.
    ScheduleStored(Result<(), String>),
    /// Of `StoreRunning`.
    RunningStored(Result<(), String>),
    /// Of `StoreMaintenance`.
    MaintenanceStored(Result<(), String>),
    /// Of `WriteStatusFiles`.
    StatusFilesWritten(Result<(), String>),
    /// Of `Record`: on failure, the lines come back.
    Recorded(Result<(), (Vec<history::Line>, String)>),
    /// Of `RecordExits`.
    ExitsRecorded(Result<(), String>),
    /// Of `StoreOrder`.
    OrderStored(Result<(), String>),
    /// Of `ReadResult`.
    ResultRead {
        /// The request.
        id: String,
        /// The result, if there is one.
        result: crate::control::operations::result::Read,
    },
    /// Of `Prepare`, one for each of its runs.
    Prepared {
        /// The run that waits.
        run: RunId,
        /// All that the run needs, or why that cannot be had.
        outcome: Outcome,
    },
    /// Of `Holder`.
    Holder {
        /// The run that wanted the address.
        run: RunId,
        /// The process that has the address.
        holder: Holder,
    },
    /// Of `Addresses`: those that are not free; or why the check failed.
    Addresses(Result<Vec<Taken>, String>),
    /// Of `LookAtListeners`.
    Listeners(Vec<listening::Seen>),
    /// Of `CheckHost`.
    HostChecked(HostSeen),
    /// Of `LookAtFiles`.
    FilesSeen(Seen),
    /// Watched files may have changed, or the watch has begun; or why there is no watch.
    FilesTouched(Option<Unwatched>),
    /// Of `AwaitLine`.
    LineSeen {
        /// The run that waited for the line.
        run: RunId,
        /// The pattern of the line.
        pattern: String,
    },
    /// Of `AskWhatUsersAreTold`.
    UsersAreTold {
        /// The question.
        question: u64,
        /// Whether users are told.
        answer: Result<(), No>,
    },
    /// Of `Probe`.
    Probed {
        /// The service's main run.
        run: RunId,
        /// Which probe.
        probe: ProbeKind,
        /// The verdict of the attempt.
        ok: bool,
        /// The answer in words.
        detail: String,
        /// The time that the attempt took.
        took: Duration,
    },
}
