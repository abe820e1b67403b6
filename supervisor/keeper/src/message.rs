//! Messages between keeper and control process: small, versioned, one JSON object a frame.
//!
//! A frame is a `u32` length (little endian) and that many bytes of JSON, over a unix stream
//! socket pair; file descriptors ride along with the frame whose doc says so. Unknown fields are
//! tolerated, since a newer control process may talk to an older keeper.
//!
//! Order is kept: what is sent first is done first, so a `Remember` sent before a `Spawn` is
//! held before the process exists.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

mod keeper_refusal;
mod remaining;
mod spawn;
mod spawn_stage;

pub use keeper_refusal::{KeeperRefusal, ResumeFailure, StateRefusal, Work};
pub use remaining::{Kept, Left, Stray};
pub use run_model::{Escalation, Exit, Stop};
pub use spawn::{Forward, Ids, Open, Role, Spawn};
pub use spawn_stage::SpawnStage;

/// Version of the message set; told in [`Hello`].
pub const VERSION: u32 = 1;
/// Exit code of a control process that finds another version of the message set.
pub const EXIT_OTHER_MESSAGES: u8 = 76;
/// Exit code of a control process that finds another version of the records, or of the files in the
/// state directory.
pub const EXIT_OTHER_FORMAT: u8 = 65;
/// A longer frame ends the connection.
pub const FRAME_BYTES_MAX: usize = 8 << 20;
/// Output of a probe or validator that is kept: its last bytes.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// Key of the `Notified` that a newline on the descriptor for readiness causes; its value is empty.
/// If all that have the descriptor close it before that, the value is [`READY_FD_CLOSED`].
pub const READY_FD: &str = "READY_FD";
/// See [`READY_FD`].
pub const READY_FD_CLOSED: &str = "closed";

/// Number of a run; never used twice while the keeper lives.
pub type RunId = u64;

/// From the control process to the keeper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Request {
    /// The state is loaded: the keeper may count on this control process.
    TookOver,
    /// Make (or adjust) what a service needs before its first run: log pipe and files, cgroup.
    Open(Open),
    /// Start a run. Answered by `Spawned` or `Failed`.
    Spawn(Box<Spawn>),
    /// Send a signal to the main process of a run.
    Signal {
        /// The run.
        run: RunId,
        /// The signal's number.
        signal: i32,
        /// Follow with SIGCONT, so that a paused process sees a stop signal.
        cont: bool,
    },
    /// Rotate the log of a service now, whatever its size.
    Rotate {
        /// The service.
        service: String,
    },
    /// Say how much has been logged. Answered by `Stats`.
    Stats,
    /// SIGKILL the run's main process and everything that belongs to it. `Exited` and `Swept`
    /// follow.
    Sweep {
        /// The run.
        run: RunId,
    },
    /// Hold this opaque record of a service; the last one counts.
    Remember {
        /// The service.
        service: String,
        /// Opaque to the keeper; the next `Hello` returns it.
        record: String,
    },
    /// The service is gone from the plan: close its pipe, drop its record and its cgroup.
    Forget {
        /// The service.
        service: String,
    },
    /// Send this to `NOTIFY_SOCKET`, if there is one.
    TellInit {
        /// Lines of `KEY=value`, as in `sd_notify(3)`.
        message: String,
    },
    /// Facts up to and including this number have been taken in.
    Ack {
        /// Sequence number.
        seq: u64,
    },
    /// Sign of life, in answer to `AreYouThere`.
    Here,
    /// Report everything that had arrived by now. Answered by `Synced`, behind the facts.
    Sync {
        /// When the control process asked, in milliseconds on `CLOCK_MONOTONIC`; identifies the
        /// question.
        at_ms: u64,
    },
    /// Start the binary that is now at the daemon's path as a control process beside this one,
    /// which sends no further requests. This one is ended once the new one has taken over, or gets
    /// `NotReplaced`.
    Reexec,
    /// Become the program that is now at the daemon's path, in the same process, if that program can
    /// read the keeper's state. Answered by `KeeperReplaced` or `KeeperNotReplaced`; this process
    /// goes on meanwhile.
    ReexecKeeper,
    /// Everything has been stopped: exit with this code.
    Quit {
        /// The daemon's exit code.
        code: u8,
    },
}

/// From the keeper to the control process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Notice {
    /// First frame on every connection. Carries the listening control socket as its descriptor.
    /// Records, runs and facts follow in frames of their own, up to `HelloEnd`; [`crate::hello`]
    /// gathers them.
    Hello(Box<Hello>),
    /// Part of the hello: the last `Remember` of a service.
    Record {
        /// The service.
        service: String,
        /// Unchanged since `Remember`.
        record: String,
    },
    /// Part of the hello: a run that lives, or that has ended and is not yet acknowledged and
    /// swept.
    Run(Box<RunInfo>),
    /// The hello is complete.
    HelloEnd,
    /// Something has happened; told again with the next hello until acknowledged.
    Fact(Numbered),
    /// The log pipes of opened services: carries duplicates of the read and the write end of each,
    /// in this order, so that nobody dies of SIGPIPE should the keeper die.
    Opened {
        /// The services.
        services: Vec<String>,
    },
    /// The answer to `Stats`: one entry a service that has a log.
    Stats {
        /// By name.
        logs: Vec<LogStats>,
    },
    /// Everything that an earlier keeper's runs have left; sent when that has changed. See
    /// [`Hello`].
    Remaining {
        /// Services with leftovers; others are not listed.
        remaining: Vec<Remaining>,
    },
    /// The answer to `Sync`: everything that runs had said and done by the time of the question has
    /// been reported. No answer comes while another control process is being started.
    Synced {
        /// Taken from the question.
        at_ms: u64,
    },
    /// Children of the keeper that belong to no run that it knows of, all of them; said when they
    /// change, and to a control process that has taken over.
    Strays {
        /// Strays, which are left alone; empty once all have gone.
        strays: Vec<Stray>,
    },
    /// State of a service's log, sent when the state has changed; after `TookOver`, sent for every
    /// log with a trouble.
    Log {
        /// The service.
        service: String,
        /// None: the trouble is over.
        trouble: Option<LogTrouble>,
    },
    /// Answer with `Here`.
    AreYouThere,
    /// These paths were missing and have been made again. Carries the new listening control socket
    /// if `listener`, and then the new locks, in the order in which the control process inherited
    /// them, if `locks`.
    MadeAgain {
        /// Files and directories of the keeper's.
        paths: Vec<PathBuf>,
        /// Whether the control socket is new; clients may still wait at the old one.
        listener: bool,
        /// Whether the locks are new; the control process holds them open in place of the old ones.
        locks: bool,
    },
    /// The answer to `Reexec` when no other control process has taken over, so this one continues.
    NotReplaced {
        /// Reason, for people.
        why: String,
    },
    /// The answer to `ReexecKeeper`, from the new program.
    KeeperReplaced {
        /// Version of the program.
        version: String,
        /// [`Hello::keeper_execs`] from now on.
        execs: u32,
    },
    /// The answer to `ReexecKeeper` when the keeper's program stays what it was.
    KeeperNotReplaced {
        /// Reason.
        why: KeeperRefusal,
    },
}

/// How much a service has logged since the keeper started, or since it came into the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStats {
    /// The service.
    pub service: String,
    /// Bytes written to the log files, stamps included.
    pub bytes: u64,
    /// Lines that could not be written.
    pub dropped_lines: u64,
}

/// Why a log is in trouble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "log", rename_all = "kebab-case")]
pub enum LogTrouble {
    /// Lines cannot be written and are lost.
    LosesLines {
        /// Lines lost since the trouble began, at least.
        lines: u64,
        /// Error of the system, for people.
        why: String,
    },
    /// `current` cannot be renamed, so it grows over its size.
    NotRotated {
        /// Error of the system, for people.
        why: String,
    },
}

/// A fact and its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    /// Counts up from 1.
    pub seq: u64,
    /// The event.
    pub fact: Fact,
}

/// Everything that a new control process needs to continue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`] of the keeper.
    pub version: u32,
    /// Version of the keeper's program.
    pub keeper_version: String,
    /// Times that the keeper has become another program since it started.
    pub keeper_execs: u32,
    /// Why the program that was installed last did not become the keeper's.
    pub keeper_refusal: Option<KeeperRefusal>,
    /// Pid of the keeper.
    pub keeper_pid: i32,
    /// When the keeper started, milliseconds on `CLOCK_MONOTONIC`.
    pub started_ms: u64,
    /// Control processes that have died since then.
    pub control_deaths: u32,
    /// Every run has a lower number.
    pub next_run: RunId,
    /// Last `Remember` of every service, from [`Notice::Record`].
    #[serde(skip)]
    pub records: BTreeMap<String, String>,
    /// Every run that lives, or that has ended and is not yet acknowledged and swept, from
    /// [`Notice::Run`].
    #[serde(skip)]
    pub runs: Vec<RunInfo>,
    /// Facts that no control process has acknowledged, oldest first, from [`Notice::Fact`].
    #[serde(skip)]
    pub facts: Vec<Numbered>,
    /// Processes of an earlier keeper that were stopped at the start, for the log.
    pub leftovers: Vec<String>,
    /// Whether the program that was installed last took over and failed, so that an earlier one
    /// runs.
    #[serde(default)]
    pub went_back: bool,
    /// Processes of an earlier keeper that SIGKILL has not ended. Their services cannot be started:
    /// a `Spawn` fails with [`SpawnStage::Leftovers`] as long as the processes exist.
    #[serde(default)]
    pub remaining: Vec<Remaining>,
}

/// Processes of a service, from an earlier keeper's run, that SIGKILL has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remaining {
    /// The service.
    pub service: String,
    /// The processes.
    pub left: Vec<Left>,
}

/// State of a run, as far as the keeper knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Number of the run.
    pub run: RunId,
    /// Service of the run.
    pub service: String,
    /// Main process or helper.
    pub role: Role,
    /// Main process.
    pub pid: i32,
    /// When it was spawned, milliseconds on `CLOCK_MONOTONIC`.
    pub spawned_ms: u64,
    /// How it ended, if it has.
    pub exit: Option<Exit>,
    /// Whether the main process left a core dump.
    pub core: bool,
    /// Whether all processes of the run are gone.
    pub swept: bool,
    /// Processes that SIGKILL had not ended by the last report.
    #[serde(default)]
    pub left: Vec<Left>,
    /// Last value of each notify key.
    pub notified: BTreeMap<String, String>,
}

/// An event that the control process cannot refuse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Fact {
    /// Exec succeeded.
    Spawned {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: i32,
        /// Milliseconds on `CLOCK_MONOTONIC`.
        at_ms: u64,
    },
    /// No process was started.
    Failed {
        /// The run.
        run: RunId,
        /// The step that failed.
        stage: SpawnStage,
        /// The error number.
        errno: i32,
    },
    /// The main process has ended and has been reaped.
    Exited {
        /// The run.
        run: RunId,
        /// How the main process ended.
        exit: Exit,
        /// Whether it left a core dump.
        core: bool,
        /// Milliseconds on `CLOCK_MONOTONIC`.
        at_ms: u64,
        /// Whether the keeper killed it because its `timeout_ms` was over.
        timed_out: bool,
        /// Last output of a helper; empty for a main process.
        output: String,
    },
    /// All processes of the run are gone, except those listed. The main process may be among these,
    /// if SIGKILL has not ended it; then `Exited` follows if the process ends at last. Reported
    /// again when the list changes.
    Swept {
        /// The run.
        run: RunId,
        /// Processes that SIGKILL has not ended.
        left: Vec<Left>,
    },
    /// A process of the service has sent this to its notify socket.
    Notified {
        /// Current main run of the service.
        run: RunId,
        /// `READY`, `STATUS`, `EXTEND_TIMEOUT_USEC`, …
        key: String,
        /// Text behind the `=`.
        value: String,
    },
    /// The keeper got SIGTERM, SIGINT, SIGQUIT or SIGHUP.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
}

impl Fact {
    /// The run that the fact is about; none: the daemon itself.
    #[must_use]
    pub const fn run(&self) -> Option<RunId> {
        match self {
            Self::Spawned { run, .. }
            | Self::Failed { run, .. }
            | Self::Exited { run, .. }
            | Self::Swept { run, .. }
            | Self::Notified { run, .. } => Some(*run),
            Self::Signalled { .. } => None,
        }
    }
}
