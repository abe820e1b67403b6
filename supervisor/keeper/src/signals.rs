//! Signals to the keeper: every signal that would end the keeper arrives by a descriptor and is
//! handled or ignored. Left to the kernel are KILL, STOP and the terminal's signals, signals that
//! do nothing by default, and faults of the keeper itself (SEGV, ABRT, …).
//!
//! The control process has the same signals blocked, so only the keeper handles them. A service has
//! none of them blocked.

use std::os::fd::{AsFd, BorrowedFd};

use nix::{
    errno::Errno,
    libc::{self, c_int},
    sys::{
        signal::Signal,
        signalfd::{SfdFlags, SignalFd, siginfo},
    },
};

use crate::{stderr_log::say, sys::signals};

/// QUIT would leave a core by default.
const STOP: [c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT];
/// Signals that arrive by accident: USR1 and USR2 from log rotation tools, ALRM from an inherited
/// timer, …
const NOTHING: [c_int; 12] = [
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGSTKFLT,
    libc::SIGTRAP,
    libc::SIGSYS,
];

/// Meaning of a signal for the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    ChildEnded,
    Stop,
    Reload,
    Nothing,
}

impl Meaning {
    pub(crate) fn of(signal: c_int) -> Self {
        match signal {
            libc::SIGCHLD => Self::ChildEnded,
            libc::SIGHUP => Self::Reload,
            _ if STOP.contains(&signal) => Self::Stop,
            _ => Self::Nothing,
        }
    }
}

/// All signals of the descriptor except SIGCHLD.
fn from_outside() -> impl Iterator<Item = c_int> {
    let realtime = libc::SIGRTMIN()..=libc::SIGRTMAX();
    let named = STOP.into_iter().chain(NOTHING).chain([libc::SIGHUP]);
    named.chain(realtime)
}

/// Signals that are blocked in the control process: bit n-1 for signal n.
pub(crate) fn blocked_in_control() -> u64 {
    from_outside().fold(0, |mask, signal| mask | 1 << (signal - 1))
}

/// The descriptor that delivers signals.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    /// Ignored signals that have been reported: bit n-1 for signal n.
    told: u64,
}

impl Signals {
    /// Blocks the signals for this and every later thread, and no others, whatever was inherited.
    pub(crate) fn take() -> Result<Self, Errno> {
        let all: Vec<c_int> = from_outside().chain([libc::SIGCHLD]).collect();
        let mask = signals::set(&all)?;
        mask.thread_set_mask()?;
        for signal in all {
            signals::reset_disposition(signal)?;
        }
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let fd = SignalFd::with_flags(&mask, flags)?;
        Ok(Self { fd, told: 0 })
    }

    /// Becomes readable when this process is asked to stop; reading takes no signal from
    /// [`Signals`].
    pub(crate) fn stop_asked() -> Result<SignalFd, Errno> {
        SignalFd::with_flags(&signals::set(&STOP)?, SfdFlags::SFD_CLOEXEC)
    }

    /// The next signal, if one is pending.
    pub(crate) fn next(&self) -> Option<siginfo> {
        self.fd.read_signal().ok().flatten()
    }

    /// Ignores a signal; reports the first of its kind.
    pub(crate) fn ignore(&mut self, signal: c_int, sender: u32) {
        let bit = 1_u64 << (signal - 1);
        if self.told & bit == 0 {
            self.told |= bit;
            let name = Signal::try_from(signal).map_or("a realtime signal", Signal::as_str);
            say!("{name} ({signal}) from pid {sender} means nothing here and is ignored");
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
