//! Where notify sockets lie, so that none but root and a service's account can send to it.
//!
//! A socket of this kind is as safe as the directory of its file: that belongs to the keeper, mode
//! 0711, so nobody else can put a file there or take one away. The usual one is `RUN/notify`. Where
//! a path in it does not fit into a socket address, or leads through a directory that the service's
//! account may not enter, a short one serves (`/run/mattervisor-HASH`; without root below
//! `$XDG_RUNTIME_DIR`, else in `/tmp`), which is removed at the end and cleared by the next start.
//!
//! Somebody may clean `/run`: what is missing is made again, and the sockets are bound again at
//! their paths (`places`).

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;
use safe_path::Dir;
use serde::{Deserialize, Serialize};

use crate::removals::{Of, Removals, Watch};

/// Directory of the sockets, in the run directory.
const DIRECTORY: &str = "notify";
/// Others may pass through to what is theirs, and see nothing.
const MODE: u32 = 0o711;
/// Names that are cleared at a start.
const NAMES_MAX: usize = 65_536;
/// A longer path does not fit into a socket address.
const PATH_BYTES_MAX: usize = 107;
/// A longer name would not fit behind `/proc/self/fd/NUMBER/`, by which it is bound.
const NAME_BYTES_MAX: usize = 80;

/// Which directory a socket lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    Usual,
    Short,
}

/// Both places, opened with the first socket that needs them.
#[derive(Debug)]
pub(crate) struct Directories {
    usual: Slot,
    short: Slot,
}

#[derive(Debug)]
struct Slot {
    /// The first that can be had is taken.
    candidates: Vec<PathBuf>,
    open: Option<Directory>,
}

/// An open directory that is ours.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    dir: Dir,
    id: (u64, u64),
    watch: Option<Watch>,
}

impl Directories {
    /// Directories of a keeper with this run directory and hash of its state. Opens nothing yet.
    pub(crate) fn new(run_dir: &Path, hash: &str) -> Self {
        let own = if geteuid().is_root() {
            Some(PathBuf::from("/run"))
        } else {
            std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)
        };
        let parents = own.filter(|dir| dir.is_absolute()).into_iter();
        let parents = parents.chain([PathBuf::from("/tmp")]);
        let name = format!("mattervisor-{hash}");
        Self {
            usual: Slot::new(vec![run_dir.join(DIRECTORY)]),
            short: Slot::new(parents.map(|dir| dir.join(&name)).collect()),
        }
    }

    /// A path in the usual directory suits a service of this name and account.
    pub(crate) fn usual_suits(&self, name: &str, uid: u32) -> bool {
        let Some(directory) = self.usual.candidates.first() else {
            return false;
        };
        let fits = directory.join(name).as_os_str().len() <= PATH_BYTES_MAX;
        let enters = uid == geteuid().as_raw() || others_enter(directory.parent());
        name.len() <= NAME_BYTES_MAX && fits && enters
    }

    /// The directory, opened or made; anew, if somebody has removed it.
    pub(crate) fn get(&mut self, place: Place, removals: &Removals) -> io::Result<&Directory> {
        let slot = match place {
            Place::Usual => &mut self.usual,
            Place::Short => &mut self.short,
        };
        slot.get(removals)
    }

    /// The directory, if it is open and still where its path says.
    pub(crate) fn in_place(&self, place: Place) -> Option<&Directory> {
        let slot = match place {
            Place::Usual => &self.usual,
            Place::Short => &self.short,
        };
        slot.open.as_ref().filter(|open| open.is_in_place())
    }

    /// Removes the directories that were made.
    pub(crate) fn remove(&self) {
        for slot in [&self.usual, &self.short] {
            if let Some(directory) = slot.open.as_ref().filter(|open| open.is_in_place()) {
                directory.clear();
                let (parent, name) = (directory.path.parent(), directory.path.file_name());
                if let (Some(parent), Some(name)) = (parent, name) {
                    let _ = Dir::open(parent).and_then(|parent| parent.remove_dir(name));
                }
            }
        }
    }
}

/// Paths of the directories that are open, for the next image of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedDirectories {
    usual: Option<PathBuf>,
    short: Option<PathBuf>,
}

impl Directories {
    /// For the next image of this process.
    pub(crate) fn saved(&self) -> SavedDirectories {
        let path = |slot: &Slot| slot.open.as_ref().map(|open| open.path.clone());
        SavedDirectories {
            usual: path(&self.usual),
            short: path(&self.short),
        }
    }

    /// Opens what an earlier image of this process had open, with the sockets in it. What cannot be
    /// opened is made again by the next look at the sockets.
    pub(crate) fn resume(&mut self, saved: &SavedDirectories, removals: &Removals) {
        let slots = [
            (&mut self.usual, &saved.usual),
            (&mut self.short, &saved.short),
        ];
        for (slot, path) in slots {
            let open = path.as_ref().map(|path| Directory::again(path, removals));
            slot.open = open.and_then(Result::ok);
        }
    }
}

impl Slot {
    fn new(candidates: Vec<PathBuf>) -> Self {
        Self {
            candidates,
            open: None,
        }
    }

    fn get(&mut self, removals: &Removals) -> io::Result<&Directory> {
        if let Some(gone) = self.open.take_if(|open| !open.is_in_place())
            && let Some(watch) = gone.watch
        {
            removals.unwatch(watch);
        }
        if self.open.is_none() {
            let mut outcome = Err(io::ErrorKind::NotFound.into());
            for path in &self.candidates {
                outcome = Directory::open(path, removals);
                if outcome.is_ok() {
                    break;
                }
            }
            self.open = Some(outcome?);
        }
        self.open
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Directory {
    /// Only to be called with the lock held: what lies there is of an earlier life.
    fn open(path: &Path, removals: &Removals) -> io::Result<Self> {
        let directory = Self::own(path, Dir::make(path, MODE)?, removals)?;
        directory.clear();
        Ok(directory)
    }

    /// What lies there is of an earlier image of this process, which holds the sockets.
    fn again(path: &Path, removals: &Removals) -> io::Result<Self> {
        Self::own(path, Dir::open(path)?, removals)
    }

    fn own(path: &Path, dir: Dir, removals: &Removals) -> io::Result<Self> {
        let meta = dir.metadata()?;
        if meta.uid() != geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        // The umask, or somebody else, may have changed the mode.
        dir.set_owner_and_mode(None, MODE)?;
        Ok(Self {
            path: path.to_owned(),
            dir,
            id: (meta.dev(), meta.ino()),
            watch: removals.watch(path, Of::Entries),
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn is_in_place(&self) -> bool {
        let now = fs::symlink_metadata(&self.path);
        now.is_ok_and(|meta| (meta.dev(), meta.ino()) == self.id)
    }

    fn clear(&self) {
        for name in self.dir.names(NAMES_MAX).into_iter().flatten() {
            let _ = self.dir.remove(name);
        }
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// Any account may pass through this directory and all above it.
fn others_enter(directory: Option<&Path>) -> bool {
    let mut all = directory.into_iter().flat_map(Path::ancestors);
    all.all(|one| fs::metadata(one).is_ok_and(|meta| meta.mode() & 0o001 != 0))
}
