//! What a child does between its birth and exec. Everything is prepared beforehand; the child only
//! makes system calls, reads memory, and says over its status socket what it could not do.

use std::{
    ffi::{CString, c_char},
    os::fd::RawFd,
    ptr,
};

use nix::{errno::Errno, libc};

use super::caps;

/// Where in the child's set-up something failed; travels as one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    Session,
    Rlimit,
    Nice,
    OomScore,
    Groups,
    Gid,
    Uid,
    Verify,
    Capabilities,
    NoNewPrivs,
    Signals,
    Fds,
    Chdir,
    Exec,
}

impl Stage {
    const ALL: [(Self, &'static str); 14] = [
        (Self::Session, "setsid"),
        (Self::Rlimit, "rlimits"),
        (Self::Nice, "nice"),
        (Self::OomScore, "oom-score"),
        (Self::Groups, "setgroups"),
        (Self::Gid, "setgid"),
        (Self::Uid, "setuid"),
        (Self::Verify, "verify-ids"),
        (Self::Capabilities, "capabilities"),
        (Self::NoNewPrivs, "no-new-privs"),
        (Self::Signals, "signals"),
        (Self::Fds, "descriptors"),
        (Self::Chdir, "chdir"),
        (Self::Exec, "exec"),
    ];
}

/// Bytes of a status report: stage, three of padding, errno.
pub(crate) const REPORT_BYTES: usize = 8;

/// Reads a report of the child: the stage's name and the errno.
pub(crate) fn decode(report: [u8; REPORT_BYTES]) -> (&'static str, i32) {
    let stage = Stage::ALL.get(usize::from(report[0]));
    let errno = i32::from_le_bytes([report[4], report[5], report[6], report[7]]);
    (stage.map_or("unknown", |(_, name)| name), errno)
}

/// Ids to change to.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    pub(crate) uid: libc::uid_t,
    pub(crate) gid: libc::gid_t,
    pub(crate) groups: Vec<libc::gid_t>,
}

/// What to execute.
#[derive(Debug)]
pub(crate) enum Program {
    /// An absolute path.
    Path(CString),
    /// An open file, whatever its path is by now.
    Fd(RawFd),
}

/// A whole child, as data. Descriptors are the keeper's and must stay open until after the clone.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) program: Program,
    pub(crate) argv: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: Option<CString>,
    /// Resource and its soft and hard limit.
    pub(crate) rlimits: Vec<(u32, libc::rlimit)>,
    pub(crate) umask: Option<libc::mode_t>,
    pub(crate) nice: Option<i32>,
    /// In digits.
    pub(crate) oom_score_adj: Option<String>,
    pub(crate) ids: Option<Ids>,
    pub(crate) capabilities: Option<u64>,
    pub(crate) no_new_privs: bool,
    /// Signals that stay blocked over exec, bit n-1 for signal n.
    pub(crate) blocked: u64,
    /// Become the descriptors 0, 1, 2, …; all are above [`FDS_RESERVED`].
    pub(crate) fds: Vec<RawFd>,
    /// Child's end of the status socket: a byte from the keeper opens the gate.
    pub(crate) status: RawFd,
}

/// The keeper opens nothing below this number, so that moving descriptors into place in a child
/// never overwrites one that is still to be moved.
pub(crate) const FDS_RESERVED: RawFd = 8;

/// Pointer arrays for exec over a [`Plan`].
pub(super) struct Prepared<'a> {
    plan: &'a Plan,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
}

impl Plan {
    pub(super) fn prepare(&self) -> Prepared<'_> {
        let pointers = |all: &[CString]| {
            let all = all.iter().map(|one| one.as_ptr());
            all.chain([ptr::null()]).collect()
        };
        Prepared {
            plan: self,
            argv: pointers(&self.argv),
            env: pointers(&self.env),
        }
    }
}

type Done = Result<(), (Stage, Errno)>;

fn at(stage: Stage, done: impl Into<libc::c_long>) -> Done {
    if done.into() == -1 {
        return Err((stage, Errno::last()));
    }
    Ok(())
}

impl Prepared<'_> {
    /// Becomes the program, or reports why not and ends. Allocates nothing.
    ///
    /// # Safety
    /// Only in a child fresh from clone, with memory of its own.
    pub(super) unsafe fn run(&self) -> ! {
        // SAFETY: as this function's own contract.
        let failed = unsafe { self.set_up() };
        let status = self.status_at();
        if let Err((stage, errno)) = failed {
            // Before `descriptors` the status socket still has its old number.
            let before = (stage as u8) < Stage::Fds as u8;
            let fd = if before || stage == Stage::Fds {
                self.plan.status
            } else {
                status
            };
            let mut report = [0; REPORT_BYTES];
            report[0] = stage as u8;
            report[4..].copy_from_slice(&(errno as i32).to_le_bytes());
            // SAFETY: `report` is valid for its length; MSG_NOSIGNAL spares us a SIGPIPE.
            unsafe {
                libc::send(fd, report.as_ptr().cast(), REPORT_BYTES, libc::MSG_NOSIGNAL);
            }
        }
        // SAFETY: ends the process without running anything of the keeper's.
        unsafe { libc::_exit(127) }
    }

    fn status_at(&self) -> RawFd {
        RawFd::try_from(self.plan.fds.len()).unwrap_or(FDS_RESERVED)
    }

    /// # Safety
    /// As [`Self::run`].
    unsafe fn set_up(&self) -> Done {
        let plan = self.plan;
        // SAFETY: integers only.
        at(Stage::Session, unsafe { libc::setsid() })?;
        // Ahead of the limits, for it needs a descriptor beside all that the keeper has open.
        self.oom_score()?;
        // SAFETY: the calls take integers or pointers into `plan`, which lives, and touch no state
        // that is shared with the keeper.
        unsafe {
            for (resource, limit) in &plan.rlimits {
                let null = ptr::null_mut::<libc::rlimit>();
                let done =
                    libc::syscall(libc::SYS_prlimit64, 0, *resource, &raw const *limit, null);
                at(Stage::Rlimit, done)?;
            }
            if let Some(mask) = plan.umask {
                libc::umask(mask);
            }
            if let Some(nice) = plan.nice {
                at(Stage::Nice, libc::setpriority(libc::PRIO_PROCESS, 0, nice))?;
            }
        }
        self.ids()?;
        if let Some(keep) = plan.capabilities {
            caps::apply(keep).map_err(|errno| (Stage::Capabilities, errno))?;
        }
        if plan.no_new_privs {
            // SAFETY: integers only.
            let done = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            at(Stage::NoNewPrivs, done)?;
        }
        self.signals()?;
        self.descriptors()?;
        if let Some(cwd) = &plan.cwd {
            // SAFETY: a valid C string.
            at(Stage::Chdir, unsafe { libc::chdir(cwd.as_ptr()) })?;
        }
        self.gate();
        self.exec()
    }

    fn oom_score(&self) -> Done {
        let Some(score) = &self.plan.oom_score_adj else {
            return Ok(());
        };
        let path = c"/proc/self/oom_score_adj".as_ptr();
        // SAFETY: a valid C string and a buffer of the length given.
        unsafe {
            let fd = libc::open(path, libc::O_WRONLY | libc::O_CLOEXEC);
            at(Stage::OomScore, fd)?;
            at(
                Stage::OomScore,
                libc::write(fd, score.as_ptr().cast(), score.len()) as libc::c_long,
            )?;
            libc::close(fd);
        }
        Ok(())
    }

    /// By raw calls: the C library's would ask all threads to follow, and there are none.
    fn ids(&self) -> Done {
        let Some(ids) = &self.plan.ids else {
            return Ok(());
        };
        // SAFETY: integers, and an array of the length given.
        unsafe {
            if self.plan.capabilities.is_some_and(|keep| keep != 0) {
                at(Stage::Uid, libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
            }
            let (count, groups) = (ids.groups.len(), ids.groups.as_ptr());
            at(
                Stage::Groups,
                libc::syscall(libc::SYS_setgroups, count, groups),
            )?;
            at(
                Stage::Gid,
                libc::syscall(libc::SYS_setresgid, ids.gid, ids.gid, ids.gid),
            )?;
            at(
                Stage::Uid,
                libc::syscall(libc::SYS_setresuid, ids.uid, ids.uid, ids.uid),
            )?;
            let same = libc::getuid() == ids.uid
                && libc::geteuid() == ids.uid
                && libc::getgid() == ids.gid
                && libc::getegid() == ids.gid;
            let root_again = ids.uid != 0 && libc::syscall(libc::SYS_setresuid, 0, 0, 0) == 0;
            if !same || root_again {
                return Err((Stage::Verify, Errno::EPERM));
            }
        }
        Ok(())
    }

    /// Every disposition to default, also those of 32 and 33 that the C library hides; then the mask.
    fn signals(&self) -> Done {
        // The kernel's sigaction of every architecture is smaller; all zeros is SIG_DFL.
        let default = [0_u64; 8];
        let null = ptr::null_mut::<u64>();
        for signal in (1..=64).filter(|one| ![libc::SIGKILL, libc::SIGSTOP].contains(one)) {
            // SAFETY: reads one zeroed action, writes nothing.
            let done =
                unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), null, 8) };
            at(Stage::Signals, done)?;
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
        at(Stage::Signals, done)
    }

    /// Moves the child's descriptors into place and closes all others.
    fn descriptors(&self) -> Done {
        for (to, from) in (0..).zip(&self.plan.fds) {
            // SAFETY: integers only.
            at(Stage::Fds, unsafe { libc::dup3(*from, to, 0) })?;
        }
        let status = self.status_at();
        let first = status.unsigned_abs() + 1;
        // SAFETY: integers only. Failure of the last call (Linux before 5.9) is harmless: all that
        // the keeper itself opens closes at exec.
        unsafe {
            at(
                Stage::Fds,
                libc::dup3(self.plan.status, status, libc::O_CLOEXEC),
            )?;
            if let Program::Fd(program) = self.plan.program {
                let moved = status + 1;
                at(Stage::Fds, libc::dup3(program, moved, libc::O_CLOEXEC))?;
            }
            let first = first + u32::from(matches!(self.plan.program, Program::Fd(_)));
            libc::syscall(libc::SYS_close_range, first, u32::MAX, 0);
        }
        Ok(())
    }

    /// Waits until the keeper has written down who this is; ends if the keeper is gone.
    fn gate(&self) {
        let mut byte = 0_u8;
        loop {
            // SAFETY: `byte` is valid for one byte.
            let read = unsafe { libc::recv(self.status_at(), (&raw mut byte).cast(), 1, 0) };
            if read == 1 {
                return;
            }
            if read == -1 && Errno::last() == Errno::EINTR {
                continue;
            }
            // SAFETY: ends the process without running anything of the keeper's.
            unsafe { libc::_exit(127) }
        }
    }

    fn exec(&self) -> Done {
        let (argv, env) = (self.argv.as_ptr(), self.env.as_ptr());
        // SAFETY: null-terminated arrays of valid C strings, alive in `plan`.
        let done = unsafe {
            match &self.plan.program {
                Program::Path(path) => libc::c_long::from(libc::execve(path.as_ptr(), argv, env)),
                Program::Fd(_) => libc::syscall(
                    libc::SYS_execveat,
                    self.status_at() + 1,
                    c"".as_ptr(),
                    argv,
                    env,
                    libc::AT_EMPTY_PATH,
                ),
            }
        };
        at(Stage::Exec, done)
    }
}
