//! One small file per run, so that the next keeper finds what this one leaves behind.
//!
//! Written by the process itself before it executes its program, renamed into place, not fsynced: it
//! only has to outlive processes, not the machine (the boot id says so).

use std::{
    ffi::CString,
    io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use safe_path::Dir;
use serde::{Deserialize, Serialize};

use crate::{
    message::{Role, RunId},
    sys::note::Note,
};

/// Directory of the records, in the run directory.
const DIRECTORY: &str = "runs";

/// What is needed to find the processes of a run again, and to stop them well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The run.
    pub(crate) run: RunId,
    /// Whose.
    pub(crate) service: String,
    /// What for.
    pub(crate) role: Role,
    /// Its main process; leader of its session and group. Written by that itself.
    #[serde(skip_serializing)]
    pub(crate) pid: i32,
    /// When that started, in ticks since boot. Written by that itself.
    #[serde(skip_serializing)]
    pub(crate) start: u64,
    /// Of which boot all this is true.
    pub(crate) boot_id: String,
    /// Directory of its cgroup.
    pub(crate) cgroup: Option<PathBuf>,
    /// Inode of the pipe that is its output.
    pub(crate) pipe: u64,
    /// How to ask it to stop.
    pub(crate) stop_signal: i32,
    /// Time from that to SIGKILL, in milliseconds.
    pub(crate) stop_timeout_ms: u64,
}

/// A longer file is no record.
const RECORD_BYTES_MAX: u64 = 1 << 20;
/// Files in the directory that are looked at.
const NAMES_MAX: usize = 1 << 16;

/// The directory of the records.
#[derive(Debug)]
pub(crate) struct Records {
    dir: PathBuf,
}

impl Records {
    /// Makes the directory, if missing.
    pub(crate) fn open(run_dir: &Path) -> io::Result<Self> {
        let dir = run_dir.join(DIRECTORY);
        Dir::make_own(&dir, 0o755)?;
        Ok(Self { dir })
    }

    /// The directory that another process has made.
    pub(crate) fn at(run_dir: &Path) -> Self {
        let dir = run_dir.join(DIRECTORY);
        Self { dir }
    }

    /// The record of a run as a file that its process completes with `pid` and `start`.
    pub(crate) fn note(&self, record: &Record) -> io::Result<Note> {
        let mut rest = serde_json::to_vec(record)?;
        // Its opening brace comes with what is put before.
        rest.remove(0);
        let path = |name: String| CString::new(self.dir.join(name).into_os_string().into_vec());
        Ok(Note {
            temporary: path(format!("{}.new", record.run))?,
            path: path(record.run.to_string())?,
            rest,
        })
    }

    /// Takes a record away.
    pub(crate) fn remove(&self, run: RunId) {
        let _ = Dir::open(&self.dir).and_then(|dir| dir.remove(run.to_string()));
    }

    /// The record of this run, if it can be read.
    pub(crate) fn one(&self, run: RunId) -> Option<Record> {
        let text = Dir::open(&self.dir).and_then(|dir| dir.read(run.to_string(), RECORD_BYTES_MAX));
        let text = text.ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// All records, newest run first; what cannot be read is left out.
    pub(crate) fn read(&self) -> Vec<Record> {
        let Ok(dir) = Dir::open(&self.dir) else {
            return Vec::new();
        };
        let names = dir.names(NAMES_MAX).unwrap_or_default().into_iter();
        let texts = names.filter_map(|name| dir.read(name, RECORD_BYTES_MAX).ok());
        let mut records: Vec<Record> = texts
            .filter_map(|text| serde_json::from_slice(&text).ok())
            .collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.run));
        records
    }

    /// Takes all files of the directory away, also broken ones.
    pub(crate) fn clear(&self) {
        let Ok(dir) = Dir::open(&self.dir) else {
            return;
        };
        for name in dir.names(NAMES_MAX).unwrap_or_default() {
            let _ = dir.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record(run: RunId) -> Record {
        Record {
            run,
            service: "web".into(),
            role: Role::Main,
            pid: 7,
            start: 8,
            boot_id: "b".into(),
            cgroup: None,
            pipe: 9,
            stop_signal: 15,
            stop_timeout_ms: 1000,
        }
    }

    #[test]
    fn records_come_back_newest_first_and_broken_ones_do_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path()).unwrap();
        for run in [1, 10, 2] {
            let note = records.note(&record(run)).unwrap();
            let rest = String::from_utf8(note.rest).unwrap();
            let text = format!("{{\"pid\":7,\"start\":8,{rest}");
            fs::write(note.path.to_str().unwrap(), text).unwrap();
        }
        fs::write(dir.path().join("runs/3"), "{half").unwrap();
        records.remove(2);
        assert_eq!(records.read(), [record(10), record(1)]);
        records.clear();
        assert_eq!(fs::read_dir(dir.path().join("runs")).unwrap().count(), 0);
    }
}
