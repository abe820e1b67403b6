//! When a run's time is over: only once the engine knows all that the run said and did in that
//! time, and never because the engine came too late to ask the run in time.

use crate::ids::Moment;

/// If the engine notices a deadline later than this, in milliseconds, the engine did not run in
/// time, and the lateness is not the run's fault.
const LATE_MS: u64 = 1_000;

/// The moment up to which the engine has heard its runs, and the current time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) now: Moment,
    pub(crate) heard: Moment,
}

impl Known {
    /// Whether the patience that lasts until `by` is over. If the engine notices that too late, the
    /// patience begins once more.
    pub(crate) fn is_over(self, by: &mut Moment, patience_ms: u64) -> bool {
        if *by > self.heard {
            return false;
        }
        if self.now.since(*by) <= LATE_MS {
            return true;
        }
        *by = self.now.after(patience_ms);
        false
    }
}
