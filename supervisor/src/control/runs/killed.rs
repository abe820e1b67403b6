//! How our SIGKILL ended a run.

use engine::Kill;

/// How our SIGKILL ended a run.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) enum Killed {
    /// As it was meant to.
    Now(Kill),
    /// Some time after it had been given up.
    LongBefore,
}
