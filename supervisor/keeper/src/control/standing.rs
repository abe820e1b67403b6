//! What follows a control process that has died, hangs or has been replaced.
//!
//! One that has answered [`PROVEN_MS`] after it took over has proven itself: if it dies, another is
//! started at once. Otherwise there is a pause, doubled each time from [`BACKOFF_MIN_MS`] to
//! [`BACKOFF_MAX_MS`], by our own clock and for ever. A program that has taken over by `ctl reexec`
//! and, before it has proven itself, hangs or dies [`EARLY_DEATHS_MAX`] times in a row is given up
//! for the one that worked before, aloud.

use std::{fs::File, time::Duration};

use crate::{clock::now_ms, message::Exit};

/// Pause before a control process is tried again.
const BACKOFF_MIN_MS: u64 = 10;
/// Longest such pause.
const BACKOFF_MAX_MS: u64 = 1000;
/// One that answers so long after it took over works.
const PROVEN_MS: u64 = 5_000;
/// A new program may be killed by accident, but not so often in a row.
const EARLY_DEATHS_MAX: u32 = 3;

/// How far the present control process can be counted on.
#[derive(Debug)]
pub(super) struct Standing {
    took_over_at: Option<u64>,
    proven: bool,
    /// Losses in a row before they had proven themselves.
    early_deaths: u32,
    backoff_ms: u64,
    /// The program that worked before the present one, until that has proven itself.
    earlier: Option<File>,
    /// The program that was installed last did not work, so an earlier one runs.
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

impl Standing {
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

    /// The state is loaded.
    pub(super) const fn has_taken_over(&self) -> bool {
        self.took_over_at.is_some()
    }

    /// Another control process is started in its place.
    pub(super) fn begins(&mut self) {
        self.took_over_at = None;
        self.proven = false;
    }

    /// Another program is in charge; `old` was until now.
    pub(super) fn succeeds(&mut self, old: File) {
        if self.proven || self.earlier.is_none() {
            self.earlier = Some(old);
        }
        self.went_back = false;
        self.early_deaths = 0;
        self.begins();
    }

    /// It took over long enough ago for an answer to be a proof, and has not given that.
    pub(super) fn may_prove_itself(&self) -> bool {
        let long_since = |at| now_ms() >= at + PROVEN_MS;
        !self.proven && self.took_over_at.is_some_and(long_since)
    }

    /// The control process has said something.
    pub(super) fn heard(&mut self) {
        if self.may_prove_itself() {
            self.proven = true;
            self.early_deaths = 0;
            self.backoff_ms = BACKOFF_MIN_MS;
            self.earlier = None;
        }
    }

    /// The pause before the next one.
    pub(super) fn pause_ms(&mut self) -> u64 {
        let pause = self.backoff_ms;
        self.backoff_ms = (pause * 2).min(BACKOFF_MAX_MS);
        pause
    }

    /// It has been lost before it had proven itself. The program to go back to, if that is to be.
    pub(super) fn lost_early(&mut self, loss: Loss) -> Option<File> {
        self.early_deaths += 1;
        let gives_up = loss == Loss::Silent || self.early_deaths >= EARLY_DEATHS_MAX;
        let earlier = self.earlier.take_if(|_| gives_up)?;
        self.went_back = true;
        self.early_deaths = 0;
        self.backoff_ms = BACKOFF_MIN_MS;
        Some(earlier)
    }

    /// It has taken over, just now if it had not before. When it is to prove itself.
    pub(super) fn took_over(&mut self) -> u64 {
        let now = now_ms();
        self.took_over_at.get_or_insert(now);
        now + PROVEN_MS
    }

    /// It has answered long enough after it took over.
    pub(super) const fn is_proven(&self) -> bool {
        self.proven
    }

    /// When it took over, if it has.
    pub(super) const fn took_over_at(&self) -> Option<u64> {
        self.took_over_at
    }

    /// The pause before the next one, as it is now.
    pub(super) const fn next_pause(&self) -> Duration {
        Duration::from_millis(self.backoff_ms)
    }
}
