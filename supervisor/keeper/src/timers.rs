//! Deadlines of the keeper, in one ordered set. A timer whose reason is gone wakes the loop once
//! for nothing: whoever handles it looks at the state it is about.

use std::collections::BTreeSet;

use crate::message::RunId;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Start the control process again.
    Control,
    /// A new control process has not taken over.
    Successor,
    /// A helper has run too long.
    Helper(RunId),
    /// Look again whether a run is swept.
    Sweep(RunId),
    /// Say that we live, and want to know whether control does.
    Watchdog,
    /// The control process may have been silent for too long.
    Liveness,
    /// The control process has taken over some time ago.
    Proof,
    /// A thread for a service, by its number, could not be started.
    Notify(u64),
    /// Threads that take messages away have had their time.
    Aside,
    /// Look again at what an earlier keeper has left.
    Leftovers,
    /// Have rotated logs compressed.
    Compress,
    /// Asked to stop: see whether a control process does it.
    NoControl,
    /// The keeper alone stops runs, or ends.
    Shutdown,
    /// See whether something of the keeper's has been removed.
    Look,
    /// Wake the log thread.
    Log,
    /// Remove records of runs whose last words are written by now.
    Records,
    /// Give memory back.
    Release,
}

/// All deadlines.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(u64, Timer)>,
}

impl Timers {
    /// Adds a deadline.
    pub(crate) fn add(&mut self, at_ms: u64, timer: Timer) {
        self.due.insert((at_ms, timer));
    }

    /// Milliseconds from `now` to the first deadline.
    pub(crate) fn wait_ms(&self, now: u64) -> Option<u64> {
        self.due.first().map(|(at, _)| at.saturating_sub(now))
    }

    /// Takes the first one that is due.
    pub(crate) fn next_due(&mut self, now: u64) -> Option<Timer> {
        let first = *self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.remove(&first);
        Some(first.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_not_early() {
        let mut timers = Timers::default();
        timers.add(20, Timer::Helper(1));
        timers.add(10, Timer::Control);
        assert_eq!(timers.wait_ms(4), Some(6));
        assert_eq!(timers.next_due(9), None);
        assert_eq!(timers.next_due(30), Some(Timer::Control));
        assert_eq!(timers.next_due(30), Some(Timer::Helper(1)));
        assert_eq!(timers.wait_ms(30), None);
    }
}
