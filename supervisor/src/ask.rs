//! Requests of the API server to the control loop: the only way from a client to the engine.
//!
//! The loop answers each ask at once, from memory; what takes longer (a start that is to be
//! waited for) comes as a stream over the receiver that the answer holds.

use api::{
    ActionRequest, CheckReply, DiffReply, ErrorReply, ExitRecord, JobRequest, LeaseRequest,
    MaintenanceReply, MaintenanceRequest, Outcome, PlanReply, Progress, ReleaseRequest,
    ServiceEvent, StatusReply, ToolsReply, Why,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::metrics_snapshot::Scrape;

/// Asks that wait for the loop; more and the client is told that the supervisor is busy.
pub(crate) const ASKS_MAX: usize = 256;
/// Lines that wait for a slow reader of progress or events; more and it gets a gap marker.
pub(crate) const STREAM_LINES_MAX: usize = 1024;

/// Sender of a request, by the socket's peer credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// User.
    pub(crate) uid: u32,
    /// For people: `root`, `alice (uid 1000)`.
    pub(crate) name: String,
}

/// Options of a reconfigure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReconfigureOptions {
    /// Only say what it would do.
    pub(crate) dry_run: bool,
    /// Go back to the last configuration that worked, whatever the files say.
    pub(crate) rollback: bool,
}

/// Request of a client about a job, or of a job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wish {
    /// This job's work.
    Work(String, JobRequest),
    /// The job has services stopped.
    Lease(LeaseRequest),
    /// The job gives its services back.
    Release(ReleaseRequest),
}

/// Where ends of runs are known.
#[derive(Debug)]
pub(crate) struct Exits {
    /// The history on disk is under this.
    pub(crate) state_dir: std::path::PathBuf,
    /// Ends of runs that the history may not show yet.
    pub(crate) unwritten: Vec<ExitRecord>,
    /// The error if nothing is found under the requested names.
    pub(crate) unknown: Option<ErrorReply>,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilter {
    /// From this moment on: RFC 3339 in UTC with milliseconds, to be compared as text.
    pub(crate) since: Option<String>,
    /// Before this moment.
    pub(crate) until: Option<String>,
    /// Names and patterns of services; none: all, and the daemon itself.
    pub(crate) names: Vec<String>,
    /// Only those after this one, which happened at `since`.
    pub(crate) after: Option<u64>,
}

/// Where the lines of a service are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogPlace {
    /// Service of the lines.
    pub(crate) service: String,
    /// The directory of `current` and the rotated files.
    pub(crate) dir: std::path::PathBuf,
    /// Files that the program writes itself: absolute paths or patterns.
    pub(crate) files: Vec<String>,
}

/// Which of the daemon's processes goes on with the program that is installed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReexecOf {
    /// The control process.
    Control,
    /// The keeper.
    Keeper,
}

/// Somebody wants the program that is installed now to run.
#[derive(Clone, Debug)]
pub(crate) struct ReexecAsked {
    /// Whose program it is to be.
    pub(crate) of: ReexecOf,
    /// The client's id.
    pub(crate) id: String,
    /// By whom.
    pub(crate) peer: Peer,
}

/// A question or request, with the channel for its answer.
#[derive(Debug)]
pub(crate) enum Ask {
    /// All services, or those named (unknown names are an error).
    Status {
        /// Empty means all.
        names: Vec<String>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<StatusReply, ErrorReply>>,
    },
    /// A change. Its progress ends with `Done` or `Refused`.
    Act {
        /// The requested action.
        request: ActionRequest,
        /// By whom.
        peer: Peer,
        /// Where the progress comes from, or why there is none.
        reply: oneshot::Sender<Result<mpsc::Receiver<Progress>, ErrorReply>>,
    },
    /// Read all files again and apply the difference. Same answer as `Act`; that of a dry run ends
    /// with `Preview`.
    Reconfigure {
        /// The client's id.
        id: String,
        /// Options of the reconfigure.
        wanted: ReconfigureOptions,
        /// By whom.
        peer: Peer,
        /// Where the progress comes from, or why there is none.
        reply: oneshot::Sender<Result<mpsc::Receiver<Progress>, ErrorReply>>,
    },
    /// Go on with the program that is installed now. Same answer as `Act`; of a control process it
    /// ends only if that fails, else this process ends before.
    Reexec {
        /// What, and by whom.
        asked: ReexecAsked,
        /// Where the progress comes from, or why there is none.
        reply: oneshot::Sender<Result<mpsc::Receiver<Progress>, ErrorReply>>,
    },
    /// Something about the work of jobs. Same answer as `Act`.
    Work {
        /// The client's id.
        id: String,
        /// What.
        wish: Wish,
        /// By whom.
        peer: Peer,
        /// Where the progress comes from, or why there is none.
        reply: oneshot::Sender<Result<mpsc::Receiver<Progress>, ErrorReply>>,
    },
    /// Outcome of a change; `None` if the change never arrived.
    Outcome {
        /// The client's id.
        id: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Option<Outcome>>,
    },
    /// Whether the host is in maintenance. Answered once that was seen.
    Maintenance {
        /// Where the answer goes.
        reply: oneshot::Sender<MaintenanceReply>,
    },
    /// Say that it is, or is not any more. Answered once that was seen.
    SetMaintenance {
        /// For the record.
        id: String,
        /// None: it is over.
        wanted: Option<MaintenanceRequest>,
        /// By whom.
        peer: Peer,
        /// Where the answer goes.
        reply: oneshot::Sender<MaintenanceReply>,
    },
    /// Past events (the last `backlog`), then, with `follow`, those to come.
    Events {
        /// How many past ones.
        backlog: usize,
        /// Whether the stream goes on.
        follow: bool,
        /// Which.
        filter: EventFilter,
        /// Where they come from, or which name is unknown.
        reply: oneshot::Sender<Result<mpsc::Receiver<ServiceEvent>, ErrorReply>>,
    },
    /// Where the history of changes is kept; the API server reads it.
    History {
        /// Names and patterns that are asked for.
        names: Vec<String>,
        /// The state directory, and what to say if nothing is found under those names.
        reply: oneshot::Sender<(std::path::PathBuf, Option<ErrorReply>)>,
    },
    /// Where the history of ends of runs is kept; the API server reads it.
    Exits {
        /// Names and patterns that are asked for.
        names: Vec<String>,
        /// Where the answer goes.
        reply: oneshot::Sender<Exits>,
    },
    /// Why a service is what it is (without log lines: the API server adds them from the files).
    Why {
        /// Which.
        name: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Why, ErrorReply>>,
    },
    /// All that is counted.
    Scrape {
        /// Where the answer goes, once the keeper has said its part.
        reply: oneshot::Sender<Result<Scrape, ErrorReply>>,
    },
    /// Check the files as they are now; changes nothing.
    Check {
        /// Where the answer goes.
        reply: oneshot::Sender<CheckReply>,
    },
    /// The plan that runs.
    Plan {
        /// Empty means all.
        names: Vec<String>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<PlanReply, ErrorReply>>,
    },
    /// Programs that people run, as the plan that runs has them.
    Tools {
        /// Where the answer goes.
        reply: oneshot::Sender<ToolsReply>,
    },
    /// The changes that a reconfigure would make.
    Diff {
        /// Empty means all.
        names: Vec<String>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<DiffReply, ErrorReply>>,
    },
    /// Where the logs of the named services (empty: all) are, for the log server.
    LogPlaces {
        /// Empty means all.
        names: Vec<String>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Vec<LogPlace>, ErrorReply>>,
    },
    /// Hear when a service leaves the plan.
    Departures {
        /// Changes with each one that does.
        reply: oneshot::Sender<watch::Receiver<()>>,
    },
    /// Rotate the logs of the named services (empty: all) now. Answered with their names, sorted.
    RotateLogs {
        /// For the record.
        id: String,
        /// Empty means all.
        names: Vec<String>,
        /// By whom.
        peer: Peer,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Vec<String>, ErrorReply>>,
    },
}
