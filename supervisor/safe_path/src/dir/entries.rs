//! Names in a directory: given, moved, exchanged, linked and removed. What a name stands for is
//! never opened and no link is followed.

use std::{ffi::OsStr, io};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, RenameFlags, renameat, renameat2},
    unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat},
};

use super::{Dir, one};
use crate::Account;

impl Dir {
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

    /// Has two names change places, each in a directory of its own: nobody ever sees one of them
    /// missing.
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

    /// Removes what has a name, and all that lies in it, as far as that is at most so deep. Nothing
    /// is followed. What is gone already is no error.
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
}
