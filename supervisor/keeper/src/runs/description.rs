//! Open file descriptions of a log pipe. What a process sets on one (`O_NONBLOCK`, `O_ASYNC`, an
//! owner for signals) all see that share it, so each run gets its own; and the pipe's size, which
//! is the pipe's, is set again if a run has shrunk it.

use std::{
    fs::OpenOptions,
    io,
    os::fd::{AsFd, OwnedFd},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
};

use super::run::Pipe;

/// Size of a log pipe, where allowed.
const PIPE_BYTES: i32 = 1 << 20;

/// A fresh open file description of the pipe for writing, for a run that is about to begin.
pub(crate) fn of_pipe(pipe: &Pipe) -> Result<OwnedFd, Errno> {
    if fcntl(&pipe.write, FcntlArg::F_GETPIPE_SZ).is_ok_and(|size| size < pipe.size) {
        enlarge(&pipe.write);
    }
    let path = proc::fd_path(&pipe.write);
    let fresh = OpenOptions::new().write(true).open(path);
    fresh.map(OwnedFd::from).or_else(|_| shared(&pipe.write))
}

/// Makes a pipe as large as is allowed; returns its size. A smaller one is slower, nothing else.
pub(crate) fn enlarge(pipe: impl AsFd) -> i32 {
    let _ = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    fcntl(&pipe, FcntlArg::F_GETPIPE_SZ).unwrap_or(0)
}

/// Resets the flags that an earlier run has set on the shared description: for an account that may
/// not open a pipe that it has given away, and so cannot have a fresh one.
fn shared(write: &OwnedFd) -> Result<OwnedFd, Errno> {
    fcntl(write, FcntlArg::F_SETFL(OFlag::empty()))?;
    let copy = write.try_clone();
    copy.map_err(|error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}
