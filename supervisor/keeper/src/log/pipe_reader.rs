//! Where one run's output ends and the next one's begins, though both come through one pipe.
//!
//! Owner: the keeper notes each end as it happens, with one ioctl and without waking the log
//! thread, which may be far behind; the thread asks with every read. The lock is held over that
//! read, so that no byte is neither in the pipe nor counted; a read never blocks.
//!
//! Limit: at most [`ENDS_MAX`] ends wait in a pipe; a line that runs over one beyond them is not
//! cut, and no mark stands there.

use std::{
    collections::VecDeque,
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nix::{errno::Errno, unistd::read};

use crate::sys::file::readable_bytes;

/// Ends of runs that nobody has read up to yet.
const ENDS_MAX: usize = 64;

/// What has come out of one log pipe so far. A copy is the same.
#[derive(Clone, Debug, Default)]
pub struct PipeReader(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    bytes: u64,
    /// Counts of bytes after which a run had nothing more to say; they grow. With what is to stand
    /// there.
    ends: VecDeque<(u64, Option<String>)>,
    /// Runs whose last words are to be written, and are.
    asked: u64,
    written: u64,
}

impl PipeReader {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever has written into this pipe so far is gone.
    pub(super) fn end_here(&self, pipe: impl AsFd, mark: Option<String>) {
        let mut taken = self.lock();
        // Always works for a pipe.
        let end = taken.bytes + readable_bytes(pipe).unwrap_or(0);
        let known = mark.is_none() && taken.ends.back().is_some_and(|(last, _)| *last == end);
        if taken.ends.len() < ENDS_MAX && !known {
            taken.ends.push_back((end, mark));
        }
    }

    /// The thread has been asked to write what a run had to say last.
    pub(super) fn ask_last(&self) {
        self.lock().asked += 1;
    }

    /// The thread has written it.
    pub(super) fn wrote_last(&self) {
        self.lock().written += 1;
    }

    /// Whatever runs that have ended have said is in the files, or was dropped and counted.
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
            // Never before this read: an end that had been reached then was taken then.
            let place = usize::try_from(end.saturating_sub(before)).unwrap_or(0);
            ends.push((place, mark));
        }
        outcome
    }
}
