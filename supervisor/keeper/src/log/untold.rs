//! Logs with lost lines that no line in the file reports yet. A timer retries the report: the
//! service may write nothing more, and the count would die with the keeper.
//!
//! Owner: the log thread. Limits: one entry a log, one try a [`PAUSE`] for all of them, and no
//! wake-up while there is none.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use nix::sys::epoll::EpollTimeout;

/// Time between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Tokens of logs, and when they are tried next.
#[derive(Debug, Default)]
pub(super) struct Untold {
    tokens: BTreeSet<u64>,
    due: Option<Instant>,
}

impl Untold {
    pub(super) fn add(&mut self, token: u64) {
        self.tokens.insert(token);
        self.due.get_or_insert_with(|| Instant::now() + PAUSE);
    }

    /// How long the log thread may wait for other events.
    pub(super) fn timeout(&self) -> EpollTimeout {
        let Some(due) = self.due else {
            return EpollTimeout::NONE;
        };
        let left = due.saturating_duration_since(Instant::now());
        // Rounded up: a wake-up too early would be followed by another.
        let left = left + Duration::from_millis(1);
        EpollTimeout::try_from(left).unwrap_or(EpollTimeout::ZERO)
    }

    /// The logs that are due for a retry; a log that fails again is added again.
    pub(super) fn take_due(&mut self) -> BTreeSet<u64> {
        if self.due.is_none_or(|due| Instant::now() < due) {
            return BTreeSet::new();
        }
        self.due = None;
        std::mem::take(&mut self.tokens)
    }
}
