//! Why a run is told to go down. The engine decides the reason at the moment of the stop, so that
//! each end has one cause, whatever commands come while the run goes down.

use serde::{Deserialize, Serialize};

use crate::ids::ServiceId;

/// Why a run is told to go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// A command stops the service.
    Stop,
    /// A job keeps the service stopped while the job runs.
    Lease(ServiceId),
    /// A command restarts the service.
    Restart,
    /// A plan replaces the process.
    Plan,
    /// The service has left the plan.
    Removed,
    /// The shutdown stops everything.
    Shutdown,
    /// A service that this service requires goes down, or is restarted.
    Requirement(ServiceId),
    /// A service that this service is bound to is no longer up.
    Binding(ServiceId),
}

/// Why a service has to go down once before it may be up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RestartReason {
    /// A command restarts the service.
    Restart,
    /// A plan has changed the service.
    Plan,
    /// The service requires, directly or not, a restarted service; this is the nearest requirement.
    Along(ServiceId),
}

impl RestartReason {
    pub(crate) const fn order(self) -> StopReason {
        match self {
            Self::Restart => StopReason::Restart,
            Self::Plan => StopReason::Plan,
            Self::Along(on) => StopReason::Requirement(on),
        }
    }

    /// Picks one of two reasons: a reason of the service's own before `Along`, else the earlier
    /// reason.
    pub(crate) const fn or(self, before: Option<Self>) -> Self {
        match (before, self) {
            (None | Some(Self::Along(_)), Self::Restart | Self::Plan) | (None, Self::Along(_)) => {
                self
            }
            (Some(before), _) => before,
        }
    }
}
