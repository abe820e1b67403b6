//! The numbers that identify services and runs, and the engine's clock.

use alloc::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A service of the plan. The control process assigns one number to each name. All control
/// processes of a keeper use the same numbers, since records name other services by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceId(pub u32);

/// A set of services.
pub(crate) type Ids = BTreeSet<ServiceId>;

/// One execution of one process: of a service, an exec probe, a validator or a reload command.
/// Never reused while the keeper lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId(pub u64);

/// A point on the machine's monotonic clock, in milliseconds since boot.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Moment(pub u64);

impl Moment {
    /// This moment plus `ms` milliseconds; never wraps.
    #[must_use]
    pub const fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
