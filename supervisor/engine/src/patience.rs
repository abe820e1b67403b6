//! When the time that a run was given is over: not before all is known that it said and did in that
//! time, and not if we ourselves come too late to have asked it in time.

use crate::ids::Moment;

/// A deadline that is noticed later than this, in milliseconds, was missed because the engine did
/// not run.
const LATE_MS: u64 = 1_000;

/// Up to when what runs have said is known, and what time it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) now: Moment,
    pub(crate) heard: Moment,
}

impl Known {
    /// Whether the patience that lasts until `by` is over. If that is noticed too late, it begins
    /// once more.
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
