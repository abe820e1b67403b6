//! Leases: a job's right to keep services stopped. It ends with the job, whatever becomes of that,
//! and is no hold: what has been leased and is wanted comes back by itself.

use serde::{Deserialize, Serialize};

use crate::ids::{Moment, ServiceId};

/// Why a service is kept stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The job that has it.
    pub job: ServiceId,
    /// Since when.
    pub since: Moment,
}
