//! The locks that mark a state as in use: held by the keeper, and by the control process through
//! the same open files. A lock is free only when both processes are gone.
//!
//! There are two locks, for a lock is known by its path, and a path can vanish: `/run` is cleaned,
//! a state directory is restored from a backup. One lock lies in the run directory, the other in
//! the state directory. Either lock alone keeps a second supervisor out, and the keeper takes a
//! lock again when its file has gone (`places`). When the state directory has no lock file, a new
//! supervisor asks every process whether it still holds a deleted one (`lock/holder.rs`).
//!
//! Limits: no abstract socket serves as a third lock. Any account could bind its name first, the
//! name differs in every network namespace, and the socket would guard only the moment in which
//! both files are gone.

mod holder;

use std::{
    fs::File,
    io::{self, Seek, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use safe_path::Dir;
use serde::{Deserialize, Serialize};

use crate::{
    in_place::leads_to,
    inheritance::{Inherited, Keeping, Number},
    init::{Init, MoreTime},
    stderr_log::say,
    sys::file,
};

/// Name of the lock file in either directory.
const NAME: &str = "lock";
/// Mode of a directory that is made for the lock file.
const DIRECTORY_MODE: u32 = 0o755;
/// Pause between two attempts while an old control process stops its services.
const RETRY_MS: u8 = 50;

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another supervisor runs on this state.
    #[error(
        "another supervisor (pid {pid}) runs on {dir}; stop it first, or choose another place with --root"
    )]
    Held {
        /// Pid of the other supervisor's keeper.
        pid: i32,
        /// Directory that both claim.
        dir: String,
    },
    /// A signal asked this process to stop while it waited.
    #[error("asked to stop while an earlier supervisor on {0} was still stopping its services")]
    Interrupted(String),
    /// The lock file cannot be used.
    #[error(
        "could not lock {0}: {1}; check that the directory is writable, and that no other thing has that name"
    )]
    Io(String, io::Error),
}

/// Both locks, held.
#[derive(Debug)]
pub(crate) struct Locks {
    /// In the run directory.
    run: Lock,
    /// In the state directory.
    state: Lock,
}

#[derive(Debug)]
struct Lock {
    dir: PathBuf,
    file: File,
    /// Path as the kernel shows it, without symbolic links.
    path: PathBuf,
    /// Whether this start has made the file.
    is_new: bool,
}

impl Locks {
    /// Takes both locks, and waits for a control process that has outlived its keeper. `signals`
    /// becomes readable when this process is asked to stop.
    pub(crate) fn take(
        run_dir: &Path,
        state_dir: &Path,
        signals: impl AsFd,
        init: &Init,
    ) -> Result<Self, LockError> {
        // The more durable lock comes first: a refused supervisor has touched nothing else.
        let state = take(state_dir, &signals, init)?;
        let run = take(run_dir, &signals, init)?;
        let locks = Self { run, state };
        if locks.state.is_new
            && let Some(pid) = holder::of_deleted(&locks.paths(), &locks.state.file)
        {
            return Err(locks.held_by(pid));
        }
        Ok(locks)
    }

    /// The refusal that a second supervisor on this state gets.
    pub(crate) fn held_by(&self, pid: i32) -> LockError {
        let dir = self.run.dir.display().to_string();
        LockError::Held { pid, dir }
    }

    /// Whether this process has one of the lock files open, deleted or not: then it is a keeper on
    /// this state, or the control process of one.
    pub(crate) fn are_held_by(&self, pid: i32) -> bool {
        proc::has_open(pid, &self.paths())
    }

    fn paths(&self) -> [PathBuf; 2] {
        [&self.run, &self.state].map(|lock| lock.path.clone())
    }

    /// Descriptors that the control process has to keep open: the run directory's first.
    pub(crate) fn fds(&self) -> [RawFd; 2] {
        [&self.run, &self.state].map(|lock| lock.file.as_raw_fd())
    }

    /// Duplicates of both, in the same order.
    pub(crate) fn duplicates(&self) -> io::Result<Vec<OwnedFd>> {
        let all = [&self.run, &self.state].into_iter();
        all.map(|lock| Ok(lock.file.try_clone()?.into())).collect()
    }

    /// Takes each lock again whose path no longer leads to the locked file; makes missing
    /// directories. Returns the path of each such lock with the outcome.
    pub(crate) fn take_again(&mut self) -> Vec<(PathBuf, io::Result<()>)> {
        let mut taken = Vec::new();
        for lock in [&mut self.run, &mut self.state] {
            if !lock.is_in_place() {
                taken.push((lock.dir.join(NAME), lock.take_again()));
            }
        }
        taken
    }
}

/// The locks for the next image of this process, the run directory's first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedLocks([SavedLock; 2]);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedLock {
    dir: PathBuf,
    file: Number,
    path: PathBuf,
}

impl Locks {
    /// For the next image of this process.
    pub(crate) fn saved<'a>(&'a self, keeping: &mut Keeping<'a>) -> SavedLocks {
        SavedLocks([&self.run, &self.state].map(|lock| SavedLock {
            dir: lock.dir.clone(),
            file: keeping.keep(&lock.file),
            path: lock.path.clone(),
        }))
    }

    /// The locks of an earlier image of this process: they are held by the open files.
    pub(crate) fn resume(saved: SavedLocks, inherited: &mut Inherited) -> io::Result<Self> {
        let mut lock = |saved: SavedLock| {
            Ok::<_, io::Error>(Lock {
                dir: saved.dir,
                file: inherited.take_file(saved.file)?,
                path: saved.path,
                is_new: false,
            })
        };
        let SavedLocks([run, state]) = saved;
        Ok(Self {
            run: lock(run)?,
            state: lock(state)?,
        })
    }
}

impl Lock {
    fn open(dir: &Path) -> io::Result<Self> {
        let opened = Dir::open(dir)?;
        let is_new = opened.stat(NAME)?.is_none();
        let file = opened.append(NAME, 0o600)?;
        Ok(Self {
            dir: dir.to_owned(),
            path: proc::path_of(&file)?.path,
            file,
            is_new,
        })
    }

    fn is_in_place(&self) -> bool {
        let own = self.file.metadata().map(|meta| (meta.dev(), meta.ino()));
        own.is_ok_and(|own| leads_to(&self.dir, NAME.as_ref(), own))
    }

    fn take_again(&mut self) -> io::Result<()> {
        Dir::make(&self.dir, DIRECTORY_MODE)?;
        let mut other = Self::open(&self.dir)?;
        match file::try_lock(&other.file) {
            Ok(()) => {}
            Err(Errno::EWOULDBLOCK) => {
                let whose = living_keeper(&other.file);
                let whose = whose.map_or_else(String::new, |pid| format!(" (pid {pid})"));
                let text =
                    format!("another supervisor{whose} has taken it meanwhile: end one of the two");
                return Err(io::Error::other(text));
            }
            Err(error) => return Err(error.into()),
        }
        name_ourselves(&mut other.file)?;
        *self = other;
        Ok(())
    }
}

fn take(dir: &Path, signals: impl AsFd, init: &Init) -> Result<Lock, LockError> {
    let failed = |error| LockError::Io(dir.join(NAME).display().to_string(), error);
    let mut lock = Lock::open(dir).map_err(failed)?;
    let mut more_time = MoreTime::of(init);
    let mut waits = false;
    loop {
        match file::try_lock(&lock.file) {
            Ok(()) if lock.is_in_place() => break,
            // Another process made the file anew meanwhile, and holds the new file's lock.
            Ok(()) => {
                lock = Lock::open(dir).map_err(failed)?;
                continue;
            }
            Err(Errno::EWOULDBLOCK | Errno::EINTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
        if let Some(pid) = living_keeper(&lock.file) {
            let dir = dir.display().to_string();
            return Err(LockError::Held { pid, dir });
        }
        if !std::mem::replace(&mut waits, true) {
            say!("waits for an earlier control process to stop its services");
        }
        more_time.ask();
        let mut polled = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if poll(&mut polled, PollTimeout::from(RETRY_MS)).is_ok_and(|ready| ready > 0) {
            return Err(LockError::Interrupted(dir.display().to_string()));
        }
    }
    name_ourselves(&mut lock.file).map_err(failed)?;
    Ok(lock)
}

fn name_ourselves(file: &mut File) -> io::Result<()> {
    let pid = std::process::id();
    let start = i32::try_from(pid).ok().and_then(proc::stat);
    let start = start.map_or(0, |stat| stat.start);
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("{pid} {start}\n").as_bytes())
}

/// The keeper named in the file, if that process still lives.
fn living_keeper(file: &File) -> Option<i32> {
    let mut bytes = [0; 64];
    let length = file.read_at(&mut bytes, 0).ok()?;
    let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
    let mut words = text.split_ascii_whitespace();
    let pid = words.next()?.parse().ok()?;
    let start: u64 = words.next()?.parse().ok()?;
    let stat = proc::stat(pid)?;
    (stat.start == start && stat.state != b'Z').then_some(pid)
}

#[cfg(test)]
mod tests;
