//! What the keeper holds at known paths: locks, records of runs, control socket, notify sockets. Somebody
//! may clean `/run`, or restore a state directory over ours. What is missing is made again and told.
//!
//! Looked at a little after `removals` has told something (whoever clears a directory is mostly done by
//! then), on SIGHUP, and when a run could not write its record. The control process gets a new control
//! socket and new locks with [`Notice::MadeAgain`].
//!
//! Limits: what cannot be made again is tried again every [`AGAIN_MS`]; a record that is removed alone is
//! written again with the next look, whatever that is for.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use crate::{
    clock::now_ms,
    keeper::Keeper,
    listener::Listener,
    message::{Notice, RunId},
    proc,
    record::{Record, Records},
    removals::{Of, Removals, Watch},
    say::say,
    sweep,
    timers::Timer,
};

/// From the first sign of a removal to the look.
const LOOK_MS: u64 = 50;
/// To the next try to make what could not be made.
const AGAIN_MS: u64 = 5000;

/// The keeper's directories, watched.
#[derive(Debug)]
pub(crate) struct Places {
    /// Watches whatever directory it is told.
    pub(crate) removals: Removals,
    watches: Vec<Watch>,
    /// A look is due.
    looks: bool,
    /// What could not be made at the last look.
    failed: Vec<String>,
}

impl Places {
    /// Watches nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            removals: Removals::new(),
            watches: Vec::new(),
            looks: false,
            failed: Vec::new(),
        }
    }

    /// Watches the directories as they are now.
    pub(crate) fn watch(&mut self, run_dir: &Path, state_dir: &Path, records: &Records) {
        for watch in std::mem::take(&mut self.watches) {
            self.removals.unwatch(watch);
        }
        let above = run_dir.parent().unwrap_or(run_dir);
        self.watches = [
            (above, Of::Itself),
            (run_dir, Of::Entries),
            (records.dir(), Of::Itself),
            (state_dir, Of::Deletions),
        ]
        .into_iter()
        .filter_map(|(dir, of)| self.removals.watch(dir, of))
        .collect();
    }
}

/// What one look has found missing.
#[derive(Default)]
struct Look {
    made: Vec<PathBuf>,
    failed: Vec<String>,
}

impl Look {
    fn note(&mut self, path: &Path, outcome: io::Result<()>) {
        match outcome {
            Ok(()) => self.made.push(path.to_owned()),
            Err(error) => self.failed.push(format!("{}: {error}", path.display())),
        }
    }
}

impl Keeper {
    /// Something may have been removed.
    pub(crate) fn removal_told(&mut self) {
        self.places.removals.drain();
        if !std::mem::replace(&mut self.places.looks, true) {
            self.timers.add(now_ms() + LOOK_MS, Timer::Look);
        }
    }

    /// Makes what is missing. True: something was.
    pub(crate) fn look_at_places(&mut self) -> bool {
        self.places.looks = false;
        let mut look = Look::default();
        let locks = self.locks_again(&mut look);
        self.records_again(&mut look);
        let listener = self.listener_again(&mut look);
        if !look.made.is_empty() {
            let (run_dir, state_dir) = (&self.config.run_dir, &self.config.state_dir);
            self.places.watch(run_dir, state_dir, &self.files);
        }
        self.check_notify_sockets();
        for path in &look.made {
            say!("{} was removed or replaced: made again", path.display());
        }
        for what in &look.failed {
            // Not at every try.
            if !self.places.failed.contains(what) {
                say!("could not make again what was removed: {what}; tries again");
            }
        }
        if !look.failed.is_empty() {
            self.places.looks = true;
            self.timers.add(now_ms() + AGAIN_MS, Timer::Look);
        }
        let found = !look.made.is_empty();
        self.places.failed = look.failed;
        if found {
            self.tell_control(look.made, listener, locks);
        }
        found
    }

    fn tell_control(&mut self, paths: Vec<PathBuf>, listener: bool, locks: bool) {
        let descriptors = |keeper: &Self| -> io::Result<Vec<OwnedFd>> {
            let mut fds = Vec::new();
            if listener {
                fds.push(keeper.listener.duplicate()?);
            }
            if locks {
                fds.extend(keeper.locks.duplicates()?);
            }
            Ok(fds)
        };
        let notice = Notice::MadeAgain {
            paths,
            listener,
            locks,
        };
        // One that has not been born yet gets them at its birth.
        match descriptors(self) {
            Ok(fds) => self.notice(&notice, fds),
            Err(error) => say!("could not hand over what was made again: {error}"),
        }
        let fds = descriptors(self);
        if let (Some(successor), Ok(fds)) = (&mut self.control.successor, fds) {
            let _ = successor.link.queue(&notice, fds);
        }
    }

    /// True: control needs other ones.
    fn locks_again(&mut self, look: &mut Look) -> bool {
        let taken = self.locks.take_again();
        let some = taken.iter().any(|(_, outcome)| outcome.is_ok());
        for (path, outcome) in taken {
            look.note(&path, outcome);
        }
        some
    }

    /// Records of all runs of which something is left.
    fn records_again(&mut self, look: &mut Look) {
        if !self.files.are_in_place() {
            let made = Records::open(&self.config.run_dir).map(drop);
            look.note(self.files.dir(), made);
        }
        let unswept = self.runs.values().filter(|run| !run.swept);
        for id in self.files.missing(unswept.map(|run| run.id)) {
            let Some(record) = self.record_of(id) else {
                continue;
            };
            if let Err(error) = self.files.write(&record) {
                let path = self.files.dir().join(id.to_string());
                look.note(&path, Err(error));
            }
        }
    }

    /// The record of a run, as its process has written it.
    pub(crate) fn record_of(&self, id: RunId) -> Option<Record> {
        let run = self.runs.get(&id)?;
        // Once it has been reaped its pid may be another's: no process started at 0.
        let leader = self.by_pid.get(&run.leader).filter(|owner| **owner == id);
        let start = leader.and_then(|_| proc::stat(run.leader));
        Some(Record {
            run: id,
            service: run.service.clone(),
            role: run.role,
            pid: run.leader,
            start: start.map_or(0, |stat| stat.start),
            boot_id: self.boot_id.clone(),
            cgroup: self.group_of(run).map(|group| group.dir().to_owned()),
            pipe: run.pipe,
            cookie: sweep::cookie(id),
            stop_signal: run.stop_signal,
            stop_timeout_ms: run.stop_timeout_ms,
            gap_told: self.ending.is_some(),
        })
    }

    /// True: control needs another one.
    fn listener_again(&mut self, look: &mut Look) -> bool {
        if self.listener.is_in_place() || self.ending.is_some() {
            return false;
        }
        let path = self.config.control_socket.clone();
        let bound = Listener::bind(&path).map(|listener| {
            self.listener = listener;
            self.control.liveness.listener_changed();
        });
        let done = bound.is_ok();
        look.note(&path, bound);
        done
    }
}
