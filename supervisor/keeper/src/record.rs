//! One small file per run, by which the next keeper finds the processes that this one leaves
//! behind.
//!
//! The process of the run writes the file before it executes its program, and renames it into place
//! without an fsync: the record has to outlive processes, not the machine (the boot id ties it to
//! one boot). If a record is removed while its run lives, the keeper writes it again.
//!
//! A file that is no record (a FIFO, half a record, another run's, one of another version) is neither waited for nor read
//! to its end: the keeper sets it aside under a name that no keeper reads, and reports it. Limits:
//! the constants below.

use std::{
    collections::BTreeSet,
    ffi::{CString, OsString},
    io::{self, Write},
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use safe_path::Dir;
use serde::{Deserialize, Serialize};

use crate::{
    in_place::is_blind,
    message::{Role, RunId, Stop},
    sys::record_file::RecordFile,
};

/// Directory of the records, in the run directory.
const DIRECTORY: &str = "runs";

/// Data by which a later keeper finds the processes of a run, and stops them in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// [`VERSION`] of the program that wrote it.
    pub(crate) version: u32,
    /// The run.
    pub(crate) run: RunId,
    /// Service of the run.
    pub(crate) service: String,
    /// Main process or helper.
    pub(crate) role: Role,
    /// Its main process; leader of its session and group. Written by the main process itself.
    #[serde(skip_serializing)]
    pub(crate) pid: i32,
    /// Start time of the main process, in ticks since boot. Written by the main process itself.
    #[serde(skip_serializing)]
    pub(crate) start: u64,
    /// Boot during which this record is valid.
    pub(crate) boot_id: String,
    /// Directory of its cgroup.
    pub(crate) cgroup: Option<PathBuf>,
    /// Inode of the pipe that is its output.
    pub(crate) pipe: u64,
    /// Variable in the environment of its processes that no other run has; a process in the cgroup
    /// may lack the variable.
    pub(crate) cookie: String,
    /// How to ask it to stop.
    pub(crate) stop: Stop,
    /// Whether the service's log marks the gap that the keeper's death has left, or has no gap.
    #[serde(default)]
    pub(crate) gap_told: bool,
}

/// Version of the records that this program reads and writes.
pub(crate) const VERSION: u32 = 1;
/// A longer file is no record.
const RECORD_BYTES_MAX: u64 = 1 << 20;
/// Most files in the directory that are read.
const NAMES_MAX: usize = 1 << 16;
/// Suffix of a record that is being written.
const UNFINISHED: &str = ".new";
/// Suffix of a file that was no record.
const ASIDE: &str = ".broken";
/// Mode of the directory; the files in it have `FILE_MODE`.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// The directory of the records.
#[derive(Debug)]
pub(crate) struct Records {
    dir: PathBuf,
}

impl Records {
    /// Makes the directory, if missing.
    pub(crate) fn open(run_dir: &Path) -> io::Result<Self> {
        let records = Self::at(run_dir);
        Dir::make_own(&records.dir, DIRECTORY_MODE)?;
        Ok(records)
    }

    /// The directory that another process has made.
    pub(crate) fn at(run_dir: &Path) -> Self {
        let dir = run_dir.join(DIRECTORY);
        Self { dir }
    }

    /// Path of the directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the directory exists, as far as can be seen.
    pub(crate) fn are_in_place(&self) -> bool {
        Dir::open(&self.dir).map_or_else(|error| is_blind(&error), |_| true)
    }

    /// The given runs whose record is missing.
    pub(crate) fn missing(&self, runs: impl Iterator<Item = RunId>) -> Vec<RunId> {
        let dir = match Dir::open(&self.dir) {
            Ok(dir) => dir,
            Err(error) if is_blind(&error) => return Vec::new(),
            Err(_) => return runs.collect(),
        };
        let is_missing = |run: &RunId| matches!(dir.stat(run.to_string()), Ok(None));
        runs.filter(is_missing).collect()
    }

    /// Writes the record of a process that has begun.
    pub(crate) fn write(&self, record: &Record) -> io::Result<()> {
        let note = self.note(record)?;
        let dir = Dir::open(&self.dir)?;
        let name = record.run.to_string();
        let unfinished = format!("{name}{UNFINISHED}");
        dir.remove(&unfinished)?;
        let mut file = dir.create(&unfinished, FILE_MODE)?;
        let (pid, start) = (record.pid, record.start);
        file.write_all(format!("{{\"pid\":{pid},\"start\":{start},").as_bytes())?;
        file.write_all(&note.rest)?;
        dir.rename(&unfinished, &name)
    }

    /// The record of a run as a file that its process completes with `pid` and `start`.
    pub(crate) fn note(&self, record: &Record) -> io::Result<RecordFile> {
        let mut rest = serde_json::to_vec(record)?;
        // The opening brace comes with the part that the process writes first.
        rest.remove(0);
        let path = |name: String| CString::new(self.dir.join(name).into_os_string().into_vec());
        Ok(RecordFile {
            temporary: path(format!("{}{UNFINISHED}", record.run))?,
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
        read(&Dir::open(&self.dir).ok()?, run)
    }

    /// All records, newest run first, and the new names of files that were no records. A process
    /// that died before its record was complete never executed its program; [`Self::clear`] removes
    /// its file.
    pub(crate) fn read(&self) -> (Vec<Record>, Vec<OsString>) {
        let Ok(dir) = Dir::open(&self.dir) else {
            return (Vec::new(), Vec::new());
        };
        let (mut records, mut aside) = (Vec::new(), Vec::new());
        for name in dir.names(NAMES_MAX).unwrap_or_default() {
            let Some(run) = number(&name) else {
                continue;
            };
            match read(&dir, run) {
                Some(record) => records.push(record),
                None => aside.extend(set_aside(&dir, &name)),
            }
        }
        records.sort_by_key(|record| std::cmp::Reverse(record.run));
        (records, aside)
    }

    /// Removes all records except those of the given runs.
    pub(crate) fn clear(&self, kept: &BTreeSet<RunId>) {
        let Ok(dir) = Dir::open(&self.dir) else {
            return;
        };
        for name in dir.names(NAMES_MAX).unwrap_or_default() {
            let unfinished = name.to_str().and_then(|name| name.strip_suffix(UNFINISHED));
            let run = unfinished.map_or_else(|| number(&name), |name| name.parse().ok());
            if run.is_some_and(|run| unfinished.is_some() || !kept.contains(&run)) {
                let _ = dir.remove(&name);
            }
        }
    }
}

/// The run whose record has this name.
fn number(name: &std::ffi::OsStr) -> Option<RunId> {
    name.to_str()?.parse().ok()
}

fn read(dir: &Dir, run: RunId) -> Option<Record> {
    let text = dir.read(run.to_string(), RECORD_BYTES_MAX).ok()?;
    let record: Record = serde_json::from_slice(&text).ok()?;
    (record.version == VERSION && record.run == run).then_some(record)
}

/// Renames a file that is no record, so that a run can have its number; replaces an earlier file of
/// that name.
fn set_aside(dir: &Dir, name: &OsString) -> Option<OsString> {
    let mut aside = name.clone();
    aside.push(ASIDE);
    dir.rename(name, &aside).ok()?;
    Some(aside)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Seek};

    use super::*;

    fn record(run: RunId) -> Record {
        Record {
            version: VERSION,
            run,
            service: "web".into(),
            role: Role::Main,
            pid: 7,
            start: 8,
            boot_id: "b".into(),
            cgroup: None,
            pipe: 9,
            cookie: "c".into(),
            stop: Stop::by(15, 1000),
            gap_told: false,
        }
    }

    #[test]
    fn records_come_back_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path()).unwrap();
        for run in [1, 10, 2] {
            records.write(&record(run)).unwrap();
        }
        fs::write(dir.path().join("runs/4.new"), "{half").unwrap();
        records.remove(2);
        assert_eq!(records.read(), (vec![record(10), record(1)], vec![]));
        assert_eq!(records.missing([1, 2, 10].into_iter()), [2]);
        records.clear(&BTreeSet::from([10]));
        assert_eq!(records.read().0, [record(10)]);
        assert_eq!(fs::read_dir(dir.path().join("runs")).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_record_is_set_aside_and_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let records = Records::open(root.path()).unwrap();
        let runs = root.path().join("runs");
        let fifo = nix::sys::stat::Mode::S_IRUSR;
        nix::unistd::mkfifo(&runs.join("1"), fifo).unwrap();
        let mut huge = fs::File::create(runs.join("2")).unwrap();
        huge.seek(io::SeekFrom::Start(3 << 30)).unwrap();
        huge.write_all(b"x").unwrap();
        fs::write(runs.join("3"), "{half").unwrap();
        fs::create_dir(runs.join("4")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", runs.join("5")).unwrap();
        records.write(&record(6)).unwrap();
        fs::rename(runs.join("6"), runs.join("7")).unwrap();
        let other = Record {
            version: VERSION + 1,
            ..record(8)
        };
        records.write(&other).unwrap();
        let (found, aside) = records.read();
        assert_eq!(found, []);
        let expected: Vec<OsString> = ["1", "2", "3", "4", "5", "7", "8"]
            .map(|name| format!("{name}.broken").into())
            .to_vec();
        assert_eq!(aside, expected);
        assert_eq!(records.read().1, Vec::<OsString>::new());
    }
}
