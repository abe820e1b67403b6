//! What a run that is told to go down is told to for. Worked out at the moment at which that is said, so
//! that each end has one cause, whatever is asked for while it goes down.

use serde::{Deserialize, Serialize};

use crate::ids::ServiceId;

/// What a run is told to go down for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// A command stops its service.
    Stop,
    /// A job has its service stopped for its own time.
    Lease(ServiceId),
    /// A command restarts its service.
    Restart,
    /// A plan has its process replaced.
    Plan,
    /// A plan does not have its service any more.
    Removed,
    /// Everything is stopped.
    Shutdown,
    /// What it requires goes down, or is restarted.
    Requirement(ServiceId),
    /// What it is bound to is not up any more.
    Binding(ServiceId),
}

/// Why a service has to go down once before it may be up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RestartReason {
    /// A command restarts it.
    Restart,
    /// A plan has changed it.
    Plan,
    /// It requires what is restarted, directly or not; this is the nearest to it.
    Along(ServiceId),
}

impl RestartReason {
    pub(crate) const fn order(self) -> Order {
        match self {
            Self::Restart => Order::Restart,
            Self::Plan => Order::Plan,
            Self::Along(on) => Order::Requirement(on),
        }
    }

    /// The one that counts of two: what a service is to go down for itself, then the first.
    pub(crate) const fn or(self, before: Option<Self>) -> Self {
        match (before, self) {
            (None | Some(Self::Along(_)), Self::Restart | Self::Plan) | (None, Self::Along(_)) => {
                self
            }
            (Some(before), _) => before,
        }
    }
}
