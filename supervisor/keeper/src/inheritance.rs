//! Descriptors over an exec of the keeper itself: exactly those that the saved state names stay
//! open, and the new image takes each of them as one of its own.
//!
//! Invariant: until [`Inherited::commit`] the new image works with duplicates, and what it was given
//! stays open and inheritable. So a new image that fails on the way can still hand all of it to the
//! program before it.

use std::{
    collections::BTreeSet,
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
};
use serde::{Deserialize, Serialize};

use crate::sys::{
    fd_setup::FDS_RESERVED,
    inherited::{close, duplicate},
};

/// Number of a descriptor that survives the exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Number(RawFd);

/// Descriptors that are to survive the exec.
#[derive(Debug, Default)]
pub(crate) struct Keeping<'a>(Vec<BorrowedFd<'a>>);

impl<'a> Keeping<'a> {
    /// Keeps one more.
    pub(crate) fn keep<F: AsFd + ?Sized>(&mut self, fd: &'a F) -> Number {
        let fd = fd.as_fd();
        self.0.push(fd);
        Number(fd.as_raw_fd())
    }

    /// All of them.
    pub(crate) fn numbers(&self) -> BTreeSet<Number> {
        let numbers = self.0.iter().map(|fd| Number(fd.as_raw_fd()));
        numbers.collect()
    }

    /// Whether the exec leaves them open.
    pub(crate) fn survive(&self, survive: bool) -> Result<(), Errno> {
        let flags = if survive {
            FdFlag::empty()
        } else {
            FdFlag::FD_CLOEXEC
        };
        for fd in &self.0 {
            fcntl(fd, FcntlArg::F_SETFD(flags))?;
        }
        Ok(())
    }
}

/// Descriptors that this image was given by the one before.
#[derive(Debug)]
pub(crate) struct Inherited {
    given: BTreeSet<Number>,
    left: BTreeSet<Number>,
}

impl Inherited {
    /// These were given.
    pub(crate) fn of(given: BTreeSet<Number>) -> Self {
        let left = given.clone();
        Self { given, left }
    }

    /// One of them, for one owner. An error: it was not given, is taken already, or no number is
    /// free.
    pub(crate) fn take(&mut self, number: Number) -> Result<OwnedFd, Errno> {
        if !self.left.remove(&number) {
            return Err(Errno::EBADF);
        }
        duplicate(number.0, FDS_RESERVED)
    }

    /// The same as a file.
    pub(crate) fn take_file(&mut self, number: Number) -> Result<File, Errno> {
        self.take(number).map(File::from)
    }

    /// One of them if there is one.
    pub(crate) fn take_any(&mut self, number: Option<Number>) -> Result<Option<OwnedFd>, Errno> {
        number.map(|number| self.take(number)).transpose()
    }

    /// The new image works: what it was given is closed, for it has duplicates.
    pub(crate) fn commit(self) {
        for Number(number) in self.given {
            close(number);
        }
    }
}
