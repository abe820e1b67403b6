//! Descriptors that name one process and never another.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::{errno::Errno, libc};

/// Opens a pidfd of a process that exists.
pub(crate) fn open(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes two integers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = RawFd::try_from(Errno::result(fd)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process behind a pidfd. ESRCH: it has been reaped.
pub(crate) fn signal(pidfd: impl AsFd, signal: i32) -> Result<(), Errno> {
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: a null siginfo is allowed; no memory of ours is touched.
    let done = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd,
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    Errno::result(done).map(drop)
}

/// `PIDFD_GET_INFO` of `linux/pidfd.h`: `_IOWR(0xFF, 11, struct pidfd_info)`.
const GET_INFO: u64 = 0xC040_FF0B;
const INFO_CGROUP: u64 = 1 << 2;
const INFO_EXIT: u64 = 1 << 3;

/// `struct pidfd_info`, version 0.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    others: [u32; 12],
}

/// Id of the cgroup (version 2) that a process is in, or was in when it ended; the id is the inode
/// of the group's directory. None: the kernel does not tell (Linux before 6.13, of ended ones
/// before 6.15).
pub(crate) fn cgroup(pidfd: impl AsFd) -> Option<u64> {
    let mut info = Info {
        mask: INFO_CGROUP | INFO_EXIT,
        ..Info::default()
    };
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: the call writes one such structure, which has the size that its number says.
    let done = unsafe { libc::ioctl(fd, GET_INFO as _, &raw mut info) };
    (done != -1 && info.mask & INFO_CGROUP != 0).then_some(info.cgroup)
}

/// `kill(2)` with a raw number, so that realtime signals work; a negative pid is a group.
pub(crate) fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: the call takes two integers.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}
