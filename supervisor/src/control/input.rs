//! What goes into the control machine and what comes out of it.
//!
//! [`crate::control::Control`] is sans-IO: it takes one [`Input`], queues [`Output`]s and never
//! waits. The event loop carries outputs out; a simulation can do so as well.

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
            inotify::{Look, Seen, Unwatched},
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
    /// The keeper says something.
    Notice(Notice),
    /// A client asks.
    Ask(Ask),
    /// A job is done.
    Done(Box<Done>),
    /// Time has passed.
    Timeout,
}

/// One thing to be done outside, behind all that the keeper was told before it (`in_order.rs`).
#[derive(Debug)]
pub(crate) enum Output {
    /// Tell the keeper.
    Keeper(Request),
    /// Do this off the control thread, or as a task; its result comes back as `Input::Done`.
    Job(Job),
    /// Say this to a client.
    Answer(Answer),
    /// The plan says who may use the control socket.
    Access(plan::Control),
    /// Clients may connect, or are to wait in the backlog.
    LetIn(bool),
    /// Watch exactly these files.
    WatchFiles(Vec<PathBuf>),
    /// A burst of work is over: give back the memory that it took.
    ReleaseMemory,
}

/// What blocks or waits.
#[derive(Debug)]
pub(crate) enum Job {
    /// Make a plan.
    Load(Source),
    /// Read all configuration files and only say what is wrong.
    Check {
        /// The plan that runs.
        plan: Arc<Plan>,
        /// Who wants to know.
        reply: tokio::sync::oneshot::Sender<api::CheckReply>,
    },
    /// Say the plan that runs.
    ShowPlan {
        /// The plan.
        plan: Arc<Plan>,
        /// Empty means all.
        names: Vec<String>,
        /// Who wants to know.
        reply: tokio::sync::oneshot::Sender<Result<api::PlanReply, api::ErrorReply>>,
    },
    /// Read all configuration files and say what they would change.
    Diff {
        /// The plan that runs.
        plan: Arc<Plan>,
        /// Empty means all.
        names: Vec<String>,
        /// Who wants to know.
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
        /// Only candidates, and what else there would be to do.
        rehearsal: bool,
    },
    /// Put candidates in place and store the plan as the one that is applied; or do neither.
    Swap(Box<Swap>),
    /// Put files back that a control process had changed which died before it stored their plan.
    PutBack {
        /// What `Stage` wrote.
        staged: Vec<StagedFile>,
    },
    /// Remove candidates, and directories that were made for nothing.
    Discard {
        /// What `Stage` wrote.
        staged: Vec<StagedFile>,
        /// What it made.
        made: Vec<StagedDirectory>,
    },
    /// Keep a plan that has worked, to go back to.
    Keep {
        /// The plan.
        plan: Arc<Plan>,
        /// Who had it applied, and when.
        mark: AppliedBy,
    },
    /// Store goals and holds.
    StoreHolds {
        /// All of them.
        holds: Holds,
    },
    /// Store up to when schedules were handled.
    StoreSchedule {
        /// All of them.
        handled: Handled,
    },
    /// Store which main runs live.
    StoreRunning {
        /// All of them.
        running: Running,
    },
    /// Store whether there is maintenance.
    StoreMaintenance {
        /// None: there is none.
        maintenance: Option<api::Maintenance>,
    },
    /// Ask a service whether it tells users of maintenance.
    AskWhatUsersAreTold {
        /// A number of its own.
        question: u64,
        /// What is asked.
        probe: plan::Probe,
    },
    /// Write the status files of services.
    WriteStatusFiles {
        /// Where, and by which templates.
        plan: Arc<Plan>,
        /// What they say.
        situations: Situations,
    },
    /// Add lines to the history of changes.
    Record {
        /// What happened.
        lines: Vec<history::Line>,
        /// Wall clock, milliseconds of the Unix epoch.
        now_ms: u64,
    },
    /// Add ends of runs to the history.
    RecordExits {
        /// How they ended.
        records: Vec<api::ExitRecord>,
        /// Wall clock, milliseconds of the Unix epoch.
        now_ms: u64,
    },
    /// Store what a job is asked to do.
    StoreOrder {
        /// The job.
        service: String,
        /// What it is asked.
        order: api::JobOrder,
    },
    /// Read what a job has left as its result.
    ReadResult {
        /// The job.
        service: String,
        /// The request that it is to be of.
        id: String,
    },
    /// Find out and make what runs need that are to be spawned.
    Prepare(Vec<Start>),
    /// Find out who holds a port.
    Holder {
        /// The run that wanted it.
        run: RunId,
        /// The address.
        address: String,
    },
    /// Find out which of these addresses are not free, and who has them.
    Addresses {
        /// The addresses.
        wanted: Vec<Wanted>,
        /// Main processes of our services.
        running: Vec<Target>,
        /// The keeper's process.
        keeper: i32,
    },
    /// Look where services listen.
    LookAtListeners {
        /// The services.
        looks: Vec<listening::Look>,
        /// The keeper's process.
        keeper: i32,
    },
    /// Look at disks and programs.
    CheckHost(HostLook),
    /// Look at certificates and watched files.
    LookAtFiles(Look),
    /// Wait until a service logs a line that makes one of its runs ready.
    AwaitLine {
        /// The run that waits for it.
        run: RunId,
        /// The service.
        service: String,
        /// Where its log is.
        dir: PathBuf,
        /// Regular expression; the first line that matches counts.
        pattern: String,
        /// Lines from this moment on, milliseconds of the Unix epoch.
        since_unix_ms: u64,
        /// Ends when nobody waits any more.
        unwanted: tokio::sync::oneshot::Receiver<()>,
    },
    /// One attempt of a network probe.
    Probe {
        /// The service's main run.
        run: RunId,
        /// Which of its probes.
        probe: ProbeKind,
        /// What it asks.
        ask: plan::Ask,
        /// Longest time.
        timeout_ms: u64,
    },
}

/// A plan that is to be applied.
#[derive(Debug)]
pub(crate) struct Swap {
    /// The plan.
    pub(crate) plan: Arc<Plan>,
    /// What `Stage` wrote.
    pub(crate) staged: Vec<StagedFile>,
    /// Directories that get another mode.
    pub(crate) modes: Vec<StagedDirectory>,
    /// Who wants it, and when.
    pub(crate) mark: AppliedBy,
    /// What the files say that it is applied in place of.
    pub(crate) rejected: Option<Inputs>,
    /// The plan that runs, who had it applied, and what is not up with it; none: it runs nothing.
    pub(crate) before: Option<(Arc<Plan>, AppliedBy, Vec<String>)>,
}

/// The result of a job.
#[derive(Debug)]
pub(crate) enum Done {
    /// Of `Load`.
    Loaded(Result<Loaded, NotLoaded>),
    /// Of `MissingAccounts`: the commands that create them, and what stands against it.
    MissingAccounts(Accounts),
    /// Of `Stage`: what was written, and what went wrong with which service.
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
    /// Of `Record`: where it failed, the lines come back.
    Recorded(Result<(), (Vec<history::Line>, String)>),
    /// Of `RecordExits`.
    ExitsRecorded(Result<(), String>),
    /// Of `StoreOrder`.
    OrderStored(Result<(), String>),
    /// Of `ReadResult`.
    ResultRead {
        /// The request.
        id: String,
        /// What there is in its place.
        result: crate::control::operations::result::Read,
    },
    /// Of `Prepare`, one for each of its runs.
    Prepared {
        /// The run that waits.
        run: RunId,
        /// All that it needs, or why it cannot have that.
        outcome: Outcome,
    },
    /// Of `Holder`.
    Holder {
        /// The run that wanted the address.
        run: RunId,
        /// Who has it.
        holder: Holder,
    },
    /// Of `Addresses`: those that are not free; or why nobody could see it.
    Addresses(Result<Vec<Taken>, String>),
    /// Of `LookAtListeners`.
    Listeners(Vec<listening::Seen>),
    /// Of `CheckHost`.
    HostChecked(HostSeen),
    /// Of `LookAtFiles`.
    FilesSeen(Seen),
    /// Files that are watched may have changed, or are watched from now on; or why they are not.
    FilesTouched(Option<Unwatched>),
    /// Of `AwaitLine`.
    LineSeen {
        /// The run that waited for it.
        run: RunId,
        /// What was looked for.
        pattern: String,
    },
    /// Of `AskWhatUsersAreTold`.
    UsersAreTold {
        /// The question.
        question: u64,
        /// They are, or not.
        answer: Result<(), No>,
    },
    /// Of `Probe`.
    Probed {
        /// The service's main run.
        run: RunId,
        /// Which probe.
        probe: ProbeKind,
        /// Yes or no.
        ok: bool,
        /// In words.
        detail: String,
        /// How long it took to say so.
        took: Duration,
    },
}
