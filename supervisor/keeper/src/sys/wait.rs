//! Looking at ended children and reaping them. Knows every signal, also the realtime ones.

use nix::{errno::Errno, libc};

use crate::message::Exit;

/// A child that has ended and is not yet reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its pid; stays ours until [`reap`].
    pub(crate) pid: i32,
    /// How it ended.
    pub(crate) exit: Exit,
    /// Whether it left a core dump.
    pub(crate) core: bool,
}

/// Any ended child, left unreaped; `None` if there is none.
pub(crate) fn peek_any() -> Result<Option<Ended>, Errno> {
    wait(libc::P_ALL, 0, libc::WNOWAIT)
}

/// This child if it has ended, left unreaped. ECHILD: not a child of ours.
pub(crate) fn peek(pid: i32) -> Result<Option<Ended>, Errno> {
    wait(libc::P_PID, id(pid), libc::WNOWAIT)
}

/// Reaps an ended child.
pub(crate) fn reap(pid: i32) -> Result<Option<Ended>, Errno> {
    wait(libc::P_PID, id(pid), 0)
}

fn id(pid: i32) -> libc::id_t {
    pid.unsigned_abs()
}

fn wait(kind: libc::idtype_t, id: libc::id_t, flags: i32) -> Result<Option<Ended>, Errno> {
    loop {
        // SAFETY: siginfo_t is plain data, for which all zeros is a valid value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOHANG | flags;
        // SAFETY: `info` is valid for writing during the call.
        let done = unsafe { libc::waitid(kind, id, &raw mut info, flags) };
        match Errno::result(done) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(decode(&info)),
        }
    }
}

fn decode(info: &libc::siginfo_t) -> Option<Ended> {
    // SAFETY: waitid fills the SIGCHLD members, or leaves the zeros from above.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return None;
    }
    let exit = match info.si_code {
        libc::CLD_EXITED => Exit::Code(status),
        _ => Exit::Signal(status),
    };
    let core = info.si_code == libc::CLD_DUMPED;
    Some(Ended { pid, exit, core })
}
