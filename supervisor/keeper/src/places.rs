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
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use nix::errno::Errno;
use safe_path::Dir;

use crate::{
    clock::now_ms,
    control::tell,
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
    /// When the next look is due.
    look_at: Option<u64>,
    /// What could not be made at the last look.
    failed: Vec<String>,
}

impl Places {
    /// Watches nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            removals: Removals::new(),
            watches: Vec::new(),
            look_at: None,
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

    /// A look begins, for whatever reason.
    fn looks(&mut self, now: u64) {
        self.look_at.take_if(|at| *at <= now);
    }

    /// There is to be a look at this moment at the latest. True: a timer has to be set.
    fn look_by(&mut self, at: u64) -> bool {
        let sooner = self.look_at.is_none_or(|known| at < known);
        if sooner {
            self.look_at = Some(at);
        }
        sooner
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

/// The name in this directory leads to the file of this device and inode, as far as can be seen.
pub(crate) fn leads_to(dir: &Path, name: &OsStr, file: (u64, u64)) -> bool {
    match Dir::open(dir).and_then(|dir| dir.stat(name)) {
        Ok(there) => there.is_some_and(|there| (there.dev(), there.ino()) == file),
        Err(error) => is_blind(&error),
    }
}

/// For want of descriptors or memory nothing can be seen, and nothing is taken for gone.
pub(crate) fn is_blind(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM))
}

impl Keeper {
    /// Something may have been removed.
    pub(crate) fn removal_told(&mut self) {
        self.places.removals.drain();
        self.look_within(LOOK_MS);
    }

    fn look_within(&mut self, pause_ms: u64) {
        let at = now_ms() + pause_ms;
        if self.places.look_by(at) {
            self.timers.add(at, Timer::Look);
        }
    }

    /// Makes what is missing. True: something was.
    pub(crate) fn look_at_places(&mut self) -> bool {
        self.places.looks(now_ms());
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
            self.look_within(AGAIN_MS);
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
            tell(&mut successor.link, &notice, fds);
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
            stop: run.stop,
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
            // The control process has it open too.
            self.unwatch(&self.listener);
            self.listener = listener;
            self.control.liveness.listener_changed();
        });
        let done = bound.is_ok();
        look.note(&path, bound);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_reasons_to_look_later_the_earliest_sets_the_one_timer() {
        let mut places = Places::new();
        assert!(places.look_by(5000));
        // Runs that cannot write their record, and signals: each of them looks, and fails.
        for now in 1..100 {
            places.looks(now);
            assert!(!places.look_by(now + 5000), "one more timer");
        }
        assert!(places.look_by(150), "a removal is not left until then");
        places.looks(150);
        assert!(places.look_by(5150));
    }

    #[test]
    fn what_cannot_be_looked_for_is_not_taken_for_gone() {
        let dir = tempfile::tempdir().unwrap();
        let name = OsStr::new("lock");
        assert!(!leads_to(dir.path(), name, (0, 0)));
        assert!(!leads_to(&dir.path().join("none"), name, (0, 0)));
        let file = std::fs::File::create(dir.path().join(name)).unwrap();
        let meta = file.metadata().unwrap();
        assert!(leads_to(dir.path(), name, (meta.dev(), meta.ino())));
        let error = |errno: Errno| io::Error::from(errno);
        assert!(is_blind(&error(Errno::EMFILE)));
        assert!(!is_blind(&error(Errno::ENOENT)));
    }
}
