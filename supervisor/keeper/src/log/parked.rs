//! Parks the log thread for a re-exec of the keeper, and has the next one take up what it knows.

use std::{
    os::fd::OwnedFd,
    sync::mpsc,
    time::{Duration, Instant},
};

use super::{Command, Handle, PipeReader, Spec, pipe_reader::Taken, saved::SavedLogs};

/// The log thread does nothing while this exists.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) saved: SavedLogs,
    /// The thread goes on when this is dropped.
    _parked: mpsc::Sender<()>,
}

impl Handle {
    /// Has the log thread carry out all commands so far, write what is in the pipes, and do nothing
    /// more. None: it has not come to that within `patience`, and goes on.
    pub(crate) fn park(&self, patience: Duration) -> Option<Parked> {
        let until = Instant::now() + patience;
        let (tell, told) = mpsc::channel();
        let (parked, go_on) = mpsc::channel();
        self.tell(Command::Park(tell, go_on));
        let left = until.saturating_duration_since(Instant::now());
        let mut saved = told.recv_timeout(left).ok()?;
        saved.rotated = self.shared.rotations.all();
        saved.stats = self.stats();
        Some(Parked {
            saved,
            _parked: parked,
        })
    }

    /// Takes up what another log thread had parked, before any log is opened.
    pub(crate) fn resume(&self, saved: SavedLogs) {
        for stats in &saved.stats {
            let counts = self.shared.counts.of(&stats.service);
            counts.add(stats.bytes, stats.dropped_lines);
        }
        for (service, at_ms) in saved.rotated {
            self.shared.rotations.add_at(&service, at_ms);
        }
        for (service, log) in &saved.logs {
            if let Some(trouble) = &log.told {
                self.shared.troubles.know(service, trouble.clone());
            }
        }
        let command = Command::Resume(saved.logs, saved.batches);
        self.shared.commands().push(command);
    }

    /// Opens a log that another log thread had open.
    pub(crate) fn open_again(
        &self,
        service: &str,
        spec: Spec,
        read_end: OwnedFd,
        taken: Taken,
    ) -> PipeReader {
        let pipe_reader = PipeReader::at(taken);
        let reader = pipe_reader.clone();
        let command = Command::Open(service.to_owned(), spec, read_end, reader, None);
        self.shared.commands().push(command);
        pipe_reader
    }
}
