//! What the log thread knows and no file has: parked for a re-exec of the keeper, and taken up by
//! the next log thread. The bytes that are still in the pipes stay there.

use std::{
    collections::BTreeMap,
    sync::mpsc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{Command, Handle, PipeReader, Spec, pipe_reader::Taken};
use crate::{
    bytes::Bytes,
    message::{Forward, LogStats, LogTrouble},
};
use std::os::fd::OwnedFd;

/// Of all logs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedLogs {
    /// By service.
    pub(super) logs: BTreeMap<String, SavedLog>,
    /// Lines that no destination has taken yet.
    pub(super) batches: Vec<SavedBatch>,
    /// Services with rotated files that are not compressed yet, each with its last rotation.
    pub(super) rotated: BTreeMap<String, u64>,
    pub(super) stats: Vec<LogStats>,
}

/// Of one log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedLog {
    /// Beginning of an unfinished line.
    pub(super) carry: Bytes,
    /// Lines and bytes that could not be written since the last successful write, and the reason.
    pub(super) dropped: (u64, u64, Option<String>),
    /// The trouble that was last reported.
    pub(super) told: Option<LogTrouble>,
    /// Lines that were not forwarded and that no report mentions yet: in the file, in the stream.
    pub(super) not_forwarded: [u64; 2],
}

/// Lines of one service on their way to a destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedBatch {
    pub(super) service: String,
    pub(super) forward: Forward,
    pub(super) lines: Bytes,
}

/// Of one pipe: how far it has been read, and the ends of runs that lie ahead.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedPipeReader(pub(super) Taken);

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
        SavedPipeReader(taken): SavedPipeReader,
    ) -> PipeReader {
        let pipe_reader = PipeReader::at(taken);
        let reader = pipe_reader.clone();
        let command = Command::Open(service.to_owned(), spec, read_end, reader, None);
        self.shared.commands().push(command);
        pipe_reader
    }
}
