//! A directory, and what may be done to what lies in it.

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
    fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2},
    sys::stat::{Mode, mkdirat},
    unistd::{UnlinkatFlags, geteuid, linkat, symlinkat, syncfs, unlinkat},
};

use crate::{
    Account, Untrusted,
    account::Acting,
    file::{self, OPEN, Rule},
    walk::{End, Standing, Step, is_name, is_trusted, walk},
};

/// A directory that was walked to. All that is done below it goes by its descriptor, one name at a
/// time, and follows no link.
#[derive(Debug)]
pub struct Dir {
    step: Step,
    /// Whose rights are used here; none: our own.
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

    /// Like [`Dir::make`], for a directory that is to be ours alone: should somebody else own it, or
    /// everybody may write to it, it is taken back. Its parent has to be trusted.
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

    /// What a name is, if anything; of a link, the link itself.
    pub fn stat(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Metadata>> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match self.opened(name.as_ref(), flags, 0) {
            Ok(found) => found.metadata().map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A regular file for reading.
    pub fn open_file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        self.open_regular(name.as_ref(), OFlag::O_RDONLY)
    }

    /// The same, for reading and for writing over what is in it.
    pub fn open_to_change(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        self.open_regular(name.as_ref(), OFlag::O_RDWR)
    }

    fn open_regular(&self, name: &OsStr, how: OFlag) -> io::Result<File> {
        let file = self.opened(name, how | OPEN, 0)?;
        let rule = match self.account {
            Some(account) => Rule::OwnedBy(account.uid),
            None if self.step.shared => Rule::OneName,
            None => Rule::Regular,
        };
        file::check(&file, &self.step.path.join(name), rule)?;
        Ok(file)
    }

    /// A handle (`O_PATH`) of a unix socket.
    pub fn open_socket(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let name = one(name.as_ref())?;
        let _acting = self.act();
        file::open_socket_in(&self.step, name)
    }

    /// A regular file for reading that is ours, and has no other name.
    pub fn open_own(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let name = name.as_ref();
        let file = self.opened(name, OFlag::O_RDONLY | OPEN, 0)?;
        let own = Rule::OwnedBy(geteuid().as_raw());
        file::check(&file, &self.step.path.join(name), own)?;
        Ok(file)
    }

    /// The whole of a regular file of at most so many bytes.
    pub fn read(&self, name: impl AsRef<OsStr>, limit: u64) -> io::Result<Vec<u8>> {
        let name = name.as_ref();
        file::whole(self.open_file(name)?, &self.step.path.join(name), limit)
    }

    /// A new file, for writing; an error if there is anything of that name.
    pub fn create(&self, name: impl AsRef<OsStr>, mode: u32) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OPEN;
        self.opened(name.as_ref(), flags, mode)
    }

    /// A file that is appended to and can be read, made if missing. One that is there must be ours
    /// alone.
    pub fn append(&self, name: impl AsRef<OsStr>, mode: u32) -> io::Result<File> {
        let name = name.as_ref();
        let flags = OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_CREAT | OPEN;
        let file = self.opened(name, flags, mode)?;
        let own = self
            .account
            .map_or(geteuid().as_raw(), |account| account.uid);
        file::check(&file, &self.step.path.join(name), Rule::OwnedBy(own))?;
        Ok(file)
    }

    /// Gives what has the first name the second one, in place of what had that.
    pub fn rename(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        let (from, to) = (one(from.as_ref())?, one(to.as_ref())?);
        let _acting = self.act();
        Ok(renameat(&self.step, from, &self.step, to)?)
    }

    /// Gives what has the first name the second one, which nothing may have.
    ///
    /// # Errors
    /// `EEXIST` if something has.
    pub fn rename_new(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        let (from, to) = (one(from.as_ref())?, one(to.as_ref())?);
        let acting = self.act();
        match renameat2(
            &self.step,
            from,
            &self.step,
            to,
            RenameFlags::RENAME_NOREPLACE,
        ) {
            // A file system that cannot: two names for a moment, as is known for files.
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                drop(acting);
                self.link(from, to)?;
                self.remove(from).map(drop)
            }
            done => Ok(done?),
        }
    }

    /// Has two names change places, each in a directory of its own: nobody ever sees one of them missing.
    ///
    /// # Errors
    /// `ENOENT` if one is missing, `EXDEV` if the directories lie on different file systems.
    pub fn swap(
        &self,
        name: impl AsRef<OsStr>,
        other: &Self,
        second: impl AsRef<OsStr>,
    ) -> io::Result<()> {
        self.renamed(
            name.as_ref(),
            other,
            second.as_ref(),
            RenameFlags::RENAME_EXCHANGE,
        )
    }

    /// Moves what has a name into another directory, under a name that nothing has there.
    ///
    /// # Errors
    /// `EEXIST` if something has, `EXDEV` if the directories lie on different file systems.
    pub fn move_to(
        &self,
        name: impl AsRef<OsStr>,
        other: &Self,
        second: impl AsRef<OsStr>,
    ) -> io::Result<()> {
        self.renamed(
            name.as_ref(),
            other,
            second.as_ref(),
            RenameFlags::RENAME_NOREPLACE,
        )
    }

    fn renamed(
        &self,
        name: &OsStr,
        other: &Self,
        second: &OsStr,
        how: RenameFlags,
    ) -> io::Result<()> {
        let (name, second) = (one(name)?, one(second)?);
        let _acting = self.act_in(other);
        Ok(renameat2(&self.step, name, &other.step, second, how)?)
    }

    /// Gives a file a further name, in another directory.
    pub fn link_to(
        &self,
        name: impl AsRef<OsStr>,
        other: &Self,
        second: impl AsRef<OsStr>,
    ) -> io::Result<()> {
        let (name, second) = (one(name.as_ref())?, one(second.as_ref())?);
        let _acting = self.act_in(other);
        Ok(linkat(
            &self.step,
            name,
            &other.step,
            second,
            AtFlags::empty(),
        )?)
    }

    /// Makes a symbolic link that says this. Nothing is followed.
    pub fn symlink(&self, name: impl AsRef<OsStr>, target: &OsStr) -> io::Result<()> {
        let name = one(name.as_ref())?;
        let _acting = self.act();
        Ok(symlinkat(target, &self.step, name)?)
    }

    /// Gives a file a second name.
    pub fn link(&self, name: impl AsRef<OsStr>, second: impl AsRef<OsStr>) -> io::Result<()> {
        let (name, second) = (one(name.as_ref())?, one(second.as_ref())?);
        let _acting = self.act();
        Ok(linkat(
            &self.step,
            name,
            &self.step,
            second,
            AtFlags::empty(),
        )?)
    }

    /// Removes a name that is no directory's. True: it was there.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        let name = one(name.as_ref())?;
        let _acting = self.act();
        match unlinkat(&self.step, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let name = one(name.as_ref())?;
        let _acting = self.act();
        Ok(unlinkat(&self.step, name, UnlinkatFlags::RemoveDir)?)
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

    /// The same directory once more.
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

    /// Owner, group and mode of a file of this directory, changed as far as they differ.
    pub fn settle_file(&self, file: &File, owner: Option<Account>, mode: u32) -> io::Result<()> {
        let _acting = self.act();
        file::set_owner_and_mode(file, owner, mode)
    }

    /// Owner, group and mode of the directory itself, changed as far as they differ. In a trusted
    /// place it can be given to anybody; an account's own directory keeps its owner.
    pub fn set_owner_and_mode(&self, owner: Option<Account>, mode: u32) -> io::Result<()> {
        let _acting = self.act();
        file::set_owner_and_mode(&self.real()?, owner, mode)
    }

    /// What is known of the directory itself.
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

    /// Removes what has a name, and all that lies in it, as far as that is at most so deep. Nothing is
    /// followed. What is gone already is no error.
    ///
    /// # Errors
    /// `ELOOP` if directories lie deeper in each other.
    pub fn remove_all(
        &self,
        name: impl AsRef<OsStr>,
        account: Option<Account>,
        depth: usize,
    ) -> io::Result<()> {
        let name = one(name.as_ref())?;
        match self.remove(name) {
            Ok(_) => return Ok(()),
            Err(error) if error.raw_os_error() == Some(Errno::EISDIR as i32) => {}
            Err(error) => return Err(error),
        }
        let depth = depth.checked_sub(1).ok_or(Errno::ELOOP)?;
        let below = match self.enter_for(name, account) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            below => below?,
        };
        for name in below.names(usize::MAX)? {
            below.remove_all(name, account, depth)?;
        }
        self.remove_dir(name)
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

    fn opened(&self, name: &OsStr, flags: OFlag, mode: u32) -> io::Result<File> {
        let name = one(name)?;
        let _acting = self.act();
        match openat(&self.step, name, flags, Mode::from_bits_truncate(mode)) {
            Ok(file) => Ok(file.into()),
            Err(Errno::ELOOP) => Err(self.link_at(name)),
            Err(errno) => Err(errno.into()),
        }
    }

    fn link_at(&self, name: &OsStr) -> io::Error {
        let path = self.step.path.join(name);
        match self.stat(name) {
            Ok(Some(meta)) => Untrusted::Link {
                path,
                uid: meta.uid(),
            }
            .into(),
            _ => Errno::ELOOP.into(),
        }
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
