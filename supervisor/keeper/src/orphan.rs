//! For a control process whose keeper has died: it can still name, signal and watch main processes
//! by pidfd, and knows when they are gone, though not how they ended.

use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{
    cgroup,
    message::RunId,
    proc::{self, Family, Stat},
    record::{Record, Records},
    sweep, sys,
};

/// Between two looks at what is left.
const PAUSE_MS: u8 = 20;

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

/// What all processes begin with that this keeper has started, in a variable of their environment. To
/// be asked while it lives. `None`: it does not.
pub fn mark(keeper_pid: i32) -> Option<String> {
    Some(sweep::mark(keeper_pid, proc::stat(keeper_pid)?.start))
}

/// What can be left of the runs of a keeper that has died: in the cgroup of their records, with their log
/// pipe, session or group, with the cookie of their environment, and all that descends from these.
#[derive(Clone, Copy, Debug)]
pub struct Remains<'a> {
    /// Where the records are.
    pub run_dir: &'a Path,
    /// From [`mark`].
    pub mark: Option<&'a str>,
}

impl Remains<'_> {
    /// Kills what is left of one run until nothing is, or for `limit` at most; returns the pids that
    /// would not go.
    pub fn end_run(&self, run: RunId, limit: Duration) -> Vec<i32> {
        let records: Vec<Record> = Records::at(self.run_dir).one(run).into_iter().collect();
        let cookie = self.mark.map(|mark| format!("{mark}{run}"));
        end(limit, || {
            kill(&records, |pid, stat| {
                let cookie = cookie.as_ref();
                cookie.is_some_and(|cookie| proc::has_variable(pid, stat, cookie))
            })
        })
    }

    /// The same for all runs, helpers and those whose main process has long gone included.
    pub fn end_all(&self, limit: Duration) -> Vec<i32> {
        let (mut records, _) = Records::at(self.run_dir).read();
        let boot = proc::boot_id();
        records.retain(|record| record.boot_id == boot);
        end(limit, || {
            kill(&records, |pid, stat| {
                self.mark
                    .is_some_and(|mark| proc::has_variable_like(pid, stat, mark))
            })
        })
    }
}

fn end(limit: Duration, mut look: impl FnMut() -> Vec<i32>) -> Vec<i32> {
    let until = Instant::now() + limit;
    loop {
        let left = look();
        if left.is_empty() || Instant::now() >= until {
            return left;
        }
        let _ = poll(&mut [], PollTimeout::from(PAUSE_MS));
    }
}

/// Kills what belongs to these runs; returns it.
fn kill(records: &[Record], has_cookie: impl Fn(i32, &Stat) -> bool) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut found = BTreeSet::new();
    for dir in records.iter().filter_map(|record| record.cgroup.as_ref()) {
        cgroup::kill(dir);
        found.extend(cgroup::members(dir));
    }
    let family = Family::look();
    for pid in proc::all() {
        let Some(stat) = proc::stat(pid).filter(|stat| stat.state != b'Z' && pid != own) else {
            continue;
        };
        let recorded = || records.iter().any(|record| belongs(record, pid, &stat));
        if recorded() || has_cookie(pid, &stat) {
            found.insert(pid);
            found.extend(family.descendants(pid));
        }
    }
    found.remove(&own);
    found.retain(|pid| {
        let stat = proc::stat(*pid).filter(|stat| stat.state != b'Z');
        stat.inspect(|stat| sweep::kill_exactly(*pid, stat))
            .is_some()
    });
    found.into_iter().collect()
}

fn belongs(record: &Record, pid: i32, stat: &Stat) -> bool {
    stat.session == record.pid || stat.group == record.pid || proc::holds_pipe(pid, record.pipe)
}
