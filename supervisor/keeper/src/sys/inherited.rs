//! Descriptors that the control process was born with.
#![expect(unsafe_code, reason = "a number becomes an owned descriptor")]

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering},
};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::os::fd::BorrowedFd;

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
