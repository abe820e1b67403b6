//! Records of runs of which nothing is left. A record is removed only once the last output of its
//! run is in the log: until then it tells the next keeper that lines may be missing there.
//!
//! Owner: the keeper's main thread, at the end of a turn. Limits: no wake-up while there are no
//! such records; the log thread writes what it was asked for, or drops and counts it, so that each
//! record goes.

use crate::{clock::now_ms, kit::Kit, log::PipeReader, message::RunId, timers::Timer};

/// From one look at records to the next, in milliseconds.
const LOOK_MS: u64 = 50;

/// Runs whose records may soon be removed; of a main run, also the reader of its log pipe.
#[derive(Debug, Default)]
pub(super) struct Gone {
    runs: Vec<(RunId, Option<PipeReader>)>,
    /// [`Timer::Records`] is set.
    timed: bool,
}

impl Gone {
    /// All of them.
    pub(super) fn runs(&self) -> Vec<RunId> {
        self.runs.iter().map(|(run, _)| *run).collect()
    }

    /// Runs of an earlier image of this process: that had its log thread write the last output.
    pub(super) fn of(runs: Vec<RunId>) -> Self {
        let runs = runs.into_iter().map(|run| (run, None)).collect();
        Self { runs, timed: false }
    }

    pub(super) fn add(&mut self, run: RunId, pipe_reader: Option<PipeReader>) {
        self.runs.push((run, pipe_reader));
    }

    /// Notes that [`Timer::Records`] has come.
    pub(super) const fn look_due(&mut self) {
        self.timed = false;
    }

    /// Removes the records that are no longer needed.
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
