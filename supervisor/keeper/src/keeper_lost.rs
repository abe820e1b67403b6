//! For a control process whose keeper has died: it can still name, signal and watch main processes
//! by pidfd, and knows when they are gone, though not how they ended.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Write as _},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use proc::Family;
use safe_path::Dir;

use crate::{
    cgroup, cookie, left,
    message::RunId,
    record::{Record, Records},
    sys,
    traces::{self, Traces},
};

/// Name of the lock, in the run directory, of the one control process that acts for a dead keeper.
/// The file has the mark of the keeper for which all work is done.
const HEIR_LOCK: &str = "heir.lock";
/// Longest mark, in bytes.
const MARK_BYTES: u64 = 4096;
/// Time between two looks at the processes that are left.
const PAUSE_MS: u8 = 20;

/// The right to act for a keeper that has died. Lasts as long as this process.
#[derive(Debug)]
pub struct Heir {
    lock: Flock<File>,
}

impl Heir {
    /// During a `ctl reexec` two control processes lose the same keeper. One at a time acts for it:
    /// two would read the same log pipes. Waits until the other one has ended. `None`: it has done
    /// all that was to do for the keeper of this mark.
    ///
    /// # Errors
    /// The run directory cannot be used.
    pub fn become_heir(run_dir: &Path, mark: Option<&str>) -> io::Result<Option<Self>> {
        let dir = Dir::open(run_dir)?;
        // Not the keeper's lock file: both control processes have inherited that one locked.
        let mut file = dir.append(HEIR_LOCK, 0o600)?;
        let lock = loop {
            match Flock::lock(file, FlockArg::LockExclusive) {
                Ok(lock) => break lock,
                Err((again, Errno::EINTR)) => file = again,
                Err((_, error)) => return Err(error.into()),
            }
        };
        let done = dir.read(HEIR_LOCK, MARK_BYTES)?;
        let is_done = mark.is_some_and(|mark| mark.as_bytes() == done);
        Ok((!is_done).then_some(Self { lock }))
    }

    /// Tells a control process that waits in [`Self::become_heir`] that all is done for the keeper
    /// of this mark.
    ///
    /// # Errors
    /// The mark cannot be written.
    pub fn done(&mut self, mark: &str) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.write_all(mark.as_bytes())
    }
}

/// The first process of a run, by the record that it has written: its pid, and a pidfd that names
/// no other. `None`: it is gone.
pub fn first_process(run_dir: &Path, run: RunId) -> Option<(i32, OwnedFd)> {
    let record = Records::at(run_dir).one(run)?;
    let pidfd = sys::pidfd::open(record.pid).ok()?;
    // Asked after the pidfd was opened: so the answer is about this process, not about a later one
    // of its pid.
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

/// Prefix of a variable in the environment of every process that this keeper has started. Valid
/// while the keeper lives. `None`: the keeper is dead.
pub fn mark(keeper_pid: i32) -> Option<String> {
    Some(cookie::mark(keeper_pid, proc::stat(keeper_pid)?.start))
}

/// What can be left of the runs of a keeper that has died: in the cgroup of their records, with
/// their log pipe, session or group, with the cookie of their environment, and all that descends
/// from these.
#[derive(Clone, Copy, Debug)]
pub struct Remains<'a> {
    /// Where the records are.
    pub run_dir: &'a Path,
    /// From [`mark`].
    pub mark: Option<&'a str>,
}

impl Remains<'_> {
    /// Kills what is left of one run until nothing is, or for `limit` at most; returns the pids
    /// that would not go.
    pub fn end_run(&self, run: RunId, limit: Duration) -> Vec<i32> {
        let records: Vec<Record> = Records::at(self.run_dir).one(run).into_iter().collect();
        let cookie = self.mark.map(|mark| format!("{mark}{run}"));
        end(limit, || {
            kill(&records, |shown| Some(shown) == cookie.as_deref())
        })
    }

    /// Like [`Self::end_run`], for all runs, also helpers and runs whose main process has long
    /// gone.
    pub fn end_all(&self, limit: Duration) -> Vec<i32> {
        let (mut records, _) = Records::at(self.run_dir).read();
        let boot = proc::boot_id();
        records.retain(|record| record.boot_id == boot);
        end(limit, || {
            kill(&records, |shown| {
                self.mark.is_some_and(|mark| shown.starts_with(mark))
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

/// Kills the processes that belong to these runs, or have such a cookie; returns them.
fn kill(records: &[Record], is_cookie: impl Fn(&str) -> bool) -> Vec<i32> {
    let mut found = BTreeSet::new();
    for dir in records.iter().filter_map(traces::group_of) {
        cgroup::kill(dir);
        found.extend(proc::members(dir));
    }
    // The keeper has died just now. So a session is still the run's though its leader has gone,
    // unless another process has that one's number.
    let is_anothers = |it: &&Record| proc::stat(it.pid).is_some_and(|stat| stat.start != it.start);
    let sessions: Vec<&Record> = records.iter().filter(|it| !is_anothers(it)).collect();
    let family = Family::look();
    for pid in proc::all() {
        let Some(stat) = traces::living(pid) else {
            continue;
        };
        let shown = Traces::of(pid, &stat);
        let recorded = records.iter().any(|record| shown.lead_to(record));
        let in_session = || sessions.iter().any(|it| shown.have_session_of(it));
        if recorded || in_session() || shown.cookies.iter().any(|it| is_cookie(it)) {
            found.insert(pid);
            found.extend(family.descendants(pid));
        }
    }
    found.retain(|pid| {
        let stat = traces::living(*pid);
        stat.inspect(|stat| left::kill_exactly(*pid, stat))
            .is_some()
    });
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;
    use crate::message::{Role, Stop};

    /// Starts the leader of a session.
    #[expect(
        clippy::disallowed_methods,
        reason = "a process that is no run, in a test"
    )]
    fn leader() -> (Child, i32) {
        let child = Command::new("setsid").args(["sleep", "300"]).spawn();
        let child = child.unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        while proc::stat(pid).unwrap().session != pid {
            let _ = poll(&mut [], PollTimeout::from(1_u8));
        }
        (child, pid)
    }

    #[test]
    fn who_has_the_number_of_a_main_process_that_has_gone_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path()).unwrap();
        let (mut child, pid) = leader();
        let stat = proc::stat(pid).unwrap();
        let mut record = Record {
            version: crate::record::VERSION,
            run: 1,
            service: "web".into(),
            role: Role::Main,
            pid,
            start: stat.start - 1,
            boot_id: proc::boot_id(),
            cgroup: None,
            pipe: 0,
            cookie: "none".into(),
            stop: Stop::by(15, 0),
            gap_told: false,
        };
        records.write(&record).unwrap();
        let remains = Remains {
            run_dir: dir.path(),
            mark: None,
        };
        let limit = Duration::from_secs(10);
        assert_eq!(remains.end_all(limit), [] as [i32; 0]);
        assert_eq!(remains.end_run(1, limit), [] as [i32; 0]);
        assert!(child.try_wait().unwrap().is_none(), "a stranger was killed");
        record.start = stat.start;
        records.write(&record).unwrap();
        assert_eq!(remains.end_run(1, limit), [] as [i32; 0]);
        assert!(!child.wait().unwrap().success());
    }
}
