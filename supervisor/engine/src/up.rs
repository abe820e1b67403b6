//! A run that is up: what its probes and its watchdog know of it, and how its last reload ended.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::ids::{Moment, RunId};

/// A run that is up, whether it reloads or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Up {
    /// The main run.
    pub run: RunId,
    /// When the run became ready.
    pub ready_since: Moment,
    /// When the count of early ends is cleared; `None` once cleared.
    pub stable_at: Option<Moment>,
    /// The liveness probe, if the service has one.
    pub liveness: Option<Probing>,
    /// The health probe, if the service has one.
    pub health: Option<ReportedProbe>,
    /// The watchdog, if the service has one.
    pub watchdog: Option<Watching>,
}

/// A probe whose last failure is shown: of health, or of the confirmation of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedProbe {
    /// The progress of the probe.
    #[serde(flatten)]
    pub probing: Probing,
    /// What the last failure said, in words for people; may be empty.
    pub said: String,
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

/// How a reload has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// All steps asked for have shown that the run has the new configuration.
    Done,
    /// The validator rejected the new configuration, or could not run; in words for people.
    Refused(String),
    /// The reload command failed; in words for people.
    Failed(String),
    /// The reload was not done in time.
    TimedOut,
    /// No confirmation in time that the run has the new configuration; what the last answer said.
    NotConfirmed(String),
    /// A new plan has taken away the service's way to reload.
    Impossible,
}

impl ReloadOutcome {
    /// Whether the run still has its earlier configuration, as far as is known.
    pub fn is_failure(&self) -> bool {
        *self != Self::Done
    }
}

/// The watchdog of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// When silence becomes a failure; `None` once it has, and for a run without a watchdog
    /// timeout.
    pub by: Option<Moment>,
    /// The verdict so far; `None` before the run has said anything.
    pub verdict: Option<WatchdogVerdict>,
}

/// What a watchdog knows of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchdogVerdict {
    /// The run has said in time that it is alive.
    Alive,
    /// The run has been silent for too long.
    Silent,
    /// The run has said itself that it has failed.
    Triggered,
}

impl Up {
    /// The run's liveness and health probes, where the service has them.
    pub(crate) fn probes_mut(&mut self) -> (Option<&mut Probing>, Option<&mut Probing>) {
        let health = self.health.as_mut().map(|it| &mut it.probing);
        (self.liveness.as_mut(), health)
    }

    /// Whether the run is healthy; a single negative verdict decides.
    pub(crate) fn verdict(&self) -> Option<bool> {
        let health = self.health.as_ref().and_then(|it| it.probing.verdict);
        let watchdog = self.watchdog.and_then(|it| it.verdict);
        let watchdog = watchdog.map(|it| it == WatchdogVerdict::Alive);
        health.into_iter().chain(watchdog).min()
    }
}
