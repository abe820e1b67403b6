//! A directory that was walked to: how it is opened, made and entered, and its owner and mode.
//! What is done to what lies in it: `files` opens, `entries` changes names.

mod entries;
mod files;

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::stat::{Mode, mkdirat},
    unistd::{geteuid, syncfs},
};

use crate::{
    Account, Untrusted,
    account::Acting,
    file::{self, OPEN},
    walk::{End, Standing, Step, is_name, is_trusted, walk},
};

/// A directory that was walked to. All that is done below it goes by its descriptor, one name at a
/// time, and follows no link.
#[derive(Debug)]
pub struct Dir {
    step: Step,
    /// Account whose rights are used here; none: those of this process.
    account: Option<Account>,
}

impl Dir {
    /// A trusted directory that is there.
    ///
    /// # Errors
    /// [`Untrusted`] within the error if anybody else could change where the path leads.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::find(path, None)
    }

    /// A directory that is there, for what belongs to an account: if it is trusted, it is worked in
    /// as ourselves; if it is that account's own, as the account; else it is refused.
    pub fn open_for(path: &Path, account: impl Into<Option<Account>>) -> io::Result<Self> {
        Self::find(path, account.into())
    }

    fn find(path: &Path, account: Option<Account>) -> io::Result<Self> {
        match walk(path)? {
            End::Dir(step) => Self::new(step, account),
            End::Other(step, name) => Err(Untrusted::Kind {
                path: step.path.join(name),
                wanted: "directory",
            }
            .into()),
            End::Missing(..) => Err(nix::errno::Errno::ENOENT.into()),
        }
    }

    /// Like [`Dir::open`], and makes what is missing, with the mode that is asked for; its missing
    /// parents with 0755.
    pub fn make(path: &Path, mode: u32) -> io::Result<Self> {
        Self::find_or_make(path, mode, None)
    }

    /// Like [`Dir::make`], for a directory that is to be ours alone: should somebody else own it,
    /// or everybody may write to it, it is taken back. Its parent has to be trusted.
    pub fn make_own(path: &Path, mode: u32) -> io::Result<Self> {
        if let Ok(own) = Self::open(path) {
            return Ok(own);
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Self::make(path, mode);
        };
        let parent = Self::make(parent, 0o755)?;
        match mkdirat(&parent.step, name, Mode::from_bits_truncate(mode)) {
            Err(Errno::EEXIST) if !parent.step.shared => {}
            Err(errno) => return Err(errno.into()),
            Ok(()) => return Self::open(path),
        }
        let opened = File::from(openat(
            &parent.step,
            name,
            OFlag::O_RDONLY | OFlag::O_DIRECTORY | OPEN,
            Mode::empty(),
        )?);
        let now = opened.metadata()?;
        let owner = Account {
            uid: geteuid().as_raw(),
            gid: now.gid(),
        };
        file::set_owner_and_mode(&opened, Some(owner), now.mode() & 0o7775)?;
        Self::open(path)
    }

    /// Like [`Dir::open_for`], and makes what is missing.
    pub fn make_for(
        path: &Path,
        mode: u32,
        account: impl Into<Option<Account>>,
    ) -> io::Result<Self> {
        Self::find_or_make(path, mode, account.into())
    }

    fn find_or_make(path: &Path, mode: u32, account: Option<Account>) -> io::Result<Self> {
        let (step, parts) = match walk(path)? {
            End::Missing(step, parts) => (step, parts),
            End::Dir(step) => return Self::new(step, account),
            End::Other(..) => return Self::find(path, account),
        };
        if parts.iter().any(|part| part == "..") {
            return Err(nix::errno::Errno::ENOENT.into());
        }
        let mut dir = Self::new(step, account)?;
        let last = parts.len().saturating_sub(1);
        for (number, part) in parts.iter().enumerate() {
            dir = dir.make_dir(part, if number == last { mode } else { 0o755 })?;
        }
        Ok(dir)
    }

    fn new(step: Step, account: Option<Account>) -> io::Result<Self> {
        let path = step.path.clone();
        let account = match step.standing {
            Standing::Trusted => None,
            Standing::Open => return Err(Untrusted::Open { path }.into()),
            Standing::Foreign(uid) => match account.filter(|account| account.uid == uid) {
                None => return Err(Untrusted::Foreign { path, uid }.into()),
                account => account,
            },
        };
        Ok(Self { step, account })
    }

    /// The trusted directory that a file's path leads to, and the file's name in it, where it is or
    /// would be. Links of root or our own user are followed, at the end of the path too.
    pub fn place(path: &Path) -> io::Result<(Self, OsString)> {
        let (step, name) = match walk(path)? {
            End::Other(step, name) => (step, name),
            End::Missing(step, mut parts) if parts.len() == 1 && parts[0] != ".." => {
                (step, parts.remove(0))
            }
            End::Missing(..) => return Err(nix::errno::Errno::ENOENT.into()),
            End::Dir(_) => return Err(nix::errno::Errno::EISDIR.into()),
        };
        Ok((Self::new(step, None)?, name))
    }

    /// Its path, as it was walked to: links on the way are replaced by what they lead to.
    pub fn path(&self) -> &Path {
        &self.step.path
    }

    /// Whether what is done here is done with an account's rights, since the directory is its own.
    pub fn is_foreign(&self) -> bool {
        self.account.is_some()
    }

    /// A directory in it, made if missing. One that is there is held to the same rules.
    pub fn make_dir(&self, name: impl AsRef<OsStr>, mode: u32) -> io::Result<Self> {
        let name = one(name.as_ref())?;
        {
            let _acting = self.act();
            match mkdirat(&self.step, name, Mode::from_bits_truncate(mode)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.enter(name)
    }

    /// A second handle of the same directory.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self {
            step: self.step.again()?,
            account: self.account,
        })
    }

    /// A directory in it that is there, held to the same rules.
    pub fn enter(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = one(name.as_ref())?;
        self.step
            .below(name)
            .and_then(|step| Self::new(step, self.account))
    }

    /// The same, for what may be an account's.
    pub fn enter_for(&self, name: impl AsRef<OsStr>, account: Option<Account>) -> io::Result<Self> {
        let name = one(name.as_ref())?;
        let account = self.account.or(account);
        self.step
            .below(name)
            .and_then(|step| Self::new(step, account))
    }

    /// A directory in it with this owner, group and mode: made if missing, changed as far as they
    /// differ. In a trusted directory it may be anybody's before and after; where everybody may
    /// make one (`/tmp`), only root's, ours, or the new owner's is taken.
    pub fn settle_dir(
        &self,
        name: impl AsRef<OsStr>,
        owner: Option<Account>,
        mode: u32,
    ) -> io::Result<()> {
        let name = one(name.as_ref())?;
        let _acting = self.act();
        match mkdirat(&self.step, name, Mode::from_bits_truncate(mode)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OPEN;
        let opened = match openat(&self.step, name, flags, Mode::empty()) {
            Ok(opened) => File::from(opened),
            Err(Errno::ENOTDIR | Errno::ELOOP) => return Err(self.no_dir(name)),
            Err(errno) => return Err(errno.into()),
        };
        let uid = opened.metadata()?.uid();
        if self.step.shared && !is_trusted(uid) && owner.is_none_or(|owner| owner.uid != uid) {
            let path = self.step.path.join(name);
            return Err(Untrusted::Foreign { path, uid }.into());
        }
        file::set_owner_and_mode(&opened, owner, mode)
    }

    fn no_dir(&self, name: &OsStr) -> io::Error {
        let path = self.step.path.join(name);
        match self.stat(name) {
            Ok(Some(meta)) if meta.is_symlink() => self.link_at(name),
            _ => Untrusted::Kind {
                path,
                wanted: "directory",
            }
            .into(),
        }
    }

    /// Owner, group and mode of the directory itself, changed as far as they differ. In a trusted
    /// place it can be given to anybody; an account's own directory keeps its owner.
    pub fn set_owner_and_mode(&self, owner: Option<Account>, mode: u32) -> io::Result<()> {
        let _acting = self.act();
        file::set_owner_and_mode(&self.real()?, owner, mode)
    }

    /// Metadata of the directory itself.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.real()?.metadata()
    }

    /// Names in it, sorted, of which so many are read at most.
    pub fn names(&self, limit: usize) -> io::Result<Vec<OsString>> {
        let _acting = self.act();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OPEN;
        let mut dir = nix::dir::Dir::openat(&self.step, ".", flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if is_name(name) && names.len() < limit {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Names of any directory, whoever could change it: no more than names is learned.
    pub fn names_of(path: &Path, limit: usize) -> io::Result<Vec<OsString>> {
        match walk(path)? {
            End::Dir(step) => Self {
                step,
                account: None,
            }
            .names(limit),
            End::Other(..) => Err(nix::errno::Errno::ENOTDIR.into()),
            End::Missing(..) => Err(nix::errno::Errno::ENOENT.into()),
        }
    }

    /// Waits until all of the file system that it lies on is on the disk.
    pub fn sync_file_system(&self) -> io::Result<()> {
        Ok(syncfs(&self.real()?)?)
    }

    /// Waits until names in it are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.real()?.sync_all()
    }

    /// A descriptor that is good for more than a place to start from.
    fn real(&self) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OPEN;
        Ok(openat(&self.step, ".", flags, Mode::empty())?.into())
    }

    fn act(&self) -> Option<Acting> {
        self.account.map(Acting::start)
    }

    /// Where one of two directories is an account's, no more is done than that account may do.
    fn act_in(&self, other: &Self) -> Option<Acting> {
        self.account.or(other.account).map(Acting::start)
    }
}

impl AsFd for Dir {
    /// A handle (`O_PATH`) to start from.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.step.as_fd()
    }
}

fn one(name: &OsStr) -> io::Result<&OsStr> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "it is no file name");
    is_name(name).then_some(name).ok_or_else(wrong)
}
