//! Files in a directory: looked at, opened, read and made, each by its name alone.

use std::{
    ffi::OsStr,
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::stat::Mode,
    unistd::geteuid,
};

use super::{Dir, one};
use crate::{
    Account, Untrusted,
    file::{self, OPEN, Rule},
};

impl Dir {
    /// Metadata behind a name, if it exists; of a link, the link itself.
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

    /// Owner, group and mode of a file of this directory, changed as far as they differ.
    pub fn settle_file(&self, file: &File, owner: Option<Account>, mode: u32) -> io::Result<()> {
        let _acting = self.act();
        file::set_owner_and_mode(file, owner, mode)
    }

    pub(super) fn opened(&self, name: &OsStr, flags: OFlag, mode: u32) -> io::Result<File> {
        let name = one(name)?;
        let _acting = self.act();
        match openat(&self.step, name, flags, Mode::from_bits_truncate(mode)) {
            Ok(file) => Ok(file.into()),
            Err(Errno::ELOOP) => Err(self.link_at(name)),
            Err(errno) => Err(errno.into()),
        }
    }

    pub(super) fn link_at(&self, name: &OsStr) -> io::Error {
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
}
