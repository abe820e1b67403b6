//! Why a run is told to go down. Worked out when it is told, so that each end has one cause,
//! whatever is asked for while the run goes down.

use serde::{Deserialize, Serialize};

use crate::ids::ServiceId;

/// Why a run is told to go down.
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

    /// Which of two reasons counts: one of its own before one along with another, else the first.
    pub(crate) const fn or(self, before: Option<Self>) -> Self {
        match (before, self) {
            (None | Some(Self::Along(_)), Self::Restart | Self::Plan) | (None, Self::Along(_)) => {
                self
            }
            (Some(before), _) => before,
        }
    }
}
