//! What goes into the control machine and what comes out of it.
//!
//! [`crate::control::Control`] is sans-IO: it takes one [`Input`], queues [`Output`]s and never
//! waits. The event loop carries outputs out; a simulation can do so as well.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use engine::{Moment, ProbeKind, RunId};
use keeper::message::{Notice, Request};
use plan::Plan;
use serde::{Deserialize, Serialize};

use super::Handled;
use super::answers::Answer;
use super::file_watcher::{Look, Seen, Unwatched};
use super::network_probe::No;
use super::watchers::{Watch, Watched};
use crate::{
    accounts::Accounts,
    applied::{Inputs, Kept, Mark, Swapped},
    ask::Ask,
    history,
    holder::Holder,
    listening::{self, Taken, Wanted},
    prepare::{Outcome, Resolved, Start},
    staging::OwnerChange,
    status_files::Situations,
    store::{Holds, Running},
    unready::Unready,
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
        mark: Mark,
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
    Watch(Watch),
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

/// Where a plan comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// All configuration files; secrets that are made or put back are stored. With the plan that runs.
    Files(Arc<Plan>),
    /// The same, at the daemon's start: one that was gone back from stays away.
    FirstFiles,
    /// The same, and nothing is stored.
    FilesAsTheyAre(Arc<Plan>),
    /// The last plan that worked and is another than this one.
    Kept(Arc<Plan>),
    /// The plan that ran before one that has failed.
    Before(Box<Kept>),
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
    pub(crate) mark: Mark,
    /// What the files say that it is applied in place of.
    pub(crate) rejected: Option<Inputs>,
    /// The plan that runs, who had it applied, and what is not up with it; none: it runs nothing.
    pub(crate) before: Option<(Arc<Plan>, Mark, Vec<String>)>,
}

/// A plan, as it was found.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The plan.
    pub(crate) plan: Box<Plan>,
    /// Secrets, by section and key, that were gone from the files.
    pub(crate) put_back: Vec<(String, String)>,
    /// It is one that was kept.
    pub(crate) kept: Option<api::KeptPlan>,
    /// What the files say that it stands in the place of.
    pub(crate) rejected: Option<Inputs>,
    /// Who had it applied, of one that was applied before.
    pub(crate) mark: Option<Mark>,
}

/// Why there is no plan.
#[derive(Debug)]
pub(crate) enum NotLoaded {
    /// The files do not check.
    Problems(Vec<plan::Problem>),
    /// There is none to go back to.
    NothingKept,
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
        result: super::work::Read,
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
    /// Of `Watch`.
    Watched(Watched),
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

/// Ids and programs, by service.
pub(crate) type Found = BTreeMap<String, Result<Arc<Resolved>, Unready>>;

/// What `Stage` did.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    /// Candidates, in the order of the plan.
    pub(crate) files: Vec<StagedFile>,
    /// Copies of files that only root may read, which were not there before.
    pub(crate) laid: Vec<StagedFile>,
    /// Services for which such a file could not be copied, and why.
    pub(crate) not_laid: BTreeMap<String, String>,
    /// Services whose directories or files could not be made, and why.
    pub(crate) broken: BTreeMap<String, Broken>,
    /// Ids and programs of all enabled services.
    pub(crate) resolved: Found,
    /// Directories that were made, parents first.
    pub(crate) made: Vec<StagedDirectory>,
    /// Directories that are to get another mode.
    pub(crate) modes: Vec<StagedDirectory>,
    /// Directories that change hands when their services start, by service.
    pub(crate) owners: BTreeMap<String, Vec<OwnerChange>>,
    /// Directories that were made or change; of a rehearsal, what would be made and written.
    pub(crate) host: Vec<api::HostChange>,
    /// Of a rehearsal: files that cannot be checked yet.
    pub(crate) left_out: Vec<api::FileCheck>,
    /// The local time zone, as it is now.
    pub(crate) zone: Option<jiff::tz::TimeZone>,
}

impl Staged {
    /// All that is to be removed when nothing comes of it.
    pub(crate) fn leftovers(self) -> (Vec<StagedFile>, Vec<StagedDirectory>) {
        let mut files = self.files;
        files.extend(self.laid);
        (files, self.made)
    }

    /// A service that cannot have what it needs for a reason that refuses the whole change, and why.
    pub(crate) fn first_refused(&self) -> Option<(&str, &str)> {
        let broken = self.broken.iter().filter(|(_, it)| it.own.is_none());
        let broken = broken.map(|(service, it)| (service, &it.why));
        let mut refused = broken.chain(&self.not_laid);
        refused
            .next()
            .map(|(service, why)| (service.as_str(), why.as_str()))
    }
}

/// Why a service cannot have its directories or files.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    /// In words.
    pub(crate) why: String,
    /// What went wrong in a directory of the service's own account. That is no other service's
    /// concern: the service fails by it, and the change goes on.
    pub(crate) own: Option<PathBuf>,
}

/// A directory that was made, or that is to get another mode.
#[derive(Clone, Debug)]
pub(crate) struct StagedDirectory {
    /// Whose.
    pub(crate) service: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Whose own directory it may lie in; none: root's.
    pub(crate) user: Option<String>,
    /// Mode bits that it is to have.
    pub(crate) mode: u32,
}

/// One changed file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StagedFile {
    /// Whose.
    pub(crate) service: String,
    /// Where it is now.
    pub(crate) candidate: PathBuf,
    /// Where it belongs.
    pub(crate) path: PathBuf,
    /// Whose own directory both may lie in; none: root's.
    #[serde(default)]
    pub(crate) user: Option<String>,
    /// Its content is another; else only its mode or owner.
    #[serde(default)]
    pub(crate) altered: bool,
    /// Command that checks it; empty: none.
    pub(crate) validate: Vec<String>,
}
