//! Starts a control process, and puts it in charge.
//!
//! The control process gets the descriptors 0 to 2, its end of the link and the locks, and the
//! keeper's environment without the variables of init. Its program is an open file: a package may
//! replace the path meanwhile.

use std::{
    ffi::CStr,
    fs::File,
    os::{
        fd::{AsRawFd, RawFd},
        unix::ffi::OsStringExt,
    },
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::Control;
use crate::{
    clock::now_ms,
    init,
    kit::Kit,
    link::Link,
    message::SpawnStage,
    poller::Source,
    signals,
    sys::child::{ChildSpec, Program, SpawnError, c_string},
    timers::Timer,
};

/// `oom_score_adj` of the control process, where the keeper could lower its own.
const OOM_SCORE_ADJ: &str = "-500";
/// All threads of the control process share one heap of the C library: separate heaps cost more
/// memory than the parallel work is worth. Its children get an environment of their own.
const ONE_ARENA: &CStr = c"MALLOC_ARENA_MAX=1";

impl Control {
    /// Starts another instance of the present program; [`Self::begin`] puts it in charge.
    pub(crate) fn start(&self, kit: &mut Kit, locks: &[RawFd]) -> Result<(i32, Link), SpawnError> {
        self.make(kit, &self.binary, locks)
    }

    /// Puts this control process in charge.
    pub(crate) fn begin(&mut self, kit: &Kit, pid: i32, link: Link) {
        kit.poller.watch(&link, Source::Link);
        self.pid = Some(pid);
        self.link = Some(link);
        self.begins(false, false);
    }

    /// Resets the state for a new control process: whether its link has more to read, and is
    /// watched for writing.
    pub(super) fn begins(&mut self, more: bool, writing: bool) {
        self.more = more;
        self.writing = writing;
        self.liveness.heard();
        self.standing.begins();
    }

    /// Schedules another start.
    pub(crate) fn retry(&mut self, kit: &mut Kit) {
        let pause = self.standing.pause_ms();
        kit.timers.add(now_ms() + pause, Timer::Control);
    }

    /// Starts this binary as a control process; returns its pid and the keeper's end of the link.
    pub(super) fn make(
        &self,
        kit: &mut Kit,
        binary: &File,
        locks: &[RawFd],
    ) -> Result<(i32, Link), SpawnError> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::Stream,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .map_err(|errno| (SpawnStage::Socketpair, errno))?;
        let arguments = |errno| (SpawnStage::Arguments, errno);
        let argv = kit.config.control_argv.iter().cloned();
        let argv = argv.map(|one| c_string(one.into_vec()));
        // First, so that a later value from the environment overrides it.
        let mut env = vec![ONE_ARENA.to_owned()];
        env.extend(init::environment_without().map_err(arguments)?);
        let badness = kit.original.oom_score_adj.as_ref();
        let fds = [&theirs, &self.stdout, &self.stderr].map(AsRawFd::as_raw_fd);
        let plan = ChildSpec {
            argv: argv.collect::<Result<_, _>>().map_err(arguments)?,
            env,
            oom_score_adj: badness.map(|_| OOM_SCORE_ADJ.to_owned()),
            blocked: signals::blocked_in_control(),
            // 0, 1, 2, CONTROL_FD and LOCK_FDS.
            fds: [kit.null.as_raw_fd(), fds[1], fds[2], fds[0]]
                .into_iter()
                .chain(locks.iter().copied())
                .collect(),
            ..ChildSpec::plain(Program::Fd(binary.as_raw_fd()))
        };
        let pid = kit.make_own(&plan)?;
        drop(theirs);
        Ok((pid, Link::new(ours)))
    }
}
