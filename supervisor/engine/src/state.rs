//! What is wanted of a service (goal, hold), what it is (state), and how that is shown (view).
//!
//! A state carries what it alone needs, deadlines included, so nothing of it outlives it.

use alloc::{collections::BTreeSet, string::String};

use run_model::Exit;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{Moment, RunId, ServiceId},
    lease::Lease,
    order::Order,
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

/// What a service is. Each variant carries what it alone needs, deadlines included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// No process, and none is due.
    Stopped,
    /// Wants to start; these have not settled, or are needed and not ready.
    Waiting {
        /// What it waits for; never empty.
        on: BTreeSet<ServiceId>,
    },
    /// Its validator judges whether it may start.
    Validating {
        /// The validator's run.
        run: RunId,
    },
    /// Its process is being made.
    Spawning {
        /// The run to be.
        run: RunId,
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
        #[serde(default)]
        ready_at: Option<Moment>,
        /// When exec succeeded.
        spawned_at: Moment,
    },
    /// Up and ready.
    Running {
        /// The run, and what is watched of it.
        #[serde(flatten)]
        up: Up,
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
        confirm: Option<Confirming>,
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
        /// Somebody has asked for a start meanwhile: that follows, whatever the run ended of.
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
    /// Its work is done: a oneshot's, or that of a daemon which ended with success and is not restarted after
    /// that.
    Completed,
}

/// A run that is up, whether it reloads or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Up {
    /// Its main run.
    pub run: RunId,
    /// When the count of early deaths is cleared; `None` once it is.
    pub stable_at: Option<Moment>,
    /// The liveness probe, if it has one.
    pub liveness: Option<Probing>,
    /// The health probe, if it has one.
    pub health: Option<Probing>,
    /// The watchdog, if it has one.
    #[serde(default)]
    pub watchdog: Option<Watching>,
}

/// The confirmation of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirming {
    /// How far the question is.
    #[serde(flatten)]
    pub probing: Probing,
    /// What the last no said, in words for people; may be empty.
    pub said: String,
}

/// How a reload has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// All that was asked of it says that it has the new configuration.
    Done,
    /// Its validator refused that, or could not be run; in words for people.
    Refused(String),
    /// Its reload command failed; in words for people.
    Failed(String),
    /// It was not done in time.
    TimedOut,
    /// Nothing has shown in time that it has the new configuration; what the last answer said.
    NotConfirmed(String),
    /// A new plan has taken away its way to reload.
    Impossible,
}

impl ReloadOutcome {
    /// The run has the configuration that it had before, as far as is known.
    pub fn is_failure(&self) -> bool {
        *self != Self::Done
    }
}

/// Why a run that is up is not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unhealthy {
    /// Its health probe says no; in words for people, may be empty.
    Probe(String),
    /// Its watchdog has heard nothing in time, or was triggered by the run itself.
    Watchdog {
        /// The run has done it.
        triggered: bool,
    },
}

/// The watchdog of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// When silence is a failure; `None` once it is, and for a run that need not speak.
    pub by: Option<Moment>,
    /// The verdict so far; `None` before the run has said anything.
    pub verdict: Option<bool>,
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

/// One probe of one run. The counts start at zero for each run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probing {
    /// When the next attempt is due; `None` while one is under way.
    pub next_at: Option<Moment>,
    /// Failures in a row.
    pub failures: u32,
    /// Successes in a row.
    pub successes: u32,
    /// The verdict so far; `None` before the first threshold is reached.
    pub verdict: Option<bool>,
}

/// Whether a service has come to rest after a start, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Still under way.
    No,
    /// Up and ready.
    Ready,
    /// Its work is done.
    Completed,
    /// Failed for good.
    Failed,
    /// Down, as somebody wants it.
    Held,
    /// Crashed; the next start is due later.
    Backoff,
    /// Waiting on something that has itself settled without being ready.
    WaitingOn(ServiceId),
}

/// Why a service has failed: it will not come back without a command (or a new plan).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Exec was impossible; the stage and errno in words.
    Spawn(String),
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

/// Everything about a service that may be shown. A copy: it does not follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What is wanted.
    pub goal: Goal,
    /// Who stopped it, if somebody did.
    pub hold: Option<Hold>,
    /// What it is.
    pub state: State,
    /// Up and ready, or completed.
    pub ready: bool,
    /// The verdict of the health probe and the watchdog; `None` without either, or before the first.
    pub healthy: Option<bool>,
    /// The job that keeps it stopped, if one does.
    pub lease: Option<Lease>,
    /// Of a job: names the request that it works on, or has worked on last.
    pub request: Option<String>,
    /// When it came into this state.
    pub since: Moment,
    /// When its run became ready, while it is up: no reload changes that.
    pub up_since: Option<Moment>,
    /// It is not restarted when it ends by itself: it was started by [`crate::Command::Once`].
    pub once: bool,
    /// A oneshot that has not run since the daemon started, and waits for its time.
    pub unrun: bool,
    /// The process that is being made or stopped is its validator's, not its own.
    pub validating: bool,
    /// Automatic restarts since the last manual start.
    pub restarts: u32,
    /// How the last run ended, and when.
    pub last_exit: Option<(Exit, Moment)>,
    /// In words, for people: why the last start failed, or what a start waits for; may be empty.
    pub detail: String,
    /// Why `healthy` is a no.
    pub unhealthy: Option<Unhealthy>,
    /// How the last reload of this run ended; none: there was none, or one is under way.
    pub last_reload: Option<ReloadOutcome>,
}

impl Up {
    /// What is said of its health; a single no decides.
    pub(crate) fn verdict(&self) -> Option<bool> {
        let health = self.health.and_then(|it| it.verdict);
        let watchdog = self.watchdog.and_then(|it| it.verdict);
        health.into_iter().chain(watchdog).min()
    }
}

impl State {
    /// The run that is up.
    pub(crate) const fn up(&self) -> Option<&Up> {
        match self {
            Self::Running { up } | Self::Reloading { up, .. } => Some(up),
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

    /// The same, to be changed.
    pub(crate) const fn up_mut(&mut self) -> Option<&mut Up> {
        match self {
            Self::Running { up } | Self::Reloading { up, .. } => Some(up),
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
