//! The directory that backups go to: at most one is made in it at a time, and one that is not whole
//! never has a backup's name.

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

/// Held by whoever makes or removes backups here; free once its holder is dead.
const LOCK: &str = ".mattervisor-backup.lock";
/// Names that are looked at.
const NAMES_MAX: usize = 100_000;

/// The directory.
#[derive(Debug)]
pub struct Target {
    dir: Dir,
}

/// The directory, and nobody else makes or removes anything in it.
#[derive(Debug)]
pub struct Held {
    target: Target,
    _lock: Flock<File>,
}

/// A backup that is not whole yet. Unless it is kept, nothing is left of it.
#[derive(Debug)]
pub struct Partial<'t> {
    target: &'t Target,
    name: String,
    kept: bool,
}

impl Target {
    /// The directory as it is.
    ///
    /// # Errors
    /// It is not there, or could be changed by anybody but root.
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

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Names of backups in it, oldest first. Whether they are any good is another question.
    pub fn backups(&self) -> Result<Vec<String>, Error> {
        let names = self.names()?;
        let backups = names
            .into_iter()
            .filter(|name| name::moment(name).is_some());
        Ok(backups.collect())
    }

    /// What is known of them.
    pub(crate) fn known(&self) -> Known {
        Known::read(&self.dir)
    }

    /// One of them, for reading.
    pub fn read(&self, name: &str) -> Result<File, Error> {
        let path = self.path().join(name);
        self.dir.open_file(name).map_err(Error::with("open", &path))
    }

    /// Waits for nobody: alone in it, or not at all. What killed runs have left is removed.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if somebody else makes or removes backups here.
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

    /// Begins a backup: the file that it is written to, and one without a name for its sums.
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
        // Written and read by the same descriptor.
        let spool = target
            .dir
            .open_to_change(&sums)
            .map_err(Error::with("open", &path))?;
        target.remove(&sums)?;
        Ok((partial, made, spool))
    }

    /// Notes what was seen of a backup that was read to its end, or as far as it goes.
    ///
    /// # Errors
    /// It cannot be written down.
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
    /// Gives a whole one its name, which nobody else may have. It is on the disk when this returns.
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
