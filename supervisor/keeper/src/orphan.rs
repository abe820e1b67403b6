//! For a control process whose keeper has died: it can still name, signal and watch main processes
//! by pidfd, and knows when they are gone, though not how they ended.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{message::RunId, proc, record::Records, sys};

/// The first process of a run, by the record that it has written: its pid, and a pidfd that names no
/// other. `None`: it is gone.
pub fn first_process(run_dir: &Path, run: RunId) -> Option<(i32, OwnedFd)> {
    let record = Records::at(run_dir).one(run)?;
    let pidfd = sys::pidfd::open(record.pid).ok()?;
    // Asked after it was opened: then the answer is about this very process.
    let same = proc::stat(record.pid).is_some_and(|stat| stat.start == record.start);
    same.then_some((record.pid, pidfd))
}

/// Tells the next keeper that the log of this run's service has its mark.
pub fn gap_is_told(run_dir: &Path, run: RunId) -> io::Result<()> {
    let records = Records::at(run_dir);
    let Some(mut record) = records.one(run) else {
        return Ok(());
    };
    record.gap_told = true;
    records.write(&record)
}

/// Opens a pidfd. Safe against a reused pid only while the keeper lives and has not reported the
/// exit of that process.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    sys::pidfd::open(pid).map_err(io::Error::from)
}

/// Sends a signal to the process behind a pidfd; false if it is gone.
pub fn signal(pidfd: impl AsFd, signal: i32) -> io::Result<bool> {
    match sys::pidfd::signal(pidfd, signal) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Waits until the process has ended, or for `limit` at most; true if it has ended.
pub fn wait(pidfd: impl AsFd, limit: Duration) -> io::Result<bool> {
    let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    let mut polled = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    match poll(&mut polled, limit) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Pids of the session that a run's first process led, and of its group: what a control process
/// without a keeper can still find of a run. Zombies are left out.
pub fn session(leader: i32) -> Vec<i32> {
    let of_session = |pid: &i32| {
        crate::proc::stat(*pid).is_some_and(|stat| {
            (stat.session == leader || stat.group == leader) && stat.state != b'Z'
        })
    };
    crate::proc::all().into_iter().filter(of_session).collect()
}

/// Kills what is in the session or group of a run's first process, or has its log pipe as standard
/// output or error. Returns how many were found; to be repeated until that is 0.
pub fn kill_remaining(leader: i32, log_pipe: impl AsFd) -> usize {
    let inode = nix::sys::stat::fstat(log_pipe).map_or(0, |stat| stat.st_ino);
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut found = 0;
    for pid in crate::proc::all() {
        let Some(stat) = crate::proc::stat(pid).filter(|stat| stat.state != b'Z') else {
            continue;
        };
        let theirs = stat.session == leader || stat.group == leader;
        if pid != own && (theirs || crate::proc::holds_pipe(pid, inode)) {
            crate::sweep::kill_exactly(pid, &stat);
            found += 1;
        }
    }
    found
}
