//! A run that is up: what its probes and its watchdog know of it, and how its last reload ended.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::ids::{Moment, RunId};

/// A run that is up, whether it reloads or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Up {
    /// Its main run.
    pub run: RunId,
    /// When it became ready.
    pub ready_since: Moment,
    /// When the count of early deaths is cleared; `None` once it is.
    pub stable_at: Option<Moment>,
    /// The liveness probe, if it has one.
    pub liveness: Option<Probing>,
    /// The health probe, if it has one.
    pub health: Option<ReportedProbe>,
    /// The watchdog, if it has one.
    pub watchdog: Option<Watching>,
}

/// A probe of which the last no is shown: of health, or of the confirmation of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedProbe {
    /// How far the probe is.
    #[serde(flatten)]
    pub probing: Probing,
    /// What the last no said, in words for people; may be empty.
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

/// The watchdog of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// When silence is a failure; `None` once it is, and for a run that need not speak.
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
    /// Its probes of liveness and health, where it has them.
    pub(crate) fn probes_mut(&mut self) -> (Option<&mut Probing>, Option<&mut Probing>) {
        let health = self.health.as_mut().map(|it| &mut it.probing);
        (self.liveness.as_mut(), health)
    }

    /// What is said of its health; a single no decides.
    pub(crate) fn verdict(&self) -> Option<bool> {
        let health = self.health.as_ref().and_then(|it| it.probing.verdict);
        let watchdog = self.watchdog.and_then(|it| it.verdict);
        let watchdog = watchdog.map(|it| it == WatchdogVerdict::Alive);
        health.into_iter().chain(watchdog).min()
    }
}
