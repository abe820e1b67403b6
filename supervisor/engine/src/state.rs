//! What a service is meant to be (goal, hold), and what it is (state).
//!
//! A state carries only its own data, deadlines included, so no such data outlives the state.

use alloc::{collections::BTreeSet, string::String};

use run_model::Exit;
use serde::{Deserialize, Serialize};

use crate::{
    detail::Detail,
    ids::{Moment, RunId, ServiceId},
    reasons::StopReason,
    up::{Probing, ReloadOutcome, ReportedProbe, Up},
};

/// Whether a service is meant to be up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// The service should run (a oneshot: have run).
    Up,
    /// The service should not run.
    Down,
}

/// An administrator's explicit stop. A start, a restart or a request for a job's work lifts the
/// hold; nothing else does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who asked, for people: `root`, `alice (uid 1000)`.
    pub by: String,
    /// When, in milliseconds of the Unix epoch. The engine only passes the time on.
    pub at_unix_ms: u64,
}

/// What a service is at the moment. Each variant carries only its own data, deadlines included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// No process, and none is due.
    Stopped,
    /// The service is to start, and waits for dependencies: they have not settled, or are required
    /// and not ready.
    Waiting {
        /// The dependencies; never empty.
        on: BTreeSet<ServiceId>,
    },
    /// The validator runs and decides whether the service may start.
    Validating {
        /// The validator's run.
        run: RunId,
        /// Whether a reload was asked for, which begins once the run is up.
        reload_queued: bool,
    },
    /// The process is being made.
    Spawning {
        /// The run to be.
        run: RunId,
        /// As in `Validating`.
        reload_queued: bool,
    },
    /// Executing, not ready yet.
    Starting {
        /// The main run.
        run: RunId,
        /// When the ready timeout ends.
        ready_by: Option<Moment>,
        /// The readiness probe, if the service has one.
        probe: Option<Probing>,
        /// When the run counts as ready, if time alone decides.
        ready_at: Option<Moment>,
        /// When exec succeeded.
        spawned_at: Moment,
        /// As in `Validating`.
        reload_queued: bool,
    },
    /// Up and ready.
    Running {
        /// The run, with its probes and watchdog.
        #[serde(flatten)]
        up: Up,
        /// How the last reload of the run ended; none: no reload yet.
        last_reload: Option<ReloadOutcome>,
    },
    /// Up, taking a new configuration.
    Reloading {
        /// The run, with its probes and watchdog.
        #[serde(flatten)]
        up: Up,
        /// The process that works on the reload, if any.
        helper: Option<Helper>,
        /// When the reload's timeout ends.
        until: Option<Moment>,
        /// Whether the run will say when it is ready.
        awaits_ready: bool,
        /// The number of the reload; none: the run has begun the reload by itself.
        number: Option<RunId>,
        /// The confirmation of the new configuration, once the engine asks for it.
        confirm: Option<ReportedProbe>,
        /// Whether another reload was asked for, which begins after this one.
        reload_queued: bool,
    },
    /// On its way down.
    Stopping {
        /// The main run, or the validator of a start.
        run: RunId,
        /// Which of the two.
        target: StopTarget,
        /// How far the stop has come.
        phase: StopPhase,
        /// Why the run goes down; decides what follows.
        cause: StopCause,
        /// Whether a start was asked for meanwhile: the start follows, however the run ends.
        then_start: bool,
    },
    /// Between two automatic starts.
    Backoff {
        /// When the next start is due.
        until: Moment,
        /// Early ends in a row.
        attempt: u32,
        /// Whether each of these runs failed.
        failed: bool,
    },
    /// Will not come back without a command.
    Failed {
        /// Why the service failed.
        reason: Failure,
    },
    /// The work of the service is done: the work of a oneshot, or of a daemon which ended with
    /// success and is not restarted after that.
    Completed,
}

/// What works on a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Helper {
    /// The validator of the new configuration.
    Validator(RunId),
    /// The reload command.
    Command(RunId),
}

impl Helper {
    /// The run of this helper.
    pub const fn run(self) -> RunId {
        match self {
            Self::Validator(run) | Self::Command(run) => run,
        }
    }
}

/// Which process a stop ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopTarget {
    /// The main run.
    Main,
    /// The validator of a start that is not wanted any more.
    Validator,
}

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopPhase {
    /// The run has been asked to end.
    Asked {
        /// The last signal sent.
        signal: i32,
        /// When the second signal follows; `None` once sent, or where there is none.
        escalate_at: Option<Moment>,
        /// When SIGKILL follows.
        kill_at: Moment,
    },
    /// SIGKILL has been requested. Only the kernel can still delay the end, or never bring it.
    Killed {
        /// When the run counts as leftover.
        give_up_at: Moment,
        /// Why SIGKILL was requested.
        why: Kill,
    },
    /// The main process has ended; the keeper removes its remaining processes.
    Sweep {
        /// How the main process ended.
        exit: Exit,
        /// Why SIGKILL had been requested by then, if it had.
        killed: Option<Kill>,
    },
}

/// Why a run is sent SIGKILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kill {
    /// The run had been asked to end, and its stop timeout was over.
    StopTimeout,
    /// The run had been asked to end, and the shutdown's time was over before its stop timeout.
    ShutdownDeadline,
    /// The run had not been asked: the shutdown's time was over, or the run did not execute yet.
    Unasked,
}

/// Why a run goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCause {
    /// The run was told to.
    Asked(StopReason),
    /// The run ended by itself.
    Exited,
    /// The run was not ready in time.
    ReadyTimeout,
    /// The liveness probe failed.
    Liveness,
    /// The watchdog heard nothing in time, or was triggered.
    Watchdog,
    /// The run had outlived SIGKILL, and has ended at last.
    Outlived,
}

/// Why a service has failed: only a command (or a new plan) brings the service back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Exec was impossible; the stage and errno, or what the start lacks.
    Spawn(Detail),
    /// The validator rejected the configuration.
    Validator,
    /// The run ended, and the policy says not to restart.
    Exited(Exit),
    /// The run was not ready in time, and the policy says not to restart.
    ReadyTimeout,
    /// The watchdog ended the run, and the policy says not to restart.
    Watchdog,
    /// The service restarted too often.
    StartLimit,
    /// Of a job: this requirement was down for good, so the job could not begin.
    Requirement(ServiceId),
    /// Processes of the last run have not ended.
    Leftovers {
        /// Number of known processes; at least one.
        count: u32,
        /// When the engine next checks whether they have ended, if no exit will be reported.
        look_at: Option<Moment>,
    },
}

impl State {
    /// The run that is up.
    pub(crate) const fn up(&self) -> Option<&Up> {
        match self {
            Self::Running { up, .. } | Self::Reloading { up, .. } => Some(up),
            Self::Stopped
            | Self::Waiting { .. }
            | Self::Validating { .. }
            | Self::Spawning { .. }
            | Self::Starting { .. }
            | Self::Stopping { .. }
            | Self::Backoff { .. }
            | Self::Failed { .. }
            | Self::Completed => None,
        }
    }

    /// Mutable version of [`Self::up`].
    pub(crate) const fn up_mut(&mut self) -> Option<&mut Up> {
        match self {
            Self::Running { up, .. } | Self::Reloading { up, .. } => Some(up),
            Self::Stopped
            | Self::Waiting { .. }
            | Self::Validating { .. }
            | Self::Spawning { .. }
            | Self::Starting { .. }
            | Self::Stopping { .. }
            | Self::Backoff { .. }
            | Self::Failed { .. }
            | Self::Completed => None,
        }
    }

    /// How the last reload of the run ended; none: no reload yet, or a reload is under way.
    pub(crate) const fn last_reload(&self) -> Option<&ReloadOutcome> {
        match self {
            Self::Running { last_reload, .. } => last_reload.as_ref(),
            Self::Stopped
            | Self::Waiting { .. }
            | Self::Validating { .. }
            | Self::Spawning { .. }
            | Self::Starting { .. }
            | Self::Reloading { .. }
            | Self::Stopping { .. }
            | Self::Backoff { .. }
            | Self::Failed { .. }
            | Self::Completed => None,
        }
    }

    /// Remembers a reload that cannot begin now: it waits for the end of the start, or of the
    /// previous reload.
    pub(crate) const fn queue_reload(&mut self) {
        if let Self::Validating { reload_queued, .. }
        | Self::Spawning { reload_queued, .. }
        | Self::Starting { reload_queued, .. }
        | Self::Reloading { reload_queued, .. } = self
        {
            *reload_queued = true;
        }
    }

    /// Whether a reload waits for the end of this start, or of this reload.
    pub(crate) const fn reload_queued(&self) -> bool {
        match self {
            Self::Validating { reload_queued, .. }
            | Self::Spawning { reload_queued, .. }
            | Self::Starting { reload_queued, .. }
            | Self::Reloading { reload_queued, .. } => *reload_queued,
            Self::Stopped
            | Self::Waiting { .. }
            | Self::Running { .. }
            | Self::Stopping { .. }
            | Self::Backoff { .. }
            | Self::Failed { .. }
            | Self::Completed => false,
        }
    }

    /// The lower-case variant, for messages of assertions and for tests.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Waiting { .. } => "waiting",
            // Only `View::validating` tells of a validator.
            Self::Validating { .. } | Self::Spawning { .. } => "spawning",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Reloading { .. } => "reloading",
            Self::Stopping { .. } => "stopping",
            Self::Backoff { .. } => "backoff",
            Self::Failed { .. } => "failed",
            Self::Completed => "completed",
        }
    }
}
