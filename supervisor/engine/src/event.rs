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
    /// A client, a schedule or a plan asks for something.
    Command(Command),
    /// Something has happened.
    Fact(Fact),
    /// Time has passed; spurious timeouts are harmless.
    Timeout {
        /// The engine has heard everything that runs said and did by this moment: no word means
        /// silence.
        heard: Moment,
    },
}

/// A request. The targets are one set: a service that several targets imply is acted on once.
#[derive(Clone, Debug)]
pub enum Command {
    /// Goal up; lifts the holds of the targets and of all that they require.
    Start(BTreeSet<ServiceId>),
    /// As `Start`; in addition the targets stay down when their runs end by themselves.
    Once(BTreeSet<ServiceId>),
    /// The time of these oneshots has come: each of them runs, completed oneshots once more. Lifts
    /// no hold; refused while one of them is held or under way.
    Run(BTreeSet<ServiceId>),
    /// Work for a job, which runs for this request, again and again as its policy says. Lifts the
    /// hold of the job itself; refused while a job is under way.
    Job {
        /// The job.
        job: ServiceId,
        /// The name of the request; the engine keeps it and reads nothing from it.
        request: String,
    },
    /// A running job has these services stopped, with all that requires them, until the job gives
    /// them back or is over.
    Lease {
        /// The job.
        job: ServiceId,
        /// Services to stop, in addition to those that the job has already had stopped.
        services: BTreeSet<ServiceId>,
    },
    /// A job gives back all services that the job has had stopped.
    Release {
        /// The job.
        job: ServiceId,
    },
    /// Goal down and hold; what requires a target stops first and waits for it.
    Stop(BTreeSet<ServiceId>, Hold),
    /// Stop and start again, together with the services that require a target and are up. Lifts the
    /// targets' own holds.
    Restart(BTreeSet<ServiceId>),
    /// Take a new configuration without ending.
    Reload(BTreeSet<ServiceId>),
    /// Send a signal to the main processes.
    Signal(BTreeSet<ServiceId>, i32),
    /// A new plan: exactly these services exist now. A service new to the engine gets goal up
    /// unless its restored record has a hold. A service missing from the plan is stopped and then
    /// forgotten.
    Apply(Vec<(ServiceId, Box<Spec>, ProcessImpact)>),
    /// Stop everything in reverse order. Whatever still runs after `deadline_ms` is killed. A
    /// second shutdown with an earlier deadline shortens the time.
    Shutdown {
        /// Longest time until the remaining runs get SIGKILL.
        deadline_ms: u64,
    },
}

/// What a new plan means for the process of a running service.
///
/// Coarser than `PlanImpact` of the API, which also covers services that come, go or change without
/// their process. The engine derives those cases from its own goals and states; a plan that named
/// them as well could contradict the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessImpact {
    /// The process goes on: only policy changes, and the engine takes policy over in place.
    Keep,
    /// The process takes the change by a reload; without a way to reload it is replaced.
    Reload,
    /// The process is replaced.
    Restart,
}

/// Something that has happened. The run number identifies the service.
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
    /// No process could be made.
    SpawnFailed {
        /// The run that has no process.
        run: RunId,
        /// Whether another try may help: EAGAIN, EMFILE, ENOMEM, ETXTBSY, a port in use.
        transient: bool,
        /// Stage and errno, or what the start lacks.
        reason: Detail,
    },
    /// The keeper made no process, because something of an earlier run is left.
    SpawnRefused {
        /// The run that has no process.
        run: RunId,
        /// How many processes are known to be left; at least one.
        left: u32,
    },
    /// The run has said something about itself.
    Notified {
        /// A service's main run.
        run: RunId,
        /// What the run said.
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
        /// The reload command's own run.
        run: RunId,
        /// Whether the command succeeded; if not, why, in words for people.
        outcome: Result<(), String>,
    },
    /// The main process has ended.
    Exited {
        /// The run that is over.
        run: RunId,
        /// How the process ended.
        exit: Exit,
    },
    /// Everything that belonged to the run has been killed; `left` processes have not ended.
    Swept {
        /// The run that is over. With processes left: the killed run, whose main process may be
        /// among those left.
        run: RunId,
        /// Number of processes that have not ended; zero means clean.
        left: u32,
    },
}

/// What a run says about itself: by `sd_notify(3)`, on its readiness descriptor, or by a line in
/// its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notification {
    /// `READY=1`: the run is ready, or has finished reloading.
    Ready,
    /// The run has written the newline or the log line that makes it ready.
    ReadySignal,
    /// The run has closed its descriptor for readiness without a newline.
    ReadyClosed,
    /// `RELOADING=1`: the run takes a new configuration, and will say when it is ready again.
    Reloading,
    /// `WATCHDOG=1`: the run is alive.
    Alive,
    /// `WATCHDOG_USEC=`: how long the run may be silent from now on.
    WatchdogTimeout {
        /// Longest silence in milliseconds; zero: no limit.
        ms: u64,
    },
    /// `WATCHDOG=trigger`: the run has failed, as if it had been silent for too long.
    WatchdogTrigger,
    /// `EXTEND_TIMEOUT_USEC=`: the run needs more time for its current start, reload or stop.
    ExtendTimeout {
        /// Milliseconds from now on.
        ms: u64,
    },
}

impl Fact {
    /// The run that the fact is about.
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

/// The consequences of an accepted command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Services whose goal or run the command changes; empty when there was nothing to do.
    pub affected: BTreeSet<ServiceId>,
    /// Holds that the command lifted, as they were.
    pub lifted: Vec<(ServiceId, Hold)>,
    /// Services outside the targets that stop, or restart, because of the command.
    pub dependents: BTreeSet<ServiceId>,
    /// Completed services outside the targets that run again because of the command, once their
    /// requirements are back.
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

/// Why the engine refuses a command. A refused command has changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such service (or it is disabled: the caller knows which).
    Unknown(ServiceId),
    /// Everything is being stopped.
    ShuttingDown,
    /// A restart whose target requires a held service.
    RequirementHeld {
        /// The service that was asked for.
        service: ServiceId,
        /// The held service that the target requires.
        requirement: ServiceId,
        /// Who set the hold, and when.
        hold: Hold,
    },
    /// A scheduled run of a service that somebody has stopped.
    Held {
        /// The service that was to run.
        service: ServiceId,
        /// Who set the hold, and when.
        hold: Hold,
    },
    /// A scheduled run of a service whose run is already under way.
    AlreadyRunning(ServiceId),
    /// A scheduled run of a daemon.
    NotOneshot(ServiceId),
    /// The service has no process to signal or reload.
    NotRunning(ServiceId),
    /// The service has no way to reload.
    CannotReload(ServiceId),
    /// A job is under way, and only one job runs at a time.
    JobRuns(ServiceId),
    /// The service is not a job.
    NotJob(ServiceId),
    /// The service is a job, which only a request for its work starts.
    IsJob(ServiceId),
    /// The job does not run, so the job can have no service stopped.
    NoJob(ServiceId),
    /// The job asks to stop itself, or a service that it requires.
    LeasesItself {
        /// The job.
        job: ServiceId,
        /// The job itself, or a service that the job requires.
        service: ServiceId,
    },
    /// A job keeps the service, or a service that it requires, stopped.
    Leased {
        /// The service that was asked for.
        service: ServiceId,
        /// The stopped service: the target, or a service that the target requires.
        requirement: ServiceId,
        /// Which job has the lease, and since when.
        lease: Lease,
    },
    /// The plan's dependencies form this loop.
    Cycle(Vec<ServiceId>),
}
