//! Descriptor odds and ends.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::{errno::Errno, libc};

/// Takes an exclusive lock if it is free. Unlike nix's guard this is never unlocked by a drop:
/// the lock belongs to the open file, which the control process shares.
pub(crate) fn try_lock(file: impl AsFd) -> Result<(), Errno> {
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: the call takes two integers.
    Errno::result(unsafe { libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB) }).map(drop)
}

/// Bytes that wait in a pipe.
pub(crate) fn readable_bytes(pipe: impl AsFd) -> Result<u64, Errno> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the call writes one int to the address, which is that of one of our own.
    let outcome = unsafe { libc::ioctl(pipe.as_fd().as_raw_fd(), libc::FIONREAD, &mut bytes) };
    Errno::result(outcome)?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Another number for an open descriptor, not below `least`; closed at exec.
pub(crate) fn duplicate_above(fd: impl AsFd, least: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes integers, the first of an open descriptor.
    let copy = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) };
    let copy = Errno::result(copy)?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
