//! What can happen to the engine: commands (which may be refused) and facts (which may not).

use alloc::{boxed::Box, collections::BTreeSet, string::String, vec::Vec};

use run_model::Exit;
use serde::{Deserialize, Serialize};

use crate::{
    detail::Detail,
    effect::ProbeKind,
    ids::{Moment, RunId, ServiceId},
    lease::Lease,
    spec::Spec,
    state::Hold,
};

/// One thing that happens to the engine.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody asks for something.
    Command(Command),
    /// Something has happened.
    Fact(Fact),
    /// Time has passed; spurious timeouts are harmless.
    Timeout {
        /// All that runs had said and done by then has been taken in: silence up to it is silence.
        heard: Moment,
    },
}

/// A request. Targets are handled as one set: a service that several of them imply is acted on
/// once.
#[derive(Clone, Debug)]
pub enum Command {
    /// Goal up; lifts the holds of the targets and of all that they require.
    Start(BTreeSet<ServiceId>),
    /// As `Start`, and the targets are not restarted when they end by themselves.
    Once(BTreeSet<ServiceId>),
    /// The time of these oneshots has come: each runs, again if it has run before. Lifts nothing;
    /// refused while one of them is held or on its way.
    Run(BTreeSet<ServiceId>),
    /// Work for a job, which runs for this request, again and again as its policy says. Lifts the
    /// hold of the job itself; refused while a job is on its way.
    Job {
        /// The job.
        job: ServiceId,
        /// Names the request; the engine only keeps it.
        request: String,
    },
    /// A job that runs has these stopped, with what requires them, until it gives them back or is
    /// over.
    Lease {
        /// The job.
        job: ServiceId,
        /// What is to stop; what it has had stopped before stays so.
        services: BTreeSet<ServiceId>,
    },
    /// A job gives back all that it has had stopped.
    Release {
        /// The job.
        job: ServiceId,
    },
    /// Goal down and hold; what requires a target stops first and waits for it.
    Stop(BTreeSet<ServiceId>, Hold),
    /// Stop and start again, together with what requires a target and is up. Lifts the targets' own
    /// holds.
    Restart(BTreeSet<ServiceId>),
    /// Take a new configuration without ending.
    Reload(BTreeSet<ServiceId>),
    /// Send a signal to the main processes.
    Signal(BTreeSet<ServiceId>, i32),
    /// A plan has been made: exactly these services exist now. A service new to the engine gets
    /// goal up unless it is restored as held. One that is missing is stopped and then forgotten.
    Apply(Vec<(ServiceId, Box<Spec>, ProcessImpact)>),
    /// Stop everything in reverse order. Whatever still runs after `deadline_ms` is killed.
    /// A second one with a shorter deadline shortens it.
    Shutdown {
        /// Longest time until SIGKILL to what is left.
        deadline_ms: u64,
    },
}

/// What a new plan means for the process of a service that runs.
///
/// Coarser than `PlanImpact` of the API, which also names a service that comes, goes or changes
/// without its process: those the engine reads off its own goals and states, and a plan that named
/// them as well could contradict these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessImpact {
    /// The process goes on: only policy changes, which is taken over in place.
    Keep,
    /// The process takes the change by a reload; without a way to reload it is replaced.
    Reload,
    /// The process is replaced.
    Restart,
}

/// Something that has happened. The run says to which service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// The validator run has ended, or could not be started.
    Validated {
        /// The validator's own run.
        run: RunId,
        /// Whether the service may go on; if not, why, in words for people.
        verdict: Result<(), String>,
    },
    /// Exec has succeeded.
    Spawned {
        /// The new run.
        run: RunId,
    },
    /// There is no process.
    SpawnFailed {
        /// The run that did not come to be.
        run: RunId,
        /// Worth another try: EAGAIN, EMFILE, ENOMEM, ETXTBSY, a port in use.
        transient: bool,
        /// Stage and errno, or what the start lacks.
        reason: Detail,
    },
    /// No process was made, because something of an earlier run is left.
    SpawnRefused {
        /// The run that did not come to be.
        run: RunId,
        /// How many processes are known to be left; at least one.
        left: u32,
    },
    /// The run has said something of itself.
    Notified {
        /// A service's main run.
        run: RunId,
        /// What.
        what: Notification,
    },
    /// One attempt of a probe has ended.
    Probed {
        /// The service's main run that was probed.
        run: RunId,
        /// Which of its probes.
        probe: ProbeKind,
        /// The verdict of this attempt alone.
        ok: bool,
        /// In words, for people; may be empty.
        detail: String,
    },
    /// The reload command has ended.
    Reloaded {
        /// The command's own run.
        run: RunId,
        /// Whether that worked; if not, why, in words for people.
        outcome: Result<(), String>,
    },
    /// The main process has ended.
    Exited {
        /// The run that is over.
        run: RunId,
        /// How.
        exit: Exit,
    },
    /// Everything that belonged to the run has been killed and is gone, or would not go.
    Swept {
        /// The run that is over; or, with something left, that was killed and whose main process
        /// may be among what is left.
        run: RunId,
        /// Processes that would not go; zero means clean.
        left: u32,
    },
}

/// What a run says of itself: by `sd_notify(3)`, by the descriptor for its readiness, or by a line
/// in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notification {
    /// `READY=1`: the run is ready, or has finished reloading.
    Ready,
    /// The run has written the newline or the log line that makes it ready.
    ReadySignal,
    /// The run has closed its descriptor for readiness without a newline.
    ReadyClosed,
    /// `RELOADING=1`: the run takes a new configuration, and is ready again only when it says so.
    Reloading,
    /// `WATCHDOG=1`: the run is alive.
    Alive,
    /// `WATCHDOG_USEC=`: how long its watchdog may hear nothing from now on.
    WatchdogTimeout {
        /// Longest silence in milliseconds; zero: for ever.
        ms: u64,
    },
    /// `WATCHDOG=trigger`: the run has failed, as if it had been silent for too long.
    WatchdogTrigger,
    /// `EXTEND_TIMEOUT_USEC=`: the run needs more time for what it is doing now: start, reload or
    /// stop.
    ExtendTimeout {
        /// Milliseconds from now on.
        ms: u64,
    },
}

impl Fact {
    /// The run that it is about.
    pub const fn run(&self) -> RunId {
        match self {
            Self::Validated { run, .. }
            | Self::Spawned { run, .. }
            | Self::SpawnFailed { run, .. }
            | Self::SpawnRefused { run, .. }
            | Self::Notified { run, .. }
            | Self::Probed { run, .. }
            | Self::Reloaded { run, .. }
            | Self::Exited { run, .. }
            | Self::Swept { run, .. } => *run,
        }
    }
}

/// What became of a command that was not refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Services whose goal or run the command changes; empty when there was nothing to do.
    pub affected: BTreeSet<ServiceId>,
    /// Holds that it lifted, with what they were.
    pub lifted: Vec<(ServiceId, Hold)>,
    /// Services that are not targets and stop, or restart, because of it.
    pub dependents: BTreeSet<ServiceId>,
    /// Completed services that are not targets and run again because of it, once what they require
    /// is back.
    pub reruns: BTreeSet<ServiceId>,
}

impl Accepted {
    /// Whether the command makes a difference to this service.
    pub fn touches(&self, service: ServiceId) -> bool {
        [&self.affected, &self.dependents, &self.reruns]
            .iter()
            .any(|ids| ids.contains(&service))
    }
}

/// Why a command cannot be done. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such service (or it is disabled: the caller knows which).
    Unknown(ServiceId),
    /// Everything is being stopped.
    ShuttingDown,
    /// A restart over a held requirement.
    RequirementHeld {
        /// What was asked for.
        service: ServiceId,
        /// What it requires.
        requirement: ServiceId,
        /// Who held that, and when.
        hold: Hold,
    },
    /// A scheduled run of what somebody has stopped.
    Held {
        /// What was to run.
        service: ServiceId,
        /// Who held it, and when.
        hold: Hold,
    },
    /// A scheduled run of what is on its way already.
    AlreadyRunning(ServiceId),
    /// A scheduled run of what is meant to stay up.
    NotOneshot(ServiceId),
    /// It has no process to signal or reload.
    NotRunning(ServiceId),
    /// It has no way to reload.
    CannotReload(ServiceId),
    /// A job is on its way, and there is one at a time.
    JobRuns(ServiceId),
    /// It is no job.
    NotJob(ServiceId),
    /// It is a job, which only a request for its work starts.
    IsJob(ServiceId),
    /// The job does not run, so it can have nothing stopped.
    NoJob(ServiceId),
    /// The job would have itself stopped.
    LeasesItself {
        /// The job.
        job: ServiceId,
        /// What it is, or requires.
        service: ServiceId,
    },
    /// A job keeps it stopped, or what it requires.
    Leased {
        /// What was asked for.
        service: ServiceId,
        /// It, or what it requires.
        requirement: ServiceId,
        /// Which job has that, and since when.
        lease: Lease,
    },
    /// The plan's dependencies form this loop.
    Cycle(Vec<ServiceId>),
}
