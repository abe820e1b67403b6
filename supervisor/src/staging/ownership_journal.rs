//! Which directories are about to change hands: on the disk before the first entry does, and until
//! the last one has. Whoever finds a directory in it knows that its content may belong to either
//! account, and to which of them.
//!
//! Owner: the thread that holds the lock of `ownership.rs`. Limit: [`ENTRIES_MAX`]; none is
//! dropped, so what comes after that is refused.

use std::{
    io,
    path::{Path, PathBuf},
};

use safe_path::Account;
use serde::{Deserialize, Serialize};

use crate::store;

/// Name of the journal in the state directory.
const FILE: &str = "owner-changes.json";
/// Directories that are not finished at one time.
const ENTRIES_MAX: usize = 1024;

/// Consequence of a journal that cannot be used, for messages.
const LOST: &str = "whether a directory was changing hands when the supervisor ended is not known: where a service may \
                    not read its own files, chown -R them to its account";

/// Uid and gid.
type Ids = (u32, u32);

/// Changes of hands that have begun and not ended.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Journal {
    directories: Vec<Begun>,
    #[serde(skip)]
    path: PathBuf,
    #[serde(skip)]
    lost: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    path: PathBuf,
    /// Owners that its content may have.
    owners: Vec<Ids>,
}

impl Journal {
    /// As the disk has it. One that is none of ours has been put aside: then nobody knows what has
    /// begun, which [`Self::lost`] says.
    ///
    /// # Errors
    /// It cannot be read for now. Nothing may change hands then: what has begun would be forgotten.
    pub(super) fn read(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(FILE);
        let (found, lost) = match store::read_json_later::<Self>(&path)? {
            Ok(found) => (found.unwrap_or_default(), None),
            Err(aside) => (Self::default(), Some(format!("{aside}; {LOST}"))),
        };
        Ok(Self {
            path,
            lost,
            ..found
        })
    }

    /// Like [`Self::read`], for a caller that changes nothing: a journal that cannot be read for
    /// now counts as empty. The next start reads it again.
    pub(super) fn look(state_dir: &Path) -> Self {
        Self::read(state_dir).unwrap_or_else(|error| {
            tracing::warn!("{}: {error}", super::ownership::UNREAD);
            Self::default()
        })
    }

    /// Report of a damaged journal that was put aside, once.
    pub(super) const fn lost(&mut self) -> Option<String> {
        self.lost.take()
    }

    /// Owners that the content of a directory may have, by the entries of the directory itself, and
    /// of directories above and below.
    pub(super) fn owners(&self, path: &Path) -> Vec<Account> {
        let all = self.directories.iter();
        let meets = all.filter(|it| path.starts_with(&it.path) || it.path.starts_with(path));
        let owners = meets.flat_map(|it| it.owners.iter());
        owners.map(|&(uid, gid)| Account { uid, gid }).collect()
    }

    /// Notes on the disk, before any change, that the content of a directory may have these owners.
    pub(super) fn begin(&mut self, path: &Path, owners: &[Account]) -> io::Result<()> {
        let ids = owners.iter().map(|it| (it.uid, it.gid));
        let full = self.directories.len() >= ENTRIES_MAX;
        match self.directories.iter_mut().find(|it| it.path == path) {
            Some(begun) => {
                for ids in ids {
                    if !begun.owners.contains(&ids) {
                        begun.owners.push(ids);
                    }
                }
            }
            None if full => {
                let why = format!("{} names {ENTRIES_MAX} directories", self.path.display());
                return Err(io::Error::other(why));
            }
            None => self.directories.push(Begun {
                path: path.to_owned(),
                owners: ids.collect(),
            }),
        }
        self.write()
    }

    /// The change is done and on the disk: takes it off the journal.
    pub(super) fn end<'a>(&mut self, paths: impl Iterator<Item = &'a Path>) -> io::Result<()> {
        let done: Vec<&Path> = paths.collect();
        self.directories
            .retain(|it| !done.contains(&it.path.as_path()));
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        store::write_atomically(&self.path, serde_json::to_string_pretty(self)?.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    use super::*;

    const ONE: Account = Account { uid: 1, gid: 1 };
    const TWO: Account = Account { uid: 2, gid: 2 };

    #[test]
    fn what_has_begun_is_known_above_and_below_until_it_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let home = Path::new("/srv/home");
        let mut journal = Journal::read(dir.path()).unwrap();
        journal.begin(home, &[ONE]).unwrap();
        journal.begin(home, &[TWO, ONE]).unwrap();
        let mut journal = Journal::read(dir.path()).unwrap();
        for path in ["/srv", "/srv/home", "/srv/home/data"] {
            assert_eq!(journal.owners(Path::new(path)), [ONE, TWO], "{path}");
        }
        assert!(journal.owners(Path::new("/srv/homes")).is_empty());
        journal.end([home].into_iter()).unwrap();
        let journal = Journal::read(dir.path()).unwrap();
        assert!(journal.owners(home).is_empty());
    }

    #[test]
    fn what_cannot_be_read_for_now_is_not_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let home = Path::new("/srv/home");
        let mut journal = Journal::read(dir.path()).unwrap();
        journal.begin(home, &[ONE]).unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
        let read = Journal::read(dir.path());
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        let error = read.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::libc::EMFILE), "{error}");
        let journal = Journal::read(dir.path()).unwrap();
        assert_eq!(journal.owners(home), [ONE]);
    }

    #[test]
    fn what_is_none_is_put_aside_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::read(dir.path()).unwrap();
        assert_eq!(journal.lost(), None, "it is not there");
        fs::write(dir.path().join(FILE), "{").unwrap();
        let mut journal = Journal::read(dir.path()).unwrap();
        let said = journal.lost().unwrap();
        assert!(said.contains("owner-changes.json.broken-2"), "{said}");
        assert!(said.contains("chown -R"), "{said}");
        journal.begin(Path::new("/srv/home"), &[ONE]).unwrap();
        assert_eq!(Journal::read(dir.path()).unwrap().lost(), None);
    }
}
