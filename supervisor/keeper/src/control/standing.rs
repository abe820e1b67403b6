//! What follows when a control process has died, hangs or has been replaced.
//!
//! A control process that has answered [`PROVEN_MS`] after it took over has proven itself: if it
//! dies, another is started at once. Otherwise a pause comes first, doubled each time from
//! [`BACKOFF_MIN_MS`] to [`BACKOFF_MAX_MS`], by the keeper's own clock and without end. A program
//! that has taken over by `ctl reexec` and, before it has proven itself, hangs once or dies
//! [`EARLY_DEATHS_MAX`] times in a row is given up for the program that worked before; the log says
//! so.

use std::{fs::File, io, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    clock::now_ms,
    inheritance::{Inherited, Keeping, Number},
    message::Exit,
};

/// Pause before a control process is tried again.
const BACKOFF_MIN_MS: u64 = 10;
/// Longest such pause.
const BACKOFF_MAX_MS: u64 = 1000;
/// A control process that answers so long after its takeover has proven itself.
const PROVEN_MS: u64 = 5_000;
/// A new program may be killed by accident, but not so often in a row.
const EARLY_DEATHS_MAX: u32 = 3;

/// How far the present control process can be relied on.
#[derive(Debug)]
pub(super) struct Standing {
    took_over_at: Option<u64>,
    proven: bool,
    /// Losses in a row of control processes that had not proven themselves.
    early_deaths: u32,
    backoff_ms: u64,
    /// The program that worked before the present one, until the present one has proven itself.
    pub(super) earlier: Option<File>,
    /// Whether the program that was installed last failed, so that an earlier one runs.
    pub(super) went_back: bool,
}

/// How a control process was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The control process has ended and been reaped.
    Died(Exit),
    /// The control process lives and does not answer.
    Silent,
}

/// The same for the next image of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedStanding {
    took_over_at: Option<u64>,
    proven: bool,
    early_deaths: u32,
    backoff_ms: u64,
    earlier: Option<Number>,
    went_back: bool,
}

impl Standing {
    /// For the next image of this process.
    pub(super) fn saved<'a>(&'a self, keeping: &mut Keeping<'a>) -> SavedStanding {
        SavedStanding {
            took_over_at: self.took_over_at,
            proven: self.proven,
            early_deaths: self.early_deaths,
            backoff_ms: self.backoff_ms,
            earlier: self.earlier.as_ref().map(|file| keeping.keep(file)),
            went_back: self.went_back,
        }
    }

    /// As an earlier image of this process had it.
    pub(super) fn resume(saved: SavedStanding, inherited: &mut Inherited) -> io::Result<Self> {
        Ok(Self {
            took_over_at: saved.took_over_at,
            proven: saved.proven,
            early_deaths: saved.early_deaths,
            backoff_ms: saved.backoff_ms,
            earlier: inherited.take_any(saved.earlier)?.map(File::from),
            went_back: saved.went_back,
        })
    }

    /// No control process has taken over yet.
    pub(super) fn new() -> Self {
        Self {
            took_over_at: None,
            proven: false,
            early_deaths: 0,
            backoff_ms: BACKOFF_MIN_MS,
            earlier: None,
            went_back: false,
        }
    }

    /// Whether the control process has loaded the state.
    pub(super) const fn has_taken_over(&self) -> bool {
        self.took_over_at.is_some()
    }

    /// Resets the state for a new control process.
    pub(super) fn begins(&mut self) {
        self.took_over_at = None;
        self.proven = false;
    }

    /// Notes that another program is in charge; `old` was until now.
    pub(super) fn succeeds(&mut self, old: File) {
        if self.proven || self.earlier.is_none() {
            self.earlier = Some(old);
        }
        self.went_back = false;
        self.early_deaths = 0;
        self.begins();
    }

    /// Whether the takeover is long enough ago for an answer to be a proof, and no proof has come.
    pub(super) fn may_prove_itself(&self) -> bool {
        let long_since = |at| now_ms() >= at + PROVEN_MS;
        !self.proven && self.took_over_at.is_some_and(long_since)
    }

    /// Notes a message of the control process.
    pub(super) fn heard(&mut self) {
        if self.may_prove_itself() {
            self.proven = true;
            self.early_deaths = 0;
            self.backoff_ms = BACKOFF_MIN_MS;
            self.earlier = None;
        }
    }

    /// The pause before the next start; doubles the one after.
    pub(super) fn pause_ms(&mut self) -> u64 {
        let pause = self.backoff_ms;
        self.backoff_ms = (pause * 2).min(BACKOFF_MAX_MS);
        pause
    }

    /// Notes a loss before the proof. Some: the program to go back to.
    pub(super) fn lost_early(&mut self, loss: Loss) -> Option<File> {
        self.early_deaths += 1;
        let gives_up = loss == Loss::Silent || self.early_deaths >= EARLY_DEATHS_MAX;
        let earlier = self.earlier.take_if(|_| gives_up)?;
        self.went_back = true;
        self.early_deaths = 0;
        self.backoff_ms = BACKOFF_MIN_MS;
        Some(earlier)
    }

    /// Notes the takeover. Returns when the control process has to prove itself.
    pub(super) fn took_over(&mut self) -> u64 {
        let now = now_ms();
        self.took_over_at.get_or_insert(now);
        now + PROVEN_MS
    }

    /// Whether the control process has proven itself.
    pub(super) const fn is_proven(&self) -> bool {
        self.proven
    }

    /// When the control process took over, if it has.
    pub(super) const fn took_over_at(&self) -> Option<u64> {
        self.took_over_at
    }

    /// The present pause before the next start.
    pub(super) const fn next_pause(&self) -> Duration {
        Duration::from_millis(self.backoff_ms)
    }
}
