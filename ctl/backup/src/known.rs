//! What is known of backups by a look at the whole of them, kept beside them: whether each was whole, and
//! when that was seen. It is worth nothing for a file that has changed since.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use safe_path::Dir;
use serde::{Deserialize, Serialize};

/// The file.
const FILE: &str = ".mattervisor-backup.json";
const NEW: &str = ".mattervisor-backup.json.new";
/// A longer one is not read.
const BYTES_MAX: u64 = 8 << 20;

/// What is known of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Known(BTreeMap<String, Seen>);

/// What was seen of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Length of the backup when it was verified, and its modification time in seconds since 1970 and
    /// nanoseconds.
    pub(crate) file: (u64, i64, i64),
    /// When, in RFC 3339.
    pub(crate) at: String,
    /// Whether the backup was intact.
    pub(crate) whole: bool,
    /// Files that could not be saved, though they were there.
    pub(crate) lost: u64,
}

impl Known {
    /// What is known in a directory. What cannot be read is not known.
    pub(crate) fn read(dir: &Dir) -> Self {
        let text = dir.read(FILE, BYTES_MAX).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Of the file of that name, as it is now.
    pub(crate) fn of(&self, name: &str, file: (u64, i64, i64)) -> Option<&Seen> {
        self.0.get(name).filter(|seen| seen.file == file)
    }

    /// Notes what was seen, and forgets what is no longer there.
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
