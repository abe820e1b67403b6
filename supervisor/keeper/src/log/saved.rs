//! What the log thread knows and no file has, for the next image of the keeper's process. The bytes
//! that are still in the pipes stay there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    bytes::Bytes,
    message::{Forward, LogStats, LogTrouble},
};

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
