//! Runs of which nothing is left, and whose record is: until what a run said last is in the log, its record tells
//! the next keeper that lines may be missing there.
//!
//! Owner: the keeper's main thread, at the end of a turn. Limits: no wake-up while there are none; the log thread
//! writes what it was asked for, or drops and counts it, so that each record goes.

use crate::{clock::now_ms, kit::Kit, log::PipeReader, message::RunId, timers::Timer};

/// From one look to the next.
const LOOK_MS: u64 = 50;

/// Those runs; a main run with the reader of its log pipe.
#[derive(Debug, Default)]
pub(super) struct Gone {
    runs: Vec<(RunId, Option<PipeReader>)>,
    /// [`Timer::Records`] is set.
    timed: bool,
}

impl Gone {
    pub(super) fn add(&mut self, run: RunId, pipe_reader: Option<PipeReader>) {
        self.runs.push((run, pipe_reader));
    }

    /// The timer has come.
    pub(super) const fn look_due(&mut self) {
        self.timed = false;
    }

    /// Removes the records that are of no more use.
    pub(super) fn remove_records(&mut self, kit: &mut Kit) {
        let runs = std::mem::take(&mut self.runs).into_iter();
        let is_over = |(_, pipe_reader): &(RunId, Option<PipeReader>)| {
            pipe_reader.as_ref().is_none_or(PipeReader::is_written)
        };
        let (over, unwritten): (Vec<_>, Vec<_>) = runs.partition(is_over);
        for (run, _) in over {
            kit.files.remove(run);
        }
        self.runs = unwritten;
        if !self.runs.is_empty() && !std::mem::replace(&mut self.timed, true) {
            kit.timers.add(now_ms() + LOOK_MS, Timer::Records);
        }
    }
}
