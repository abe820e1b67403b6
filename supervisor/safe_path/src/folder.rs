//! Reading a tree that belongs to another account, as root: for a copy of it.
//!
//! Each entry is found below the directory before, by one name and through no link, and what is
//! opened is the very thing that was looked at: whoever renames or replaces something meanwhile
//! has nothing else read. A link at the top, and there alone, is followed if it is root's or our
//! own, or the account's and leads to a directory of that account's.
//!
//! Nothing here reads a file that could be another's by a second name: see [`Found::is_lent`].
//!
//! Limits: a descriptor for each level; who calls bounds the depth.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat, readlinkat},
    sys::stat::Mode,
};

use crate::{
    Account, Untrusted,
    file::OPEN,
    walk::{End, HANDLE, Standing, Step, is_name, is_trusted, walk},
};

/// A directory that is only read.
#[derive(Debug)]
pub struct Folder {
    dir: File,
    now: Metadata,
    path: PathBuf,
    followed: bool,
}

/// File behind a name in a [`Folder`]: a handle, and its metadata at that time.
#[derive(Debug)]
pub struct Found {
    handle: File,
    now: Metadata,
    name: OsString,
    path: PathBuf,
    /// Owner of the directory that it lies in.
    above: u32,
}

impl Folder {
    /// The top of a tree that is the account's, root's or our own.
    ///
    /// # Errors
    /// [`Untrusted`] within the error, if the place could be anybody's doing.
    pub fn open(path: &Path, account: Option<Account>) -> io::Result<Self> {
        let known = |uid| is_trusted(uid) || account.is_some_and(|account| account.uid == uid);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::EINVAL.into());
        };
        let above = match walk(parent)? {
            End::Dir(step) => step,
            End::Other(..) => return Err(Errno::ENOTDIR.into()),
            End::Missing(..) => return Err(Errno::ENOENT.into()),
        };
        match above.standing {
            Standing::Foreign(uid) if !known(uid) => {
                let path = above.path;
                return Err(Untrusted::Foreign { path, uid }.into());
            }
            Standing::Open => return Err(Untrusted::Open { path: above.path }.into()),
            Standing::Foreign(_) | Standing::Trusted => {}
        }
        let handle = File::from(openat(&above, name, HANDLE, Mode::empty())?);
        let meta = handle.metadata()?;
        if !meta.is_symlink() {
            return Self::real(&above.below(name)?, false);
        }
        let uid = meta.uid();
        let to = target(&above, &handle)?;
        match walk(&to)? {
            End::Dir(step) if is_trusted(uid) => Self::real(&step, true),
            End::Dir(step) if known(uid) && step.standing == Standing::Foreign(uid) => {
                Self::real(&step, true)
            }
            End::Dir(_) => {
                let path = path.to_owned();
                Err(Untrusted::Link { path, uid }.into())
            }
            End::Other(..) => Err(Errno::ENOTDIR.into()),
            End::Missing(..) => Err(Errno::ENOENT.into()),
        }
    }

    fn real(step: &Step, followed: bool) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OPEN;
        let dir = File::from(openat(step, ".", flags, Mode::empty())?);
        Ok(Self {
            now: dir.metadata()?,
            dir,
            path: step.path.clone(),
            followed,
        })
    }

    /// Where it is: links on the way, and one at the top, are replaced by what they lead to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The top was a link, and this is where it leads.
    pub fn is_followed(&self) -> bool {
        self.followed
    }

    /// Metadata from the time of the opening.
    pub fn metadata(&self) -> &Metadata {
        &self.now
    }

    /// Shows each name in it, in no order, until one is answered by an error.
    ///
    /// # Errors
    /// The one answered, or that the directory cannot be read on.
    pub fn each<E: From<io::Error>>(
        &self,
        mut shown: impl FnMut(&OsStr) -> Result<(), E>,
    ) -> Result<(), E> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OPEN;
        let names = nix::dir::Dir::openat(&self.dir, ".", flags, Mode::empty());
        let mut names = names.map_err(io::Error::from)?;
        for entry in names.iter() {
            let entry = entry.map_err(io::Error::from)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if is_name(name) {
                shown(name)?;
            }
        }
        Ok(())
    }

    /// The file behind a name; none: the name is gone.
    pub fn find(&self, name: &OsStr) -> io::Result<Option<Found>> {
        if !is_name(name) {
            return Err(Errno::EINVAL.into());
        }
        let handle = match openat(&self.dir, name, HANDLE, Mode::empty()) {
            Ok(handle) => File::from(handle),
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        Ok(Some(Found {
            now: handle.metadata()?,
            handle,
            name: name.to_owned(),
            path: self.path.join(name),
            above: self.now.uid(),
        }))
    }

    /// A directory in it, that was found.
    pub fn enter(&self, found: &Found) -> io::Result<Self> {
        let dir = self.reopen(found, OFlag::O_DIRECTORY)?;
        Ok(Self {
            now: dir.metadata()?,
            dir,
            path: found.path.clone(),
            followed: false,
        })
    }

    /// A regular file in it, that was found, for reading.
    ///
    /// # Errors
    /// `ENOENT` also if something else has its name by now.
    pub fn read(&self, found: &Found) -> io::Result<File> {
        if !found.now.is_file() {
            let path = found.path.clone();
            let wanted = "regular file";
            return Err(Untrusted::Kind { path, wanted }.into());
        }
        self.reopen(found, OFlag::empty())
    }

    fn reopen(&self, found: &Found, how: OFlag) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OPEN | how;
        let opened = match openat(&self.dir, found.name.as_os_str(), flags, Mode::empty()) {
            Ok(opened) => File::from(opened),
            // What was found was no link: another has its name.
            Err(Errno::ELOOP | Errno::ENOTDIR) => return Err(Errno::ENOENT.into()),
            Err(errno) => return Err(errno.into()),
        };
        let now = opened.metadata()?;
        if (now.dev(), now.ino()) != (found.now.dev(), found.now.ino()) {
            return Err(Errno::ENOENT.into());
        }
        Ok(opened)
    }
}

impl Found {
    /// Metadata from the time of the find.
    pub fn metadata(&self) -> &Metadata {
        &self.now
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a symbolic link leads, as it says.
    pub fn link_target(&self) -> io::Result<OsString> {
        Ok(readlinkat(&self.handle, "")?)
    }

    /// A file with several names in a directory of somebody else's: who made the name may have been
    /// unable to read the file.
    pub fn is_lent(&self) -> bool {
        let (now, above) = (&self.now, self.above);
        now.is_file() && now.nlink() > 1 && !is_trusted(above) && now.uid() != above
    }
}

fn target(above: &Step, link: &File) -> io::Result<PathBuf> {
    Ok(above.path.join(readlinkat(link, "")?))
}
