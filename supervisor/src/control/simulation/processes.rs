//! Processes that the keeper runs, and what they say.

use std::collections::BTreeMap;

use keeper::message::{Exit, Role};

use crate::control::simulation::world::Temper;

/// One process of the keeper.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) service: String,
    pub(super) role: Role,
    pub(super) argv: Vec<String>,
    pub(super) notify: bool,
    /// Whether the run can signal readiness by a newline.
    pub(super) ready_fd: bool,
    /// How often the run must say that it is alive, which it does while `pings`.
    pub(super) watchdog_ms: Option<u64>,
    pub(super) pings: bool,
    pub(super) temper: Temper,
    pub(super) executing: bool,
    /// When a probe of it begins to succeed.
    pub(super) ready_at: Option<u64>,
    pub(super) asked_to_stop: bool,
    pub(super) killed: bool,
    pub(super) exit: Option<Exit>,
    pub(super) swept: bool,
    /// Whether the sweep ended with leftovers.
    pub(super) given_up: bool,
    pub(super) notified: BTreeMap<String, String>,
    /// The words by which the run is judged, with their times.
    pub(super) words: Vec<(u64, Word)>,
}

/// A word that may save a run, or end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Ready,
    Marked,
    Alive,
    Trigger,
}

impl Word {
    pub(super) fn of(key: &str, value: &str) -> Option<Self> {
        match (key, value) {
            ("READY", _) => Some(Self::Ready),
            ("READY_FD", _) => Some(Self::Marked),
            ("WATCHDOG", "trigger") => Some(Self::Trigger),
            ("WATCHDOG", _) => Some(Self::Alive),
            _ => None,
        }
    }
}

impl Run {
    /// The line that makes it ready is in its log.
    pub(super) fn has_logged(&self, now: u64) -> bool {
        self.ready_at.is_some_and(|at| at <= now)
    }

    /// When the run last said the word, up to a moment.
    pub(super) fn said(&self, what: Word, until: u64) -> Option<u64> {
        let words = self.words.iter().rev();
        let mut that = words.filter(|(at, word)| *word == what && *at <= until);
        that.next().map(|(at, _)| *at)
    }

    pub(super) fn lives(&self) -> bool {
        self.exit.is_none()
    }
}
