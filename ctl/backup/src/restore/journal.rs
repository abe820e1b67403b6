//! What a restore has begun, on the disk before it is done, and what is known of the safety copy of the last
//! one. Both lie in the job's directory, which is root's.
//!
//! Theory: one transaction of the database server renames two databases, and that is the commit point. Whether
//! it has happened is asked of the server, by the name that the database in use before would have: so the
//! journal holds what was to be done, and never a word of what was. Where files alone change places, the journal
//! itself is the commit point: it is written once more, with `decided`.

use std::{
    ffi::OsString,
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use safe_path::Dir;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use crate::{Error, Refusal, job::directory::write};

const JOURNAL: &str = "journal.json";
const KEPT: &str = "kept.json";
const LOCK: &str = "lock";
/// Of a journal, which names each entry that is swapped.
const BYTES_MAX: u64 = 64 << 20;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// A backup takes the place of what there is.
    Restore,
    /// The safety copy does.
    Undo,
    /// A backup's database beside the live one, to look at.
    Beside,
}

/// Work that has been begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    /// Of the request.
    pub(super) id: String,
    pub(super) kind: Kind,
    /// In the names of all that is made for it.
    pub(super) stamp: String,
    /// What is restored, for people.
    pub(super) from: String,
    /// None: the database stays.
    pub(super) database: Option<Renames>,
    /// There is no way back. Where databases change names, the server says it.
    #[serde(default)]
    pub(super) decided: bool,
    pub(super) swaps: Vec<Swap>,
    pub(super) stashes: Vec<Stash>,
}

/// Names of databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Renames {
    /// In use.
    pub(super) name: String,
    /// What gets that name.
    pub(super) incoming: String,
    /// What the database in use before is called then.
    pub(super) outgoing: String,
}

/// Bytes of the live name that are taken into the names of the others: `PostgreSQL` takes 63 in all.
const BASE_BYTES: usize = 38;

impl Renames {
    /// Names that nobody else has, of a restore that begins now.
    pub(super) fn of(name: &str, outgoing: &str, stamp: &str) -> Self {
        let end = (0..=BASE_BYTES.min(name.len()))
            .rev()
            .find(|at| name.is_char_boundary(*at));
        let base = &name[..end.unwrap_or(0)];
        Self {
            name: name.to_owned(),
            incoming: format!("{base}_restore_{stamp}"),
            outgoing: format!("{base}_{outgoing}_{stamp}"),
        }
    }
}

/// A directory of files that wait beside the live ones; after the swap it holds what was there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stash {
    pub(super) parent: PathBuf,
    pub(super) name: String,
    /// It stands for all of its parent, which cannot be moved itself: each entry there changes places.
    pub(super) inside: bool,
}

/// One entry that changes places with what has its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Swap {
    /// Where the live one is.
    pub(super) parent: PathBuf,
    #[serde(serialize_with = "bytes", deserialize_with = "name")]
    pub(super) live: OsString,
    /// Where the other one is, below the same directory; empty: the stash itself.
    pub(super) stash: String,
    #[serde(serialize_with = "bytes", deserialize_with = "name")]
    pub(super) staged: OsString,
    /// Device and number of what is to be live; none: nothing is.
    pub(super) incoming: Option<(u64, u64)>,
}

/// What there was before the last restore, or before it was undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The request that has made it.
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) stamp: String,
    pub(super) from: String,
    /// When it was replaced: RFC 3339 in UTC.
    pub(super) at: String,
    pub(super) swaps: Vec<Swap>,
    /// What it is.
    pub(super) copy: Copy,
    /// Earlier ones, which are to be removed.
    #[serde(default)]
    pub(super) earlier: Vec<Copy>,
}

/// A database and files that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Copy {
    /// What the database is called; none: it was not replaced.
    pub(super) database: Option<String>,
    pub(super) stashes: Vec<Stash>,
}

/// The directory of both.
pub(super) struct Store {
    dir: Dir,
}

/// The directory, and nobody else works in it.
pub(super) struct Held {
    pub(super) store: Store,
    _lock: Flock<std::fs::File>,
}

impl Store {
    /// None: nothing was ever restored here.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Error> {
        match Dir::open(path) {
            Ok(dir) => Ok(Some(Self { dir })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::with("open", path)(error)),
        }
    }

    /// Keeps everybody else out until this ends, or dies.
    pub(super) fn hold(self) -> Result<Held, Error> {
        let path = self.dir.path().join(LOCK);
        let file = self.dir.append(LOCK, 0o600);
        let file = file.map_err(Error::with("open", &path))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Held {
                store: self,
                _lock: lock,
            }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(Refusal::RestoreRuns.into()),
            Err((_, errno)) => Err(Error::with("lock", &path)(errno.into())),
        }
    }

    pub(super) fn journal(&self) -> Result<Option<Journal>, Error> {
        self.read(JOURNAL)
    }

    pub(super) fn kept(&self) -> Result<Option<Kept>, Error> {
        self.read(KEPT)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.dir.path().join(name);
        let text = match self.dir.read(name, BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(Error::with("read", &path))?,
        };
        let read = serde_json::from_slice(&text).map_err(io::Error::from);
        read.map(Some).map_err(Error::with("understand", &path))
    }
}

impl Held {
    /// On the disk when this returns.
    pub(super) fn write_journal(&self, journal: &Journal) -> Result<(), Error> {
        self.write(JOURNAL, journal)
    }

    pub(super) fn write_kept(&self, kept: &Kept) -> Result<(), Error> {
        self.write(KEPT, kept)
    }

    pub(super) fn close(&self) -> Result<(), Error> {
        self.remove(JOURNAL)
    }

    pub(super) fn forget(&self) -> Result<(), Error> {
        self.remove(KEPT)
    }

    fn write(&self, name: &str, what: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_vec(what).map_err(io::Error::from)?;
        write(&self.store.dir, name, &text)
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        let dir = &self.store.dir;
        let removed = dir.remove(name).and_then(|_| dir.sync());
        removed.map_err(Error::with("remove", &dir.path().join(name)))
    }
}

/// A name of any bytes.
fn bytes<S: Serializer>(name: &OsString, to: S) -> Result<S::Ok, S::Error> {
    name.as_bytes().serialize(to)
}

fn name<'de, D: Deserializer<'de>>(from: D) -> Result<OsString, D::Error> {
    Vec::deserialize(from).map(OsString::from_vec)
}
