//! The order in which services are shown.

use std::cmp::{Ordering, Reverse};

use api::{ServiceState, ServiceStatus};
use client::render::table;

/// Sort key of the table; the name decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// By name, as `ctl status` sorts.
    Name,
    /// Services in trouble first.
    State,
    /// The busiest services first.
    Cpu,
    /// The largest services first.
    Memory,
    /// The most restarted services first.
    Restarts,
}

impl Order {
    /// The next sort key.
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Name => Self::State,
            Self::State => Self::Cpu,
            Self::Cpu => Self::Memory,
            Self::Memory => Self::Restarts,
            Self::Restarts => Self::Name,
        }
    }

    /// The sort key in one word, for people.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Restarts => "restarts",
        }
    }

    pub(crate) fn compare(self, one: &ServiceStatus, other: &ServiceStatus) -> Ordering {
        let by = match self {
            Self::Name => Ordering::Equal,
            Self::State => urgency(one).cmp(&urgency(other)),
            Self::Cpu => {
                let cpu = |it: &ServiceStatus| it.cpu_percent.unwrap_or(-1.0);
                cpu(other).total_cmp(&cpu(one))
            }
            Self::Memory => Reverse(one.memory_bytes).cmp(&Reverse(other.memory_bytes)),
            Self::Restarts => Reverse(one.restarts).cmp(&Reverse(other.restarts)),
        };
        by.then_with(|| one.name.cmp(&other.name))
    }
}

/// Urgency of a service: the lower, the sooner a person should look.
fn urgency(service: &ServiceStatus) -> u8 {
    if !service.enabled {
        return 6;
    }
    match service.state {
        ServiceState::Failed => 0,
        ServiceState::Backoff => 1,
        _ if table::is_degraded(service) => 2,
        ServiceState::Running | ServiceState::Completed => 4,
        ServiceState::Stopped => 5,
        ServiceState::Disabled => 6,
        _ => 3,
    }
}
