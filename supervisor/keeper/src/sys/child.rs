//! The steps of a child between clone and exec. Everything is prepared beforehand; the child only
//! makes system calls, reads memory, and records a failure in [`Prepared`].
//!
//! The child shares the keeper's memory, and at first also the table of descriptors, while the
//! keeper's main thread is held in clone (see `spawn`): so the child allocates nothing, takes no
//! lock and changes nothing but its own stack and the outcome.

use std::{
    ffi::{CStr, CString, c_char},
    os::fd::RawFd,
    ptr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use nix::{errno::Errno, libc};

use super::{caps, fd_setup, record_file};
use crate::message::SpawnStage;

/// A string for the kernel.
pub(crate) fn c_string(bytes: Vec<u8>) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

/// Ids to change to.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    pub(crate) uid: libc::uid_t,
    pub(crate) gid: libc::gid_t,
    pub(crate) groups: Vec<libc::gid_t>,
}

/// The program to execute.
#[derive(Debug)]
pub(crate) enum Program {
    /// An absolute path.
    Path(CString),
    /// An open file, whatever its path is by now.
    Fd(RawFd),
}

/// CPUs that a process may run on; enough bits for any kernel that is shipped.
pub(crate) type CpuSet = [u64; 128];

/// Everything a child needs. Descriptors are the keeper's and must stay open until after the clone.
#[derive(Debug)]
pub(crate) struct ChildSpec {
    pub(crate) program: Program,
    pub(crate) argv: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: Option<CString>,
    /// Resource and its soft and hard limit.
    pub(crate) rlimits: Vec<(u32, libc::rlimit)>,
    pub(crate) umask: Option<libc::mode_t>,
    pub(crate) nice: Option<i32>,
    pub(crate) io_priority: Option<u16>,
    pub(crate) cpu_affinity: Option<Box<CpuSet>>,
    /// In digits.
    pub(crate) oom_score_adj: Option<String>,
    pub(crate) ids: Option<Ids>,
    pub(crate) capabilities: caps::Wish,
    pub(crate) no_new_privs: bool,
    /// Signals that stay blocked over exec, bit n-1 for signal n.
    pub(crate) blocked: u64,
    /// Become the descriptors 0, 1, 2, …; at most [`fd_setup::SLOTS`] different ones with the
    /// program's and the one for readiness.
    pub(crate) fds: Vec<RawFd>,
    /// Opened as descriptor 0, after the change of user.
    pub(crate) stdin: Option<CString>,
    /// A descriptor and the number that it gets.
    pub(crate) ready: Option<(RawFd, RawFd)>,
    /// Record of the run, written before exec.
    pub(crate) record: Option<record_file::RecordFile>,
    /// File of the cgroup to enter if the child could not be spawned in the group.
    pub(crate) cgroup_procs: Option<CString>,
}

impl ChildSpec {
    /// A plan for this program without arguments, with nothing beyond what every child inherits.
    pub(crate) fn plain(program: Program) -> Self {
        Self {
            program,
            argv: Vec::new(),
            env: Vec::new(),
            cwd: None,
            rlimits: Vec::new(),
            umask: None,
            nice: None,
            io_priority: None,
            cpu_affinity: None,
            oom_score_adj: None,
            ids: None,
            capabilities: caps::Wish::default(),
            no_new_privs: false,
            blocked: 0,
            fds: Vec::new(),
            stdin: None,
            ready: None,
            record: None,
            cgroup_procs: None,
        }
    }
}

/// A [`ChildSpec`] with the pointer arrays for exec, and what the child says.
pub(super) struct Prepared<'a> {
    pub(super) plan: &'a ChildSpec,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
    pub(super) slots: fd_setup::Slots,
    /// Bit n-1 for signal n whose disposition is not the default.
    pub(super) reset: AtomicU64,
    /// Whether the child has to enter the cgroup itself.
    pub(super) enter: AtomicBool,
    /// Whether the child has entered the cgroup.
    pub(super) entered: AtomicBool,
    /// Stage plus one in the upper half, errno in the lower; 0 is none.
    failure: AtomicU64,
}

impl ChildSpec {
    pub(super) fn prepare(&self) -> Prepared<'_> {
        let pointers = |all: &[CString]| {
            let all = all.iter().map(|one| one.as_ptr());
            all.chain([ptr::null()]).collect()
        };
        Prepared {
            plan: self,
            argv: pointers(&self.argv),
            env: pointers(&self.env),
            slots: fd_setup::Slots::of(self),
            reset: AtomicU64::new(0),
            enter: AtomicBool::new(false),
            entered: AtomicBool::new(false),
            failure: AtomicU64::new(0),
        }
    }
}

/// The step that failed, and the error.
pub(crate) type SpawnError = (SpawnStage, Errno);

pub(super) type Done = Result<(), SpawnError>;

pub(super) fn at(stage: SpawnStage, done: impl Into<libc::c_long>) -> Done {
    if done.into() == -1 {
        return Err((stage, Errno::last()));
    }
    Ok(())
}

impl Prepared<'_> {
    /// The failure of the child, once it has ended or executed its program.
    pub(super) fn failure(&self) -> Option<SpawnError> {
        let failure = self.failure.load(Ordering::Acquire);
        let stage = usize::try_from((failure >> 32).checked_sub(1)?).ok()?;
        let errno = i32::try_from(failure & u64::from(u32::MAX)).unwrap_or(libc::EIO);
        let stage = SpawnStage::ALL.get(stage)?;
        Some((*stage, Errno::from_raw(errno)))
    }

    /// Executes the program, or records the failure and ends. Allocates nothing.
    ///
    /// # Safety
    /// Only in a child fresh from clone, whose parent thread is held until this has ended.
    pub(super) unsafe fn run(&self) -> ! {
        // SAFETY: as this function's own contract.
        if let Err((stage, errno)) = unsafe { self.set_up() } {
            let number = u64::from((errno as i32).unsigned_abs());
            let failure = (u64::from(stage as u8) + 1) << 32 | number;
            self.failure.store(failure, Ordering::Release);
        }
        // SAFETY: ends the process without running anything of the keeper's.
        unsafe { libc::_exit(127) }
    }

    /// # Safety
    /// As [`Self::run`].
    unsafe fn set_up(&self) -> Done {
        let plan = self.plan;
        // SAFETY: integers only.
        at(SpawnStage::Session, unsafe { libc::setsid() })?;
        self.slots.take(plan)?;
        self.enter_cgroup();
        if let Some(record) = &plan.record {
            record
                .write()
                .map_err(|errno| (SpawnStage::Record, errno))?;
        }
        // Ahead of the limits, for it needs a descriptor.
        self.oom_score()?;
        self.limits()?;
        if plan.no_new_privs {
            // SAFETY: integers only.
            let done = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            at(SpawnStage::NoNewPrivs, done)?;
        }
        self.signals()?;
        // As late as possible: from here on other processes of the same user can reach this
        // process. The remaining steps need the rights of that user.
        self.ids()?;
        let changes = plan.ids.as_ref().is_some_and(|ids| ids.uid != 0);
        caps::apply(&plan.capabilities, changes)
            .map_err(|errno| (SpawnStage::Capabilities, errno))?;
        if let Some(cwd) = &plan.cwd {
            // SAFETY: a valid C string.
            at(SpawnStage::Chdir, unsafe { libc::chdir(cwd.as_ptr()) })?;
        }
        if let Some(path) = &plan.stdin {
            fd_setup::stdin(path).map_err(|errno| (SpawnStage::Stdin, errno))?;
        }
        self.exec()
    }

    /// Enters the cgroup. On failure the child continues outside; the keeper sees that from
    /// `entered`.
    fn enter_cgroup(&self) {
        if self.enter.load(Ordering::Relaxed)
            && let Some(file) = &self.plan.cgroup_procs
        {
            self.entered
                .store(write(file, b"0").is_ok(), Ordering::Release);
        }
    }

    fn oom_score(&self) -> Done {
        let Some(score) = &self.plan.oom_score_adj else {
            return Ok(());
        };
        write(c"/proc/self/oom_score_adj", score.as_bytes())
            .map_err(|errno| (SpawnStage::OomScore, errno))
    }

    fn limits(&self) -> Done {
        let plan = self.plan;
        // SAFETY: the calls take integers or pointers into `plan`, which lives, and touch nothing
        // that is shared with the keeper.
        unsafe {
            for (resource, limit) in &plan.rlimits {
                let null = ptr::null_mut::<libc::rlimit>();
                let done =
                    libc::syscall(libc::SYS_prlimit64, 0, *resource, &raw const *limit, null);
                at(SpawnStage::Rlimit, done)?;
            }
            if let Some(mask) = plan.umask {
                libc::umask(mask);
            }
            if let Some(nice) = plan.nice {
                at(
                    SpawnStage::Nice,
                    libc::setpriority(libc::PRIO_PROCESS, 0, nice),
                )?;
            }
            if let Some(turn) = plan.io_priority {
                /// `IOPRIO_WHO_PROCESS`.
                const WHO_PROCESS: libc::c_int = 1;
                let turn = libc::c_int::from(turn);
                let done = libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, turn);
                at(SpawnStage::IoPriority, done)?;
            }
            if let Some(cpus) = &plan.cpu_affinity {
                let (bytes, cpus) = (size_of::<CpuSet>(), cpus.as_ptr());
                let done = libc::syscall(libc::SYS_sched_setaffinity, 0, bytes, cpus);
                at(SpawnStage::CpuAffinity, done)?;
            }
        }
        Ok(())
    }

    /// By raw calls: the C library's would ask all threads to follow, and there are none.
    fn ids(&self) -> Done {
        caps::bound(&self.plan.capabilities, self.plan.no_new_privs)
            .map_err(|errno| (SpawnStage::Capabilities, errno))?;
        let Some(ids) = &self.plan.ids else {
            return Ok(());
        };
        // SAFETY: integers, and an array of the length given.
        unsafe {
            if self.plan.capabilities.kept() != 0 {
                at(
                    SpawnStage::Uid,
                    libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0),
                )?;
            }
            let (count, groups) = (ids.groups.len(), ids.groups.as_ptr());
            at(
                SpawnStage::Groups,
                libc::syscall(libc::SYS_setgroups, count, groups),
            )?;
            at(
                SpawnStage::Gid,
                libc::syscall(libc::SYS_setresgid, ids.gid, ids.gid, ids.gid),
            )?;
            at(
                SpawnStage::Uid,
                libc::syscall(libc::SYS_setresuid, ids.uid, ids.uid, ids.uid),
            )?;
            // The kernel sets it as fs.suid_dumpable says, for the keeper too, whose memory this
            // is.
            libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
            let same = libc::getuid() == ids.uid
                && libc::geteuid() == ids.uid
                && libc::getgid() == ids.gid
                && libc::getegid() == ids.gid;
            let root_again = ids.uid != 0 && libc::syscall(libc::SYS_setresuid, 0, 0, 0) == 0;
            if !same || root_again {
                return Err((SpawnStage::Verify, Errno::EPERM));
            }
        }
        Ok(())
    }

    /// Every disposition to default, also those of 32 and 33 that the C library hides; then the
    /// mask.
    fn signals(&self) -> Done {
        // The kernel's sigaction of every architecture is smaller; all zeros is SIG_DFL.
        let default = [0_u64; 8];
        let null = ptr::null_mut::<u64>();
        let mut reset = self.reset.load(Ordering::Relaxed);
        while reset != 0 {
            let signal = reset.trailing_zeros() + 1;
            reset &= reset - 1;
            // SAFETY: reads one zeroed action, writes nothing.
            let done =
                unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), null, 8) };
            at(SpawnStage::Signals, done)?;
        }
        let mask = self.plan.blocked;
        // SAFETY: reads one mask of 8 bytes.
        let done = unsafe {
            libc::syscall(
                libc::SYS_rt_sigprocmask,
                libc::SIG_SETMASK,
                &raw const mask,
                null,
                8,
            )
        };
        at(SpawnStage::Signals, done)
    }

    fn exec(&self) -> Done {
        let (argv, env) = (self.argv.as_ptr(), self.env.as_ptr());
        // SAFETY: null-terminated arrays of valid C strings, alive in `plan`.
        let done = unsafe {
            match &self.plan.program {
                Program::Path(path) => libc::c_long::from(libc::execve(path.as_ptr(), argv, env)),
                Program::Fd(_) => libc::syscall(
                    libc::SYS_execveat,
                    fd_setup::program_at(self.plan),
                    c"".as_ptr(),
                    argv,
                    env,
                    libc::AT_EMPTY_PATH,
                ),
            }
        };
        at(SpawnStage::Exec, done)
    }
}

/// Writes a short text to a file that exists.
fn write(path: &CStr, text: &[u8]) -> Result<(), Errno> {
    // SAFETY: a valid C string and a buffer of the length given.
    unsafe {
        let fd = Errno::result(libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC))?;
        let written = Errno::result(libc::write(fd, text.as_ptr().cast(), text.len()));
        libc::close(fd);
        written.map(drop)
    }
}
