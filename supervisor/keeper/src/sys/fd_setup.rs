//! Descriptors of a child: the keeper puts them into slots, the child moves them into place.
//!
//! The child shares the keeper's table until it makes its own, of the low numbers alone: copying
//! and closing the thousands of descriptors that the keeper holds would cost more than the rest of
//! a spawn.

use std::{ffi::CStr, os::fd::RawFd};

use nix::{errno::Errno, libc};

use super::child::{ChildSpec, Done, Program, at};
use crate::message::SpawnStage;

/// The keeper opens nothing below this number: the first half holds the final descriptors of a
/// child, the second half the slots by which they are handed over.
pub(crate) const FDS_RESERVED: RawFd = 16;
const FIRST_SLOT: RawFd = 8;
/// Different descriptors that a child may get.
pub(crate) const SLOTS: usize = 8;
/// `CLOSE_RANGE_UNSHARE`.
const UNSHARE: libc::c_uint = 2;

/// Which slot holds which descriptor, for one spawn.
#[derive(Debug)]
pub(super) struct Slots {
    /// The keeper's number of the descriptor in each slot; -1 if the slot is empty.
    from: [RawFd; SLOTS],
    used: usize,
}

impl Slots {
    pub(super) fn of(plan: &ChildSpec) -> Self {
        let mut slots = Self {
            from: [-1; SLOTS],
            used: 0,
        };
        let program = match plan.program {
            Program::Fd(fd) => Some(fd),
            Program::Path(_) => None,
        };
        let ready = plan.ready.map(|(fd, _)| fd);
        for fd in plan.fds.iter().copied().chain(program).chain(ready) {
            if !slots.from[..slots.used].contains(&fd) && slots.used < SLOTS {
                slots.from[slots.used] = fd;
                slots.used += 1;
            }
        }
        slots
    }

    /// Puts all descriptors into their slots, in the keeper.
    pub(super) fn fill(&self) -> Result<(), Errno> {
        for (slot, fd) in (FIRST_SLOT..).zip(&self.from[..self.used]) {
            // SAFETY: integers only; what the slot held is `/dev/null`.
            Errno::result(unsafe { libc::dup3(*fd, slot, libc::O_CLOEXEC) })?;
        }
        Ok(())
    }

    /// Empties the slots, in the keeper: a pipe's end that stayed in a slot would keep the pipe
    /// open.
    pub(super) fn clear(&self, null: RawFd) {
        for (slot, _) in (FIRST_SLOT..).zip(&self.from[..self.used]) {
            // SAFETY: integers only. It cannot fail: both numbers are open.
            unsafe { libc::dup3(null, slot, libc::O_CLOEXEC) };
        }
    }

    fn slot_of(&self, fd: RawFd) -> RawFd {
        let slots = (FIRST_SLOT..).zip(&self.from[..self.used]);
        let mut found = slots.filter(|(_, from)| **from == fd);
        found.next().map_or(-1, |(slot, _)| slot)
    }

    /// Gives the child a table of its own that holds its descriptors and nothing else.
    pub(super) fn take(&self, plan: &ChildSpec) -> Done {
        // SAFETY: integers only.
        unsafe {
            let reserved = FDS_RESERVED.unsigned_abs();
            let own = libc::syscall(libc::SYS_close_range, reserved, u32::MAX, UNSHARE);
            if own == -1 {
                // Before Linux 5.9: all descriptors are copied, and close at exec.
                at(SpawnStage::Descriptors, libc::unshare(libc::CLONE_FILES))?;
            }
            for (to, from) in (0..).zip(&plan.fds) {
                at(
                    SpawnStage::Descriptors,
                    libc::dup3(self.slot_of(*from), to, 0),
                )?;
            }
            let mut first = program_at(plan);
            if let Program::Fd(program) = plan.program {
                let from = self.slot_of(program);
                at(
                    SpawnStage::Descriptors,
                    libc::dup3(from, first, libc::O_CLOEXEC),
                )?;
                first += 1;
            }
            let Some((fd, number)) = plan.ready else {
                close(first, RawFd::MAX);
                return Ok(());
            };
            // Last, for its number may be that of any slot.
            let from = self.slot_of(fd);
            let done = if from == number {
                libc::fcntl(from, libc::F_SETFD, 0)
            } else {
                libc::dup3(from, number, 0)
            };
            at(SpawnStage::Descriptors, done)?;
            close(first, number - 1);
            close(number.saturating_add(1), RawFd::MAX);
        }
        Ok(())
    }
}

/// The number that an open program has in the child.
pub(super) fn program_at(plan: &ChildSpec) -> RawFd {
    RawFd::try_from(plan.fds.len()).unwrap_or(FIRST_SLOT)
}

/// Failure (Linux before 5.9) is harmless: all that the keeper itself opens closes at exec.
fn close(first: RawFd, last: RawFd) {
    if first <= last {
        // SAFETY: integers only.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    }
}

/// Opens a file as standard input without waiting, neither for the writer of a FIFO nor for the
/// line of a terminal. A FIFO is opened for writing too, where that is allowed: then it has no end
/// of file, neither after a writer has gone nor before the first one comes.
pub(super) fn stdin(path: &CStr) -> Result<(), Errno> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    // SAFETY: a valid C string, a buffer that is large enough, else integers.
    unsafe {
        libc::close(0);
        // The lowest number that is free.
        Errno::result(libc::open(path.as_ptr(), libc::O_RDONLY | flags))?;
        let mut stat: libc::stat = std::mem::zeroed();
        Errno::result(libc::fstat(0, &raw mut stat))?;
        if stat.st_mode & libc::S_IFMT == libc::S_IFIFO {
            let both = libc::open(path.as_ptr(), libc::O_RDWR | flags);
            if both != -1 {
                Errno::result(libc::dup3(both, 0, 0))?;
                libc::close(both);
            }
        }
        Errno::result(libc::fcntl(0, libc::F_SETFL, 0)).map(drop)
    }
}
