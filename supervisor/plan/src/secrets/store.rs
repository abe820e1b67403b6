//! `secrets.toml` on the disk. The supervisor makes secrets in it and commands of `ctl` put others
//! there, perhaps at the same moment: all of them change it here, one after the other.
//!
//! The lock is one on the file itself, which nobody but its owner can open, and is held for as long
//! as one small file takes to be read and written. A person's editor does not take it.

use std::{
    ffi::OsString,
    fmt,
    fs::{File, Metadata},
    io::{self, Read, Seek, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use safe_path::{Account, Dir};

use crate::host::machine::MAX_FILE_BYTES;

/// Most times that another file takes its place while we wait for the lock.
const ATTEMPTS: usize = 1000;
/// Mode bits that the file may have.
const OWN_BITS: u32 = 0o600;

/// Why the file was not changed.
#[derive(Debug)]
pub enum Failure {
    /// The file cannot be read.
    Read(io::Error),
    /// The file cannot be written.
    Write(io::Error),
    /// The change does not fit the file.
    Change(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "cannot read it: {error}"),
            Self::Write(error) => write!(f, "cannot write it: {error}"),
            Self::Change(why) => f.write_str(why),
        }
    }
}

/// The text of the file; none where there is no such file.
pub fn read(path: &Path) -> io::Result<Option<String>> {
    match safe_path::open(path) {
        Ok(mut file) => text_of(&mut file).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Changes the file: `change` is told its text, which is empty where there is none, and answers the
/// new one, or none if it can stay. Nobody else changes it meanwhile. It keeps its owner and what
/// that one may do with it, and is for nobody else. Answers whether it was written.
pub fn rewrite(
    path: &Path,
    change: impl FnOnce(&str) -> Result<Option<String>, String>,
) -> Result<bool, Failure> {
    Locked::new(path)?.rewrite(None, change)
}

/// Space reserved beside the file for its new text. Dropping it frees the space.
#[derive(Debug)]
pub struct Reserved {
    path: PathBuf,
    beside: Beside,
}

impl Reserved {
    /// Checks that a text can be stored, by writing it beside the file.
    pub fn new(path: &Path, text: &str) -> io::Result<Self> {
        // Behind a link is where it will lie.
        let (dir, _) = Dir::place(path)?;
        let name = format!(".secrets.{}.new", std::process::id());
        let mut beside = Beside::new(dir, name.into())?;
        beside.fill(text)?;
        let path = path.to_owned();
        Ok(Self { path, beside })
    }

    /// As [`rewrite`], in the reserved space.
    pub fn rewrite(
        self,
        change: impl FnOnce(&str) -> Result<Option<String>, String>,
    ) -> Result<bool, Failure> {
        Locked::new(&self.path)?.rewrite(Some(self.beside), change)
    }
}

/// The file under its lock.
struct Locked {
    file: Flock<File>,
    /// The directory that the file lies in, behind links, which only root or we can change; and
    /// its name there.
    place: (Dir, OsString),
    before: Metadata,
    /// The file did not exist.
    made: bool,
}

impl Locked {
    fn new(path: &Path) -> Result<Self, Failure> {
        for _ in 0..ATTEMPTS {
            let place = Dir::place(path).map_err(Failure::Write)?;
            let (file, made) = match open(&place) {
                Err(error) if is_others(&error) => continue,
                opened => opened.map_err(Failure::Write)?,
            };
            let file = lock(file).map_err(Failure::Write)?;
            let before = file.metadata().map_err(Failure::Read)?;
            // While we waited, another may have put a new one in its place.
            let there = place.0.stat(&place.1).map_err(Failure::Read)?;
            let same = |there: Metadata| (there.dev(), there.ino()) == (before.dev(), before.ino());
            if there.is_some_and(same) {
                return Ok(Self {
                    file,
                    place,
                    before,
                    made,
                });
            }
        }
        let busy = "others put new ones in its place all the time";
        Err(Failure::Write(io::Error::other(busy)))
    }

    fn rewrite(
        mut self,
        beside: Option<Beside>,
        change: impl FnOnce(&str) -> Result<Option<String>, String>,
    ) -> Result<bool, Failure> {
        let text = text_of(&mut self.file).map_err(Failure::Read)?;
        let Some(text) = change(&text).map_err(Failure::Change)? else {
            return Ok(false);
        };
        self.put(beside, &text).map_err(Failure::Write)?;
        self.made = false;
        Ok(true)
    }

    fn put(&self, beside: Option<Beside>, text: &str) -> io::Result<()> {
        let mut beside = match beside {
            Some(beside) => beside,
            // Ours alone too: what a crash has left there is nobody's.
            None => Beside::new(Dir::open(self.place.0.path())?, ".secrets.new".into())?,
        };
        beside.fill(text)?;
        beside.become_like(&self.before)?;
        let (dir, name) = &self.place;
        dir.rename(&beside.name, name)?;
        dir.sync()
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // The empty file was made only to have something to lock.
        if self.made && self.file.metadata().is_ok_and(|now| now.len() == 0) {
            let (dir, name) = &self.place;
            let _ = dir.remove(name);
        }
    }
}

/// The file, and whether there was none.
fn open((dir, name): &(Dir, OsString)) -> io::Result<(File, bool)> {
    match dir.open_file(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            drop(dir.create(name, OWN_BITS)?);
            Ok((dir.open_file(name)?, true))
        }
        opened => Ok((opened?, false)),
    }
}

/// Whether another program has made or removed the file in the same moment.
fn is_others(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound
    )
}

fn lock(mut file: File) -> io::Result<Flock<File>> {
    loop {
        match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(locked) => return Ok(locked),
            Err((same, Errno::EINTR)) => file = same,
            Err((_, errno)) => return Err(errno.into()),
        }
    }
}

fn text_of(file: &mut File) -> io::Result<String> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    let limit = MAX_FILE_BYTES as u64;
    file.take(limit + 1).read_to_string(&mut text)?;
    if text.len() > MAX_FILE_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

/// A file that will take the place of another. Dropped before that, it is removed.
#[derive(Debug)]
struct Beside {
    dir: Dir,
    name: OsString,
    file: File,
}

impl Beside {
    fn new(dir: Dir, name: OsString) -> io::Result<Self> {
        dir.remove(&name)?;
        let file = dir.create(&name, OWN_BITS)?;
        Ok(Self { dir, name, file })
    }

    fn fill(&mut self, text: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.sync_all()
    }

    fn become_like(&self, old: &Metadata) -> io::Result<()> {
        let owner = Account {
            uid: old.uid(),
            gid: old.gid(),
        };
        safe_path::set_owner_and_mode(&self.file, Some(owner), old.mode() & OWN_BITS)?;
        self.file.sync_all()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Gone already where it has taken its place.
        let _ = self.dir.remove(&self.name);
    }
}

#[cfg(test)]
mod tests;
