//! Giving a directory to another account, with what lies in it.
//!
//! Each entry is opened below the directory before, by one name and through no link, and is looked
//! at by its descriptor: nobody who renames or replaces something meanwhile has anything else given
//! away. What the former owner does not own stays as it is, and so do files with a further name
//! (which may lie anywhere), devices, and whatever lies on another file system. The directory
//! itself comes last, so that its owner tells whether all is done.
//!
//! Limits: [`DEPTH_MAX`], with a descriptor for each level; one pass over the names, so what a
//! process of the former owner makes meanwhile may be missed. Whoever calls sees to it that none is
//! there.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io,
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt},
        },
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::stat::Mode,
    unistd::{Gid, Uid, fchownat, syncfs},
};

use crate::{
    Account, Untrusted,
    file::{self, OPEN},
    walk::{End, HANDLE, Standing, is_name, is_trusted, walk},
};

/// Directories that lie in each other.
const DEPTH_MAX: usize = 128;
/// Entries that are named of those left as they are.
pub const LEFT_NAMED_MAX: usize = 5;

/// Whose something was, and whose it is to be.
#[derive(Clone, Debug)]
pub struct Handover {
    /// Former owners, of whom several are known after an interruption. Never root.
    pub from: Vec<Account>,
    /// The new one.
    pub to: Account,
}

impl Handover {
    /// New user and group of an entry; none of either: it stays.
    fn of(&self, now: &Metadata) -> (Option<Uid>, Option<Gid>) {
        let has = |of: fn(&Account) -> u32, id| id != 0 && self.from.iter().any(|it| of(it) == id);
        let user = now.uid() != self.to.uid && has(|it| it.uid, now.uid());
        let group = now.gid() != self.to.gid && has(|it| it.gid, now.gid());
        (
            user.then(|| Uid::from_raw(self.to.uid)),
            group.then(|| Gid::from_raw(self.to.gid)),
        )
    }
}

/// Why an entry keeps its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It belongs to somebody else.
    Owner(u32),
    /// It has other names (hard links).
    Names,
    /// It is a device.
    Device,
    /// It is another file system.
    FileSystem,
}

/// What a walk has done, or would do.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Entries that get another owner or group.
    pub changed: u64,
    /// Entries that stay as they are and are not the new owner's.
    pub left: u64,
    /// The first [`LEFT_NAMED_MAX`] of them.
    pub named: Vec<(PathBuf, Left)>,
    /// The limit was reached: there are more.
    pub more: bool,
}

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub struct At {
    /// The entry.
    pub path: PathBuf,
    /// The reason; `ECANCELED` if the walk was told to end.
    pub error: io::Error,
}

/// A directory that is there, and is no link.
#[derive(Debug)]
pub struct Tree {
    path: PathBuf,
    top: File,
    now: Metadata,
    /// Of the directory that it lies in.
    standing: Standing,
    shared: bool,
}

impl Tree {
    /// Opens the directory alone.
    ///
    /// # Errors
    /// [`Untrusted`] within the error if it is a link or lies in a directory that everybody may
    /// change.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::EINVAL.into());
        };
        let step = match walk(parent)? {
            End::Dir(step) => step,
            End::Other(..) => return Err(Errno::ENOTDIR.into()),
            End::Missing(..) => return Err(Errno::ENOENT.into()),
        };
        if step.standing == Standing::Open {
            return Err(Untrusted::Open { path: step.path }.into());
        }
        // Says what is wrong with anything but a directory.
        step.below(name)?;
        let top = File::from(openat(
            &step,
            name,
            OFlag::O_RDONLY | OFlag::O_DIRECTORY | OPEN,
            Mode::empty(),
        )?);
        Ok(Self {
            path: step.path.join(name),
            now: top.metadata()?,
            top,
            standing: step.standing,
            shared: step.shared,
        })
    }

    /// Whether it may be given away at all: where somebody else could have put it, it has to be
    /// theirs.
    ///
    /// # Errors
    /// [`Untrusted`] within the error.
    pub fn may_change_hands(&self, handover: &Handover) -> io::Result<()> {
        let (uid, to) = (self.now.uid(), handover.to.uid);
        let known = handover.from.iter().any(|it| it.uid == uid);
        let may = match self.standing {
            _ if uid == to => true,
            Standing::Trusted => !self.shared || is_trusted(uid),
            Standing::Foreign(above) => {
                !is_trusted(uid) && (above == uid || (above == to && known))
            }
            Standing::Open => false,
        };
        if may {
            return Ok(());
        }
        let path = self.path.clone();
        let refusal = match self.standing {
            Standing::Foreign(above) if above != uid && above != to => {
                Untrusted::Below { path, uid: above }
            }
            _ => Untrusted::Foreign { path, uid },
        };
        Err(refusal.into())
    }

    /// Gives it away: what lies in it first, if that is to go along, then itself, with this mode.
    /// Ends early when `go_on` says no. All is on the disk when this returns.
    pub fn give(
        &self,
        handover: &Handover,
        mode: u32,
        recursive: bool,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Tally, At> {
        let at = |error| At {
            path: self.path.clone(),
            error,
        };
        self.may_change_hands(handover).map_err(at)?;
        let mut walk = Walk::new(self, handover, u64::MAX, go_on);
        walk.gives = true;
        if recursive {
            walk.content(self)?;
        }
        let (user, group) = handover.of(&self.now);
        walk.tally.changed += u64::from(user.is_some() || group.is_some());
        file::set_owner_and_mode(&self.top, Some(handover.to), mode).map_err(at)?;
        syncfs(&self.top).map_err(|errno| at(errno.into()))?;
        Ok(walk.tally)
    }

    /// What [`Tree::give`] would do to what lies in it, as far as so many entries tell.
    pub fn count(
        &self,
        handover: &Handover,
        limit: u64,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Tally, At> {
        let mut walk = Walk::new(self, handover, limit, go_on);
        walk.content(self)?;
        Ok(walk.tally)
    }
}

/// On the way through a tree.
struct Walk<'a> {
    handover: &'a Handover,
    /// The file system that is not left.
    device: u64,
    gives: bool,
    /// Entries that may still be looked at.
    entries_left: u64,
    go_on: &'a dyn Fn() -> bool,
    path: PathBuf,
    tally: Tally,
}

impl<'a> Walk<'a> {
    fn new(tree: &Tree, handover: &'a Handover, limit: u64, go_on: &'a dyn Fn() -> bool) -> Self {
        Self {
            handover,
            device: tree.now.dev(),
            gives: false,
            entries_left: limit,
            go_on,
            path: tree.path.clone(),
            tally: Tally::default(),
        }
    }

    fn content(&mut self, tree: &Tree) -> Result<(), At> {
        self.directory(&tree.top, 0)
    }

    fn at(&self, error: impl Into<io::Error>) -> At {
        At {
            path: self.path.clone(),
            error: error.into(),
        }
    }

    fn directory(&mut self, dir: &impl AsFd, depth: usize) -> Result<(), At> {
        if depth >= DEPTH_MAX {
            return Err(self.at(Errno::ELOOP));
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OPEN;
        let names = nix::dir::Dir::openat(dir, ".", flags, Mode::empty());
        let mut names = names.map_err(|errno| self.at(errno))?;
        for entry in names.iter() {
            let entry = entry.map_err(|errno| self.at(errno))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if !is_name(name) {
                continue;
            }
            if self.entries_left == 0 {
                self.tally.more = true;
                return Ok(());
            }
            self.entries_left -= 1;
            if !(self.go_on)() {
                return Err(self.at(Errno::ECANCELED));
            }
            let name: OsString = name.to_owned();
            self.path.push(&name);
            self.entry(dir, &name, depth)?;
            self.path.pop();
        }
        Ok(())
    }

    fn entry(&mut self, dir: &impl AsFd, name: &OsStr, depth: usize) -> Result<(), At> {
        let found = match openat(dir, name, HANDLE, Mode::empty()) {
            Ok(found) => File::from(found),
            // Gone meanwhile.
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(self.at(errno)),
        };
        let now = found.metadata().map_err(|error| self.at(error))?;
        if now.dev() != self.device {
            self.leave(Left::FileSystem);
            return Ok(());
        }
        if now.is_dir() {
            self.directory(&found, depth + 1)?;
        }
        self.give(&found, &now)
    }

    fn give(&mut self, found: &File, now: &Metadata) -> Result<(), At> {
        let (user, group) = self.handover.of(now);
        let kind = now.file_type();
        if user.is_none() && group.is_none() {
            if now.uid() != self.handover.to.uid {
                self.leave(Left::Owner(now.uid()));
            }
            return Ok(());
        }
        if kind.is_block_device() || kind.is_char_device() {
            self.leave(Left::Device);
            return Ok(());
        }
        if !now.is_dir() && now.nlink() > 1 {
            self.leave(Left::Names);
            return Ok(());
        }
        if user.is_none() && now.uid() != self.handover.to.uid {
            self.leave(Left::Owner(now.uid()));
        }
        self.tally.changed += 1;
        if !self.gives {
            return Ok(());
        }
        let whole = AtFlags::AT_EMPTY_PATH;
        fchownat(found, "", user, group, whole).map_err(|errno| self.at(errno))
    }

    fn leave(&mut self, why: Left) {
        self.tally.left += 1;
        if self.tally.named.len() < LEFT_NAMED_MAX {
            self.tally.named.push((self.path.clone(), why));
        }
    }
}

/// Whose something is.
pub fn owner_of(now: &Metadata) -> Account {
    Account {
        uid: now.uid(),
        gid: now.gid(),
    }
}
