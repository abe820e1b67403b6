//! What is wanted of a service (goal, hold), and what it is (state).
//!
//! A state carries what it alone needs, deadlines included, so nothing of it outlives it.

use alloc::{collections::BTreeSet, string::String};

use run_model::Exit;
use serde::{Deserialize, Serialize};

use crate::{
    detail::Detail,
    ids::{Moment, RunId, ServiceId},
    order::Order,
    up::{Probing, ReloadOutcome, ReportedProbe, Up},
};

/// What is wanted of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// It should run (a oneshot: have run).
    Up,
    /// It should not run.
    Down,
}

/// An administrator's explicit stop. Only an explicit start lifts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who asked, for people: `root`, `alice (uid 1000)`.
    pub by: String,
    /// When, in milliseconds of the Unix epoch. The engine only passes it on.
    pub at_unix_ms: u64,
}

/// What a service is at the moment. Each variant carries what it alone needs, deadlines included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// No process, and none is due.
    Stopped,
    /// Wants to start, and waits for dependencies: they have not settled, or are required and not
    /// ready.
    Waiting {
        /// What it waits for; never empty.
        on: BTreeSet<ServiceId>,
    },
    /// Its validator judges whether it may start.
    Validating {
        /// The validator's run.
        run: RunId,
        /// A reload was asked for, which is begun once the run is up.
        reload_queued: bool,
    },
    /// Its process is being made.
    Spawning {
        /// The run to be.
        run: RunId,
        /// As of a start that validates.
        reload_queued: bool,
    },
    /// Executing, not ready yet.
    Starting {
        /// Its main run.
        run: RunId,
        /// When patience ends.
        ready_by: Option<Moment>,
        /// The readiness probe, if it has one.
        probe: Option<Probing>,
        /// When it counts as ready, if time alone decides.
        ready_at: Option<Moment>,
        /// When exec succeeded.
        spawned_at: Moment,
        /// As of a start that validates.
        reload_queued: bool,
    },
    /// Up and ready.
    Running {
        /// The run, and what is watched of it.
        #[serde(flatten)]
        up: Up,
        /// How the last reload of the run ended; none: there was none.
        last_reload: Option<ReloadOutcome>,
    },
    /// Up, taking a new configuration.
    Reloading {
        /// The run, and what is watched of it.
        #[serde(flatten)]
        up: Up,
        /// What works on the reload, while something does.
        helper: Option<Helper>,
        /// When patience ends.
        until: Option<Moment>,
        /// The run will say when it is ready.
        awaits_ready: bool,
        /// Which reload it is; none: one that the run has begun by itself.
        number: Option<RunId>,
        /// The question whether it has the new configuration, once that is asked.
        confirm: Option<ReportedProbe>,
        /// Another reload was asked for, which is begun after this one.
        reload_queued: bool,
    },
    /// On its way down.
    Stopping {
        /// Its main run, or the validator of a start.
        run: RunId,
        /// Which of the two.
        target: StopTarget,
        /// How far.
        phase: StopPhase,
        /// Why it goes down: decides what follows.
        cause: StopCause,
        /// A start was asked for meanwhile: it follows, however the run ends.
        then_start: bool,
    },
    /// Between two automatic starts.
    Backoff {
        /// When the next start is due.
        until: Moment,
        /// Early ends in a row.
        attempt: u32,
        /// Each of them was a failure.
        failed: bool,
    },
    /// Will not come back without a command.
    Failed {
        /// Why.
        reason: Failure,
    },
    /// Its work is done: a oneshot's, or that of a daemon which ended with success and is not
    /// restarted after that.
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
    /// Its own run.
    pub const fn run(self) -> RunId {
        match self {
            Self::Validator(run) | Self::Command(run) => run,
        }
    }
}

/// What a stop is to end.
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
    /// It has been asked to end.
    Asked {
        /// The signal that was sent last.
        signal: i32,
        /// When a second one follows; `None` once it has, or where there is none.
        escalate_at: Option<Moment>,
        /// When SIGKILL follows.
        kill_at: Moment,
    },
    /// SIGKILL has been asked for. Only the kernel can still delay the end, or refuse it.
    Killed {
        /// When the run counts as one that will not go.
        give_up_at: Moment,
        /// Why it was asked for.
        why: Kill,
    },
    /// The main process is gone; the keeper removes what it left behind.
    Sweep {
        /// How the main process ended.
        exit: Exit,
        /// SIGKILL had been asked for by then, and why.
        killed: Option<Kill>,
    },
}

/// Why a run is sent SIGKILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kill {
    /// It had been asked to end, and its own time for that was over.
    StopTimeout,
    /// It had been asked to end, and the time of the shutdown was over before its own.
    ShutdownDeadline,
    /// It had not been asked: the time of the shutdown was over, or it was not executing yet.
    Unasked,
}

/// Why a run goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCause {
    /// It was told to.
    Asked(Order),
    /// It ended by itself.
    Exited,
    /// It was not ready in time.
    ReadyTimeout,
    /// Its liveness probe failed.
    Liveness,
    /// Its watchdog heard nothing, or was triggered.
    Watchdog,
    /// It had outlived SIGKILL, and has ended at last.
    Outlived,
}

/// Why a service has failed: it will not come back without a command (or a new plan).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Exec was impossible; the stage and errno, or what the start lacks.
    Spawn(Detail),
    /// Its validator refused.
    Validator,
    /// It ended, and its policy says not to restart.
    Exited(Exit),
    /// It was not ready in time, and its policy says not to restart.
    ReadyTimeout,
    /// Its watchdog ended it, and its policy says not to restart.
    Watchdog,
    /// It restarted too often.
    StartLimit,
    /// Of a job: what it requires was down for good, so it could not begin.
    Requirement(ServiceId),
    /// What belonged to its last run would not go away.
    Leftovers {
        /// Processes that are left, as far as known; at least one.
        count: u32,
        /// When it is tried again whether they are gone, if nobody will tell.
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

    /// How the last reload of the run ended; none: there was none, or one is under way.
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

    /// Remembers a reload that cannot be begun now: it waits for the end of the start, or of the
    /// reload before.
    pub(crate) const fn queue_reload(&mut self) {
        if let Self::Validating { reload_queued, .. }
        | Self::Spawning { reload_queued, .. }
        | Self::Starting { reload_queued, .. }
        | Self::Reloading { reload_queued, .. } = self
        {
            *reload_queued = true;
        }
    }

    /// A reload waits for the end of this start, or of this reload.
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

    /// The name that people and the API see: the lower-case variant.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Waiting { .. } => "waiting",
            // Of a validator only `View::validating` tells.
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
