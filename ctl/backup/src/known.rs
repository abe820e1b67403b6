//! The results of earlier verifications, kept beside the backups: whether each backup was whole,
//! and when it was verified. Invariant: a result counts only while length and modification time of
//! its file are unchanged.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use safe_path::Dir;
use serde::{Deserialize, Serialize};

/// Name of the file with the results.
const FILE: &str = ".mattervisor-backup.json";
const NEW: &str = ".mattervisor-backup.json.new";
/// Longest file that is read.
const BYTES_MAX: u64 = 8 << 20;

/// The results, by the name of the backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Known(BTreeMap<String, Seen>);

/// The result for one backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Length of the backup when it was verified, and its modification time in seconds since 1970
    /// and nanoseconds.
    pub(crate) file: (u64, i64, i64),
    /// When it was verified, in RFC 3339.
    pub(crate) at: String,
    /// Whether the backup was intact.
    pub(crate) whole: bool,
    /// Files that could not be saved, though they were there.
    pub(crate) lost: u64,
}

impl Known {
    /// Reads the results of a directory; an unreadable file counts as empty.
    pub(crate) fn read(dir: &Dir) -> Self {
        let text = dir.read(FILE, BYTES_MAX).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// The result for the backup of that name, if its file is unchanged.
    pub(crate) fn of(&self, name: &str, file: (u64, i64, i64)) -> Option<&Seen> {
        self.0.get(name).filter(|seen| seen.file == file)
    }

    /// Stores a result, and drops those of backups that no longer exist.
    pub(crate) fn note(dir: &Dir, name: &str, seen: Seen, there: &[String]) -> io::Result<()> {
        let mut known = Self::read(dir);
        known.0.retain(|name, _| there.contains(name));
        known.0.insert(name.to_owned(), seen);
        dir.remove(NEW)?;
        let mut file = dir.create(NEW, 0o600)?;
        file.write_all(&serde_json::to_vec(&known)?)?;
        file.sync_all()?;
        dir.rename(NEW, FILE)?;
        dir.sync()
    }
}
