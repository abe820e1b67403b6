//! What a service and the daemon are at one moment, and what is wanted of a service.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a service is. On the wire and for people it is one lower-case word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// The service does not belong to this host.
    Disabled,
    /// Down, and not wanted up, or held.
    Stopped,
    /// Wanted up, and not started before what it needs is ready.
    Waiting,
    /// A run is being prepared, or its program executed.
    Spawning,
    /// A process runs, and is not ready yet.
    Starting,
    /// A process runs and has been ready.
    Running,
    /// The process takes a new configuration.
    Reloading,
    /// The process is asked to end, or what is left of it is killed.
    Stopping,
    /// The pause before the next automatic start.
    Backoff,
    /// Given up: only a command or a new plan starts it again.
    Failed,
    /// Ended as it should, and not started again by itself.
    Completed,
    /// The plan has no such service any more. No status and no event says so: outcomes of actions
    /// do, and replies about maintenance.
    Gone,
}

impl ServiceState {
    /// Every state that a service of the plan can be in, in the order of a life.
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

    /// The word for it.
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

/// What is wanted of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// It is to run.
    Up,
    /// It is to rest.
    Down,
}

/// What the daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DaemonState {
    /// Not every service has settled since its start.
    Starting,
    /// It looks after its services.
    Running,
    /// It stops them all, and ends then.
    Stopping,
}

impl DaemonState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 3] = [Self::Starting, Self::Running, Self::Stopping];

    /// The word for it.
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
