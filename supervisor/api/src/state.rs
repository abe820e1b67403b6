//! States of a service and of the daemon, and the goal of a service. Each enum has one word per
//! variant, the same on the wire and for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// State of a service: one lower-case word, on the wire and for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// The service does not belong to this host.
    Disabled,
    /// Down, because the service is held or not wanted up.
    Stopped,
    /// Wanted up; starts once the services that it needs are ready.
    Waiting,
    /// The supervisor prepares a run or executes its program.
    Spawning,
    /// A process runs, and has not been ready yet.
    Starting,
    /// A process runs, and has been ready.
    Running,
    /// The process loads a new configuration.
    Reloading,
    /// The supervisor has asked the process to end, or kills what is left of the run.
    Stopping,
    /// The pause before the next automatic start.
    Backoff,
    /// Given up: only a command or a new plan starts the service again.
    Failed,
    /// Ended as intended; no automatic start follows.
    Completed,
    /// The plan no longer has the service. Only outcomes of actions and replies about maintenance
    /// use this state; no status and no event does.
    Gone,
}

impl ServiceState {
    /// Every state that a service of the plan can be in, in the order of a service's life.
    pub const ALL: [Self; 11] = [
        Self::Disabled,
        Self::Stopped,
        Self::Waiting,
        Self::Spawning,
        Self::Starting,
        Self::Running,
        Self::Reloading,
        Self::Stopping,
        Self::Backoff,
        Self::Failed,
        Self::Completed,
    ];

    /// The word for the state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Spawning => "spawning",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Reloading => "reloading",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Gone => "gone",
        }
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The goal of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Run.
    Up,
    /// Stay down.
    Down,
}

/// State of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DaemonState {
    /// Some service has not settled since the daemon started.
    Starting,
    /// The daemon supervises its services.
    Running,
    /// The daemon stops all services, and then ends.
    Stopping,
}

impl DaemonState {
    /// Every state, in the order of the daemon's life.
    pub const ALL: [Self; 3] = [Self::Starting, Self::Running, Self::Stopping];

    /// The word for the state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
        }
    }
}

impl fmt::Display for DaemonState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_for_a_state_is_that_on_the_wire() {
        for state in ServiceState::ALL.into_iter().chain([ServiceState::Gone]) {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for state in DaemonState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
