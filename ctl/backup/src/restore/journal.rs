//! The restore journal, written to the disk before each step, and the record of the last safety
//! copy. Both lie in the job's directory, which is root's.
//!
//! Theory: the commit point is the server's transaction that renames two databases. Whether it has
//! happened is read from the server, by the name that the former live database would have: the
//! journal therefore holds only what was to be done, never what was done. If files alone are
//! swapped, the journal itself is the commit point: it is written once more, with `decided`.

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
/// Longest journal, which names each swapped entry.
const BYTES_MAX: u64 = 64 << 20;

/// The kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// A backup replaces the live data.
    Restore,
    /// The safety copy replaces the live data.
    Undo,
    /// A backup's database is restored beside the live one.
    Beside,
}

/// Work that has been begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    /// Id of the request.
    pub(super) id: String,
    pub(super) kind: Kind,
    /// Suffix of the names of everything that the work creates.
    pub(super) stamp: String,
    /// The restored backup, for people.
    pub(super) from: String,
    /// The database's renames; `None` if the database stays.
    pub(super) database: Option<Renames>,
    /// Whether the commit point is passed. If databases are renamed, the server decides that
    /// instead.
    #[serde(default)]
    pub(super) decided: bool,
    pub(super) swaps: Vec<Swap>,
    pub(super) stashes: Vec<Stash>,
}

/// Names of databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Renames {
    /// Name of the live database.
    pub(super) name: String,
    /// Name of the database that becomes live.
    pub(super) incoming: String,
    /// New name of the former live database.
    pub(super) outgoing: String,
}

/// Bytes of the live name that the other names contain: `PostgreSQL` allows 63 in all.
const BASE_BYTES: usize = 38;

impl Renames {
    /// Unused names for a restore that begins now.
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

/// A directory of staged files beside the live ones; after the swap it holds the former live files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stash {
    pub(super) parent: PathBuf,
    pub(super) name: String,
    /// Whether the stash stands for its whole parent, which cannot be moved itself: each entry
    /// there is swapped.
    pub(super) inside: bool,
}

/// One staged entry that is swapped with the live entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Swap {
    /// Directory of the live entry.
    pub(super) parent: PathBuf,
    #[serde(serialize_with = "bytes", deserialize_with = "name")]
    pub(super) live: OsString,
    /// Stash with the staged entry, below the same directory; empty: the staged entry is the stash
    /// itself.
    pub(super) stash: String,
    #[serde(serialize_with = "bytes", deserialize_with = "name")]
    pub(super) staged: OsString,
    /// Device and inode of the entry that becomes live; `None` if none does.
    pub(super) incoming: Option<(u64, u64)>,
}

/// The data from before the last restore, or from before its undo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Id of the request that made the safety copy.
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) stamp: String,
    pub(super) from: String,
    /// When the data were replaced: RFC 3339 in UTC.
    pub(super) at: String,
    pub(super) swaps: Vec<Swap>,
    /// The safety copy.
    pub(super) copy: Copy,
    /// Earlier safety copies that are still to be removed.
    #[serde(default)]
    pub(super) earlier: Vec<Copy>,
}

/// A database and files that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Copy {
    /// Name of the kept database; `None` if the database was not replaced.
    pub(super) database: Option<String>,
    pub(super) stashes: Vec<Stash>,
}

/// The directory of journal and record.
pub(super) struct Store {
    dir: Dir,
}

/// The locked directory.
pub(super) struct Held {
    pub(super) store: Store,
    _lock: Flock<std::fs::File>,
}

impl Store {
    /// Opens the directory; `None` if nothing was ever restored here.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Error> {
        match Dir::open(path) {
            Ok(dir) => Ok(Some(Self { dir })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::with("open", path)(error)),
        }
    }

    /// Locks the directory until the holder ends or dies.
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
    /// Writes the journal; it is on the disk when this returns.
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

/// Serializes a name of any bytes.
fn bytes<S: Serializer>(name: &OsString, to: S) -> Result<S::Ok, S::Error> {
    name.as_bytes().serialize(to)
}

fn name<'de, D: Deserializer<'de>>(from: D) -> Result<OsString, D::Error> {
    Vec::deserialize(from).map(OsString::from_vec)
}
