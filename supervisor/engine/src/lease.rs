//! Leases: a job's right to keep services stopped. A lease ends with its job, however the job ends.
//! A lease is not a hold: a leased service that is wanted starts again by itself.

use serde::{Deserialize, Serialize};

use crate::ids::{Moment, ServiceId};

/// Why a service is kept stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The job that has the lease.
    pub job: ServiceId,
    /// Since when.
    pub since: Moment,
}
