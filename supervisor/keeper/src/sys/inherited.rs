//! Descriptors that a process has inherited.
#![expect(unsafe_code, reason = "a number becomes an owned descriptor")]

use std::{
    io,
    os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    libc,
};

use super::file::duplicate_above;

/// After standard input, output and error.
const FIRST: libc::c_uint = 3;
/// Looked at one by one where the kernel cannot close a range.
const OLD_KERNEL_MAX: RawFd = 4096;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The descriptor of that number, which this process was started with. Works once.
pub(crate) fn take(number: RawFd) -> io::Result<OwnedFd> {
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Err(io::Error::other("it has been taken already"));
    }
    // SAFETY: the borrow ends with the call, and fcntl on a closed number only says EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, as fcntl has shown, and TAKEN makes this its only owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A duplicate, not below `least` and closed at exec, of a descriptor that an earlier image of this
/// process has left open.
pub(crate) fn duplicate(number: RawFd, least: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: the borrow ends with the call, and fcntl on a closed number only says EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    duplicate_above(borrowed, least)
}

/// Closes a descriptor that an earlier image of this process has left open.
pub(crate) fn close(number: RawFd) {
    // SAFETY: only to be called for a number that nothing in this image owns: the state of the
    // image before names it, and all that was made here has other numbers, as it is still open.
    unsafe { libc::close(number) };
}

/// Closes all but standard input, output and error: whoever has started us may have left some open,
/// and waits for their end. To be called before anything else is opened.
pub(crate) fn close_all() {
    // SAFETY: integers only; nothing in this process owns a descriptor yet, by the contract.
    unsafe {
        if libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) == -1 {
            // Before Linux 5.9.
            for number in FIRST.cast_signed()..OLD_KERNEL_MAX {
                libc::close(number);
            }
        }
    }
}
