//! Deadlines of the keeper, in one ordered set. A timer is never removed early: a timer without a
//! reason left wakes the loop once, and its handler checks the state that the timer is about.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::message::RunId;

/// Actions that become due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Timer {
    /// Start the control process again.
    Control,
    /// Give up a new control process that has not taken over.
    Successor,
    /// Kill a helper that has run too long.
    Helper(RunId),
    /// Look again whether a run is swept.
    Sweep(RunId),
    /// Send init a sign of life, and await one of the control process.
    Watchdog,
    /// Give up a program that is to replace the keeper's own and does not answer.
    Trial,
    /// Look whether nothing is under way that a re-exec would break.
    Exec,
    /// Check whether the control process has been silent for too long.
    Liveness,
    /// Ask a control process that took over some time ago for its proof.
    Proof,
    /// Try again to start a thread for a service, by its number.
    Notify(u64),
    /// End the wait for threads that take messages away.
    Aside,
    /// Look again at what an earlier keeper has left.
    Leftovers,
    /// Have rotated logs compressed.
    Compress,
    /// After a request to stop: check whether a control process carries it out.
    NoControl,
    /// Continue a shutdown by the keeper.
    Shutdown,
    /// Check whether files of the keeper have been removed.
    Look,
    /// Wake the log thread.
    Log,
    /// Remove records of runs whose last output is in the log.
    Records,
    /// Return memory to the kernel.
    Release,
}

/// All deadlines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timers {
    due: BTreeSet<(u64, Timer)>,
}

impl Timers {
    /// Adds a deadline.
    pub(crate) fn add(&mut self, at_ms: u64, timer: Timer) {
        self.due.insert((at_ms, timer));
    }

    /// Drops the deadlines of a matter that begins anew.
    pub(crate) fn drop_all_of(&mut self, timers: &[Timer]) {
        self.due.retain(|(_, timer)| !timers.contains(timer));
    }

    /// Milliseconds from `now` to the first deadline.
    pub(crate) fn wait_ms(&self, now: u64) -> Option<u64> {
        self.due.first().map(|(at, _)| at.saturating_sub(now))
    }

    /// Takes the first timer that is due.
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
