//! What keeper and control process say to each other: small, versioned, one JSON object a frame.
//!
//! A frame is a `u32` length (little endian) and that many bytes of JSON, over a unix stream
//! socket pair; file descriptors ride along with the frame whose doc says so. Unknown fields are
//! tolerated, since a newer control process may talk to an older keeper.
//!
//! Order is kept: what is sent first is done first, so a `Remember` sent before a `Spawn` is
//! held before the process exists.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

mod remaining;
mod spawn;
mod spawn_stage;

pub use remaining::{Kept, Left, Stray};
pub use run_model::{Escalation, Exit, Stop};
pub use spawn::{Forward, Ids, Open, Role, Spawn};
pub use spawn_stage::SpawnStage;

/// Version of the message set; told in [`Hello`].
pub const VERSION: u32 = 1;
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
        /// What the control process wants back from `Hello`.
        record: String,
    },
    /// The service is gone from the plan: close its pipe, drop its record and its cgroup.
    Forget {
        /// The service.
        service: String,
    },
    /// Send this to `NOTIFY_SOCKET`, where there is one.
    TellInit {
        /// As in `sd_notify(3)`, lines of `KEY=value`.
        message: String,
    },
    /// Facts up to and including this number have been taken in.
    Ack {
        /// Sequence number.
        seq: u64,
    },
    /// Sign of life, in answer to `AreYouThere`.
    Here,
    /// Say when all has been told that had arrived by now. Answered by `Synced`, behind the facts.
    Sync {
        /// When it was asked, milliseconds on `CLOCK_MONOTONIC`: the name of the question.
        at_ms: u64,
    },
    /// Start the binary that is now at the daemon's path as a control process beside this one,
    /// which asks nothing more. It is ended once the new one has taken over, or hears
    /// `NotReplaced`.
    Reexec,
    /// All has been stopped: end with this code.
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
    /// What there is to tell follows in frames of their own, up to `HelloEnd`; [`crate::hello`]
    /// gathers them.
    Hello(Box<Hello>),
    /// Part of the hello: the last `Remember` of a service.
    Record {
        /// The service.
        service: String,
        /// As it came.
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
    /// What an earlier keeper's runs have left, all of it; said when it has changed. See [`Hello`].
    Remaining {
        /// Services without anything left are not among them.
        remaining: Vec<Remaining>,
    },
    /// The answer to `Sync`: what runs had said and done when it was asked has been told. There is
    /// none while another control process is being started.
    Synced {
        /// From the question.
        at_ms: u64,
    },
    /// Children of the keeper that belong to no run that it knows of, all of them; said when they
    /// change, and to a control process that has taken over.
    Strays {
        /// What is left alone; empty once all have gone.
        strays: Vec<Stray>,
    },
    /// How the log of a service stands, when that has changed; after `TookOver` those that are not
    /// well.
    Log {
        /// The service.
        service: String,
        /// None: it is well again.
        trouble: Option<LogTrouble>,
    },
    /// Answer with `Here`.
    AreYouThere,
    /// These were missing and have been made again. Carries the control socket that is listened on
    /// from now on, if `listener`, and then what the control process inherited as its locks, if
    /// `locks`.
    MadeAgain {
        /// Files and directories of the keeper's.
        paths: Vec<PathBuf>,
        /// Clients may still wait at the one before.
        listener: bool,
        /// To be held open in the place of the ones before.
        locks: bool,
    },
    /// In answer to `Reexec`: no other has taken over, so this one goes on.
    NotReplaced {
        /// For people.
        why: String,
    },
}

/// How much a service has logged since the keeper started, or since it came into the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStats {
    /// The service.
    pub service: String,
    /// Written to its files, stamps included.
    pub bytes: u64,
    /// Lines that could not be written.
    pub dropped_lines: u64,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "log", rename_all = "kebab-case")]
pub enum LogTrouble {
    /// Lines cannot be written and are lost.
    LosesLines {
        /// Since it began, at least.
        lines: u64,
        /// For people: what the system says.
        why: String,
    },
    /// `current` cannot be renamed, so it grows over its size.
    NotRotated {
        /// For people: what the system says.
        why: String,
    },
}

/// A fact and its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    /// Counts up from 1.
    pub seq: u64,
    /// What happened.
    pub fact: Fact,
}

/// All that a new control process needs to go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`] of the keeper.
    pub version: u32,
    /// Its pid.
    pub keeper_pid: i32,
    /// When the keeper started, milliseconds on `CLOCK_MONOTONIC`.
    pub started_ms: u64,
    /// Control processes that have died since.
    pub control_deaths: u32,
    /// No run has a number as high as this.
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
    /// The program that was installed last took over and did not work, so an earlier one runs.
    #[serde(default)]
    pub went_back: bool,
    /// Processes of an earlier keeper that would not go. Their services cannot be started: a
    /// `Spawn` fails with [`SpawnStage::Leftovers`] as long as they are there.
    #[serde(default)]
    pub remaining: Vec<Remaining>,
}

/// What an earlier keeper's run of a service has left, and SIGKILL has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remaining {
    /// The service.
    pub service: String,
    /// Its processes.
    pub left: Vec<Left>,
}

/// What the keeper knows of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Its number.
    pub run: RunId,
    /// Whose.
    pub service: String,
    /// What for.
    pub role: Role,
    /// Main process.
    pub pid: i32,
    /// When it was spawned, milliseconds on `CLOCK_MONOTONIC`.
    pub spawned_ms: u64,
    /// How it ended, if it has.
    pub exit: Option<Exit>,
    /// It left a core dump.
    pub core: bool,
    /// Everything that belonged to it is gone.
    pub swept: bool,
    /// What would not go when that was last told.
    #[serde(default)]
    pub left: Vec<Left>,
    /// Last value of each notify key.
    pub notified: BTreeMap<String, String>,
}

/// Something that has happened. Cannot be refused.
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
    /// There is no process.
    Failed {
        /// The run.
        run: RunId,
        /// What could not be done.
        stage: SpawnStage,
        /// The error number.
        errno: i32,
    },
    /// The main process has ended and has been reaped.
    Exited {
        /// The run.
        run: RunId,
        /// How.
        exit: Exit,
        /// It left a core dump.
        core: bool,
        /// Milliseconds on `CLOCK_MONOTONIC`.
        at_ms: u64,
        /// Killed because its `timeout_ms` was over.
        timed_out: bool,
        /// Last output of a helper; empty for a main process.
        output: String,
    },
    /// Nothing of the run is left, but for the processes named. Its main process may be among
    /// these, if SIGKILL has not ended it; then `Exited` follows if it ends at last. Told again
    /// when nothing is left, or something else.
    Swept {
        /// The run.
        run: RunId,
        /// What would not go.
        left: Vec<Left>,
    },
    /// A process of the service said this on its notify socket.
    Notified {
        /// Its current main run.
        run: RunId,
        /// `READY`, `STATUS`, `EXTEND_TIMEOUT_USEC`, …
        key: String,
        /// What stood behind the `=`.
        value: String,
    },
    /// The keeper got SIGTERM, SIGINT, SIGQUIT or SIGHUP.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
}
