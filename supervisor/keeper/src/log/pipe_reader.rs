//! Where the output of one run ends and that of the next begins, though both share one pipe.
//!
//! The keeper notes each end as it happens, with one ioctl and without waking the log thread, which
//! may be far behind; the log thread takes the ends with every read. The lock is held over the
//! read, so that every byte is either in the pipe or counted; the read never blocks.
//!
//! Limit: at most [`ENDS_MAX`] ends wait in a pipe. An end beyond them is dropped: its last line is
//! not cut there, and its mark is missing.

use std::{
    collections::VecDeque,
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nix::{errno::Errno, unistd::read};
use serde::{Deserialize, Serialize};

use crate::sys::file::readable_bytes;

/// Most ends of runs that the log thread has not reached yet.
const ENDS_MAX: usize = 64;

/// Count of bytes read from one log pipe, and the ends of runs in it. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct PipeReader(Arc<Mutex<Taken>>);

/// State of a [`PipeReader`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Taken {
    bytes: u64,
    /// Byte counts at which a run ended, in ascending order, each with its mark.
    ends: VecDeque<(u64, Option<String>)>,
    /// Number of runs whose last output the log thread is to write; `written`: has written.
    asked: u64,
    written: u64,
}

impl PipeReader {
    /// Continues where another one was.
    pub(super) fn at(taken: Taken) -> Self {
        Self(Arc::new(Mutex::new(taken)))
    }

    /// Where this one is.
    pub(crate) fn saved(&self) -> Taken {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that every process that has written into this pipe so far is gone.
    pub(super) fn end_here(&self, pipe: impl AsFd, mark: Option<String>) {
        let mut taken = self.lock();
        // FIONREAD always works for a pipe.
        let end = taken.bytes + readable_bytes(pipe).unwrap_or(0);
        let known = mark.is_none() && taken.ends.back().is_some_and(|(last, _)| *last == end);
        if taken.ends.len() < ENDS_MAX && !known {
            taken.ends.push_back((end, mark));
        }
    }

    /// Notes a command to write the last output of a run.
    pub(super) fn ask_last(&self) {
        self.lock().asked += 1;
    }

    /// Notes that the log thread has carried out such a command.
    pub(super) fn wrote_last(&self) {
        self.lock().written += 1;
    }

    /// Whether the output of all ended runs is in the files, or was dropped and counted.
    pub(crate) fn is_written(&self) -> bool {
        let taken = self.lock();
        taken.written >= taken.asked
    }

    /// Reads once, and sets `ends` to the places in `buffer` at which a run has ended, with their
    /// marks.
    pub(super) fn read(
        &self,
        pipe: impl AsFd,
        buffer: &mut [u8],
        ends: &mut Vec<(usize, Option<String>)>,
    ) -> Result<usize, Errno> {
        ends.clear();
        let mut taken = self.lock();
        let outcome = read(pipe, buffer);
        let before = taken.bytes;
        taken.bytes += outcome.unwrap_or(0) as u64;
        let reached = taken.bytes;
        while taken.ends.front().is_some_and(|(end, _)| *end <= reached)
            && let Some((end, mark)) = taken.ends.pop_front()
        {
            // Not before this read: the earlier read took every end that it reached.
            let place = usize::try_from(end.saturating_sub(before)).unwrap_or(0);
            ends.push((place, mark));
        }
        outcome
    }
}
