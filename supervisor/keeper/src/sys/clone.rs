//! Birth of a process: clone3 into its cgroup with a pidfd, older calls where that is refused.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::{errno::Errno, libc};

use super::child::{Plan, Prepared};

const PIDFD: u64 = 0x1000;
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args`, version 2.
#[repr(C, align(8))]
#[derive(Default)]
struct Args {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// A process that has been born and waits at its gate.
#[derive(Debug)]
pub(crate) struct Born {
    /// Its pid.
    pub(crate) pid: i32,
    /// Names it for ever.
    pub(crate) pidfd: OwnedFd,
    /// It is in the cgroup already; else the parent has to write it there.
    pub(crate) in_cgroup: bool,
}

/// Starts a child that carries out `plan`.
///
/// The memory is copied, not shared (no `CLONE_VM`): the child may wait at its gate while the keeper
/// goes on, and shares no errno with it. Between here and exec it allocates nothing and takes no
/// lock, for the log thread may hold any of them.
pub(crate) fn spawn(plan: &Plan, cgroup: Option<BorrowedFd<'_>>) -> Result<Born, Errno> {
    let prepared = plan.prepare();
    if let Some(directory) = cgroup {
        match clone3(&prepared, Some(directory)) {
            // Too old a kernel, a filter that does not let it through, or a group that takes no
            // processes or is gone: then the caller moves it there, or it goes without.
            Err(
                Errno::ENOSYS
                | Errno::EINVAL
                | Errno::E2BIG
                | Errno::EOPNOTSUPP
                | Errno::EPERM
                | Errno::EBUSY
                | Errno::ENODEV
                | Errno::EACCES
                | Errno::ENOENT,
            ) => {}
            other => return other,
        }
    }
    match clone3(&prepared, None) {
        Err(Errno::ENOSYS | Errno::EPERM) => clone(&prepared),
        other => other,
    }
}

fn clone3(prepared: &Prepared<'_>, cgroup: Option<BorrowedFd<'_>>) -> Result<Born, Errno> {
    let mut pidfd: RawFd = -1;
    let mut args = Args {
        flags: PIDFD,
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        ..Args::default()
    };
    if let Some(directory) = cgroup {
        args.flags |= INTO_CGROUP;
        args.cgroup = u64::from(directory.as_raw_fd().unsigned_abs());
    }
    // SAFETY: `args` is a valid clone_args of the size given and `pidfd` outlives the call. Without
    // CLONE_VM the child has its own copy of this memory and stack, as after fork; it runs nothing
    // but `Prepared::run`, which neither allocates nor returns.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, std::mem::size_of::<Args>()) };
    born(prepared, Errno::result(pid)?, pidfd, cgroup.is_some())
}

/// Before Linux 5.3, and where a container's filter knows no clone3.
fn clone(prepared: &Prepared<'_>) -> Result<Born, Errno> {
    let mut pidfd: RawFd = -1;
    let flags = i64::from(libc::CLONE_PIDFD | libc::SIGCHLD);
    // SAFETY: as in `clone3`; a null stack means a copy of the parent's. The place of the pidfd is
    // the third argument on every architecture that this builds for.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    born(prepared, Errno::result(pid)?, pidfd, false)
}

fn born(
    prepared: &Prepared<'_>,
    pid: libc::c_long,
    pidfd: RawFd,
    in_cgroup: bool,
) -> Result<Born, Errno> {
    if pid == 0 {
        // SAFETY: this is the child, fresh from clone.
        unsafe { prepared.run() }
    }
    let pid = i32::try_from(pid).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Born {
        pid,
        pidfd,
        in_cgroup,
    })
}
