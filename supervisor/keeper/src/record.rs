//! One small file per run, so that the next keeper finds what this one leaves behind.
//!
//! Written by the process itself before it executes its program, renamed into place, not fsynced:
//! it only has to outlive processes, not the machine (the boot id says so). Where one is removed
//! while its run lives, the keeper writes it again.
//!
//! A file that is no record (a FIFO, half a record, another run's) is neither waited for nor read
//! to its end: it is set aside under a name that no keeper looks at, and told. Limits: the
//! constants below.

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
    /// Variable of its environment that no other run has; with a cgroup it may lack it.
    pub(crate) cookie: String,
    /// How to ask it to stop.
    pub(crate) stop: Stop,
    /// What is missing from the log of its service is marked there, or nothing is.
    #[serde(default)]
    pub(crate) gap_told: bool,
}

/// A longer file is no record.
const RECORD_BYTES_MAX: u64 = 1 << 20;
/// Files in the directory that are looked at.
const NAMES_MAX: usize = 1 << 16;
/// Behind the name of a record that is being written.
const UNFINISHED: &str = ".new";
/// Behind the name of a file that was no record.
const ASIDE: &str = ".broken";
/// Mode of the directory and of what lies in it.
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

    /// Where it is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory is there, as far as can be seen.
    pub(crate) fn are_in_place(&self) -> bool {
        Dir::open(&self.dir).map_or_else(|error| is_blind(&error), |_| true)
    }

    /// Those of these runs whose record is missing.
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
        // Its opening brace comes with what is put before.
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

    /// All records, newest run first, and the names that files have now that were none. What died
    /// before its record was whole never executed its program: that is left to [`Self::clear`].
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

    /// Takes all records away but those of the runs that are given.
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
    (record.run == run).then_some(record)
}

/// Out of the way of the run that is to have this number; an earlier one of that name gives way.
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
        let (found, aside) = records.read();
        assert_eq!(found, []);
        let expected: Vec<OsString> = ["1", "2", "3", "4", "5", "7"]
            .map(|name| format!("{name}.broken").into())
            .to_vec();
        assert_eq!(aside, expected);
        assert_eq!(records.read().1, Vec::<OsString>::new());
    }
}
