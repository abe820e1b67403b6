//! The directory of the backups. Invariants: at most one backup is made in it at a time, and an
//! unfinished backup never has a backup's name.

use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use safe_path::Dir;

use crate::{
    Error, Refusal,
    known::{Known, Seen},
    name,
};

/// Lock file of the program that makes or removes backups; the lock ends with its holder.
const LOCK: &str = ".mattervisor-backup.lock";
/// Most names that are read.
const NAMES_MAX: usize = 100_000;

/// The directory of the backups.
#[derive(Debug)]
pub struct Target {
    dir: Dir,
}

/// The locked directory: no other program makes or removes backups in it.
#[derive(Debug)]
pub struct Held {
    target: Target,
    _lock: Flock<File>,
}

/// An unfinished backup. Its files are removed unless it is kept.
#[derive(Debug)]
pub struct Partial<'t> {
    target: &'t Target,
    name: String,
    kept: bool,
}

impl Target {
    /// Opens the directory.
    ///
    /// # Errors
    /// The directory is missing, or accounts other than root may change it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if !path.is_absolute() {
            return Err(Refusal::Relative {
                path: path.to_owned(),
            }
            .into());
        }
        let dir = Dir::open(path).map_err(Error::with("open the directory for backups", path))?;
        Ok(Self { dir })
    }

    /// Path of the directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Names of its backups, oldest first, good or not.
    pub fn backups(&self) -> Result<Vec<String>, Error> {
        let names = self.names()?;
        let backups = names
            .into_iter()
            .filter(|name| name::moment(name).is_some());
        Ok(backups.collect())
    }

    /// The stored results of verifications.
    pub(crate) fn known(&self) -> Known {
        Known::read(&self.dir)
    }

    /// Opens a backup for reading.
    pub fn read(&self, name: &str) -> Result<File, Error> {
        let path = self.path().join(name);
        self.dir.open_file(name).map_err(Error::with("open", &path))
    }

    /// Locks the directory without waiting, and removes what killed runs have left.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if another program makes or removes backups here.
    pub fn hold(self) -> Result<Held, Error> {
        let lock = self.lock()?;
        for name in self.names()? {
            if name::is_partial(&name) {
                self.remove(&name)?;
            }
        }
        Ok(Held {
            target: self,
            _lock: lock,
        })
    }

    fn lock(&self) -> Result<Flock<File>, Error> {
        let path = self.path();
        let file = self
            .dir
            .append(LOCK, 0o600)
            .map_err(Error::with("lock", path))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(lock),
            Err((_, Errno::EWOULDBLOCK)) => Err(Refusal::Busy {
                path: path.to_owned(),
            }
            .into()),
            Err((_, errno)) => Err(Error::with("lock", path)(errno.into())),
        }
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let names = self
            .dir
            .names(NAMES_MAX)
            .map_err(Error::with("read", self.path()))?;
        Ok(names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .collect())
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path().join(name);
        self.dir
            .remove(name)
            .map(drop)
            .map_err(Error::with("remove", &path))
    }
}

impl Held {
    /// The directory.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Begins a backup: its file, and an unnamed file for its sums.
    pub fn begin(&self, name: &str) -> Result<(Partial<'_>, File, File), Error> {
        let target = &self.target;
        let partial = Partial {
            target,
            name: name.to_owned(),
            kept: false,
        };
        let unfinished = name::partial(name);
        let path = target.path().join(&unfinished);
        let made = target
            .dir
            .create(&unfinished, 0o600)
            .map_err(Error::with("make", &path))?;
        let sums = name::partial(&format!("{name}.sums"));
        let path = target.path().join(&sums);
        target
            .dir
            .create(&sums, 0o600)
            .map_err(Error::with("make", &path))?;
        // The same descriptor writes and reads the spool.
        let spool = target
            .dir
            .open_to_change(&sums)
            .map_err(Error::with("open", &path))?;
        target.remove(&sums)?;
        Ok((partial, made, spool))
    }

    /// Stores the result of a verification.
    ///
    /// # Errors
    /// The result cannot be written.
    pub fn note(&self, name: &str, whole: bool, lost: u64) -> Result<(), Error> {
        let target = &self.target;
        let file = target.read(name)?;
        let noted = file.metadata().and_then(|now| {
            let seen = Seen {
                file: (now.len(), now.mtime(), now.mtime_nsec()),
                at: Timestamp::now().to_string(),
                whole,
                lost,
            };
            let there = target.backups().map_err(io::Error::other)?;
            Known::note(&target.dir, name, seen, &there)
        });
        noted.map_err(Error::with(
            "note what is known of backups in",
            target.path(),
        ))
    }

    /// Removes a backup.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        self.target.remove(name)?;
        self.target
            .dir
            .sync()
            .map_err(Error::with("sync", self.target.path()))
    }
}

impl Partial<'_> {
    /// Gives a finished backup its name, which must be free. The name is on the disk when this
    /// returns.
    pub fn keep(mut self) -> Result<PathBuf, Error> {
        let path = self.target.path().join(&self.name);
        let dir = &self.target.dir;
        dir.rename_new(name::partial(&self.name), &self.name)
            .map_err(Error::with("name the backup", &path))?;
        self.kept = true;
        dir.sync()
            .map_err(Error::with("sync", self.target.path()))?;
        Ok(path)
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        if !self.kept {
            let _ = self.target.dir.remove(name::partial(&self.name));
        }
    }
}

/// Refuses a place that is no mount point.
///
/// # Errors
/// [`Refusal::NotMounted`].
pub fn must_be_mounted(path: &Path) -> Result<(), Error> {
    if is_mounted(path)? {
        return Ok(());
    }
    Err(Refusal::NotMounted {
        path: path.to_owned(),
    }
    .into())
}

/// Whether something is mounted at a place.
pub(crate) fn is_mounted(path: &Path) -> Result<bool, Error> {
    Ok(mount_points()?.iter().any(|point| point == path))
}

/// All places where something is mounted.
pub(crate) fn mount_points() -> Result<Vec<PathBuf>, Error> {
    let table = Path::new("/proc/self/mountinfo");
    proc::mount_points().map_err(Error::with("read", table))
}

/// Bytes that an ordinary user could still write to a directory's file system.
pub(crate) fn free(target: &Target) -> io::Result<u64> {
    let found = nix::sys::statvfs::fstatvfs(&target.dir)?;
    Ok(found
        .blocks_available()
        .saturating_mul(found.fragment_size()))
}
