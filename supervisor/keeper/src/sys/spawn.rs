//! Spawning a process: clone3 into its cgroup with a pidfd, clone where clone3 is refused.
//!
//! The child shares the keeper's memory and has a stack of its own (as `posix_spawn` does it); the
//! keeper's main thread is held until the child has executed its program or ended. To copy the
//! memory instead costs twice as much as all the rest, and more with each service. A child that
//! does not get to its exec is seen to by `spawn_watchdog`.

use std::{
    ffi::{c_int, c_void},
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    sync::atomic::Ordering,
};

use nix::{errno::Errno, libc};

use super::child::{ChildSpec, Prepared, SpawnError};
use crate::{message::SpawnStage, spawn_watchdog::SpawnWatchdog};

const PIDFD: u64 = 0x1000;
const CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const INTO_CGROUP: u64 = 0x2_0000_0000;
/// The child shares memory and descriptors with the keeper, which waits until the exec.
const SHARED: c_int =
    libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::CLONE_CHILD_SETTID;
/// A child needs a few KiB, unoptimised some more; only touched pages count.
const STACK_BYTES: usize = 128 << 10;
/// Larger than any page: what runs over the stack ends there.
const STACK_GUARD_BYTES: usize = 64 << 10;
const SIGNALS: libc::c_int = 64;

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

/// A process that has executed its program (or has been killed on the way).
#[derive(Debug)]
pub(crate) struct Spawned {
    /// Its pid.
    pub(crate) pid: i32,
    /// Refers to this process even after its pid is reused.
    pub(crate) pidfd: OwnedFd,
    /// Whether the process is in the cgroup.
    pub(crate) in_cgroup: bool,
}

/// Stack and signal mask that each clone reuses; not reentrant.
#[derive(Debug)]
pub(crate) struct ChildStack {
    stack: *mut c_void,
    watch: SpawnWatchdog,
    /// Signals that this process ignores, which no flag of clone resets; bit n-1 for signal n.
    ignored: u64,
}

impl ChildStack {
    /// Sets the stack up. To be called when the dispositions of signals are what they will stay.
    pub(crate) fn new() -> io::Result<Self> {
        let bytes = STACK_GUARD_BYTES + STACK_BYTES;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: a new mapping at a place of the kernel's choice; its lower part is made
        // unusable. It is never unmapped.
        let stack = unsafe {
            let stack = libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0);
            if stack == libc::MAP_FAILED
                || libc::mprotect(stack, STACK_GUARD_BYTES, libc::PROT_NONE) == -1
            {
                return Err(io::Error::last_os_error());
            }
            stack
        };
        Ok(Self {
            stack,
            watch: SpawnWatchdog::start()?,
            ignored: ignored(),
        })
    }

    /// Starts a child that carries out `plan`. `null` is put back where its descriptors were.
    pub(crate) fn spawn(
        &self,
        plan: &ChildSpec,
        cgroup: Option<BorrowedFd<'_>>,
        null: RawFd,
    ) -> Result<Spawned, SpawnError> {
        let prepared = plan.prepare();
        let filled = prepared.slots.fill();
        self.watch.begin();
        let child = filled.and_then(|()| self.first_that_works(&prepared, cgroup));
        let in_time = self.watch.end();
        prepared.slots.clear(null);
        let (pid, pidfd, in_cgroup) = child.map_err(|errno| (SpawnStage::Fork, errno))?;
        let pid = i32::try_from(pid).map_err(|_| (SpawnStage::Fork, Errno::EOVERFLOW))?;
        // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        if let Some(failure) = prepared.failure() {
            return Err(failure);
        }
        in_time.map_err(|errno| (SpawnStage::Exec, errno))?;
        Ok(Spawned {
            pid,
            pidfd,
            in_cgroup: in_cgroup || prepared.entered.load(Ordering::Acquire),
        })
    }

    fn first_that_works(
        &self,
        prepared: &Prepared<'_>,
        cgroup: Option<BorrowedFd<'_>>,
    ) -> Result<(libc::c_long, RawFd, bool), Errno> {
        prepared.reset.store(self.ignored, Ordering::Relaxed);
        if let Some(directory) = cgroup {
            match self.clone3(prepared, Some(directory)) {
                // Too old a kernel, a filter that does not let it through, or a group that takes no
                // processes or is gone: then the child enters it, or it goes without.
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
                ) => prepared.enter.store(true, Ordering::Relaxed),
                other => return other.map(|(pid, pidfd)| (pid, pidfd, true)),
            }
        }
        let child = match self.clone3(prepared, None) {
            Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL | Errno::E2BIG) => {
                self.clone(prepared)
            }
            other => other,
        };
        child.map(|(pid, pidfd)| (pid, pidfd, false))
    }

    fn clone3(
        &self,
        prepared: &Prepared<'_>,
        cgroup: Option<BorrowedFd<'_>>,
    ) -> Result<(libc::c_long, RawFd), Errno> {
        let mut pidfd: RawFd = -1;
        let mut args = Args {
            flags: PIDFD | CLEAR_SIGHAND | u64::from(SHARED.unsigned_abs()),
            pidfd: (&raw mut pidfd).expose_provenance() as u64,
            child_tid: self.watch.pid().as_ptr().expose_provenance() as u64,
            exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
            stack: self.stack.expose_provenance() as u64 + STACK_GUARD_BYTES as u64,
            stack_size: STACK_BYTES as u64,
            ..Args::default()
        };
        if let Some(directory) = cgroup {
            args.flags |= INTO_CGROUP;
            args.cgroup = u64::from(directory.as_raw_fd().unsigned_abs());
        }
        let child = (&raw const *prepared).cast_mut().cast();
        // SAFETY: `args` is a valid clone_args; `pidfd` and the watch's pid outlive the call. The
        // child runs `enter` on a stack that nobody else uses, and we are held here until it has
        // left it.
        let pid = unsafe { arch::clone3(&raw mut args, enter, child) };
        Ok((pid?, pidfd))
    }

    /// Before Linux 5.7, where a container's filter knows no clone3, and on other architectures.
    fn clone(&self, prepared: &Prepared<'_>) -> Result<(libc::c_long, RawFd), Errno> {
        let mut pidfd: RawFd = -1;
        let resettable = |signal: &u32| {
            let signal = signal.cast_signed();
            ![libc::SIGKILL, libc::SIGSTOP].contains(&signal)
        };
        let all = (1..=SIGNALS.unsigned_abs()).filter(resettable);
        let reset = all.fold(0, |mask, signal| mask | 1 << (signal - 1));
        prepared.reset.store(reset, Ordering::Relaxed);
        let flags = SHARED | libc::CLONE_PIDFD | libc::SIGCHLD;
        let child = (&raw const *prepared).cast_mut().cast();
        // SAFETY: as in `clone3`; the C library takes the upper end of the stack.
        let pid = unsafe {
            let top = self.stack.byte_add(STACK_GUARD_BYTES + STACK_BYTES);
            let (tls, pid) = (ptr::null_mut::<c_void>(), self.watch.pid().as_ptr());
            libc::clone(enter, top, flags, child, &raw mut pidfd, tls, pid)
        };
        Ok((Errno::result(pid)?.into(), pidfd))
    }
}

/// Entry point of a child.
extern "C" fn enter(prepared: *mut c_void) -> c_int {
    // SAFETY: what `clone` and `clone3` pass lives until the child has ended or executed.
    unsafe { (*prepared.cast::<Prepared<'_>>().cast_const()).run() }
}

/// Signals that this process ignores, also those that the C library hides.
fn ignored() -> u64 {
    (1..=SIGNALS).fold(0, |mask, signal| {
        // More than the kernel's sigaction of any architecture; the handler comes first.
        let mut action = [0_usize; 16];
        // SAFETY: writes one action, which has room.
        let done = unsafe {
            let null = ptr::null::<usize>();
            libc::syscall(libc::SYS_rt_sigaction, signal, null, action.as_mut_ptr(), 8)
        };
        let ignores = done == 0 && action[0] == libc::SIG_IGN;
        mask | u64::from(ignores) << (signal - 1)
    })
}

/// The one call that no library makes for us: its child goes on with another stack, where nothing
/// is to return to.
mod arch {
    use std::ffi::{c_int, c_void};

    use nix::{errno::Errno, libc};

    use super::Args;

    type Enter = extern "C" fn(*mut c_void) -> c_int;

    /// # Safety
    /// `args` is valid, with a stack; `enter` does not return.
    #[cfg(target_arch = "x86_64")]
    pub(super) unsafe fn clone3(
        args: *mut Args,
        enter: Enter,
        child: *mut c_void,
    ) -> Result<libc::c_long, Errno> {
        let result: libc::c_long;
        // SAFETY: in the parent this is a plain system call. The child has the registers of the
        // parent and a stack pointer of its own, and leaves by `enter`.
        unsafe {
            std::arch::asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "xor ebp, ebp",
                "mov rdi, r12",
                "call r13",
                "ud2",
                "2:",
                inlateout("rax") libc::SYS_clone3 => result,
                in("rdi") args,
                in("rsi") size_of::<Args>(),
                in("r12") child,
                in("r13") enter,
                lateout("rcx") _,
                lateout("r11") _,
            );
        }
        decode(result)
    }

    /// # Safety
    /// `args` is valid, with a stack; `enter` does not return.
    #[cfg(target_arch = "aarch64")]
    pub(super) unsafe fn clone3(
        args: *mut Args,
        enter: Enter,
        child: *mut c_void,
    ) -> Result<libc::c_long, Errno> {
        let result: libc::c_long;
        // SAFETY: as on x86_64.
        unsafe {
            std::arch::asm!(
                "svc 0",
                "cbnz x0, 2f",
                "mov x29, xzr",
                "mov x0, x20",
                "blr x21",
                "brk 1",
                "2:",
                inlateout("x0") args => result,
                in("x1") size_of::<Args>(),
                in("x8") libc::SYS_clone3,
                in("x20") child,
                in("x21") enter,
            );
        }
        decode(result)
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn decode(result: libc::c_long) -> Result<libc::c_long, Errno> {
        if result < 0 {
            let errno = i32::try_from(-result).unwrap_or(libc::EIO);
            return Err(Errno::from_raw(errno));
        }
        Ok(result)
    }

    /// # Safety
    /// None to keep: always refuses, so that the C library's call is used.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub(super) unsafe fn clone3(
        _: *mut Args,
        _: Enter,
        _: *mut c_void,
    ) -> Result<libc::c_long, Errno> {
        Err(Errno::ENOSYS)
    }
}
