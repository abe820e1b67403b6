//! What the keeper holds at known paths: locks, records of runs, control socket, notify sockets. An
//! administrator may clean `/run`, or restore a state directory over the present one. The keeper
//! makes missing files again and reports them.
//!
//! The keeper looks shortly after `removals` has reported a removal (a removal of a whole directory
//! is mostly complete by then), on SIGHUP, and when a run could not write its record. The control
//! process gets a new control socket and new locks with [`Notice::MadeAgain`].
//!
//! Limits: a file that cannot be made is tried again every [`AGAIN_MS`]; a record that is removed
//! alone is written again with the next look, whatever causes that look.

use std::{
    io,
    os::fd::{OwnedFd, RawFd},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::now_ms,
    inheritance::{Inherited, Keeping},
    kit::Kit,
    listener::{Listener, SavedListener},
    lock::{Locks, SavedLocks},
    message::Notice,
    record::Records,
    removals::{Of, Watch},
    runs::Runs,
    stderr_log::{error, warning},
    timers::Timer,
};

/// Time from the first sign of a removal to the look.
const LOOK_MS: u64 = 50;
/// Time to the next attempt after one that failed.
const AGAIN_MS: u64 = 5000;

/// The keeper's directories, watched.
#[derive(Debug)]
pub(crate) struct Places {
    locks: Locks,
    listener: Listener,
    watches: Vec<Watch>,
    next: NextLook,
    /// Failures of the last look.
    failed: Vec<String>,
}

impl Places {
    /// Watches nothing yet.
    pub(crate) fn new(locks: Locks, listener: Listener) -> Self {
        Self {
            locks,
            listener,
            watches: Vec::new(),
            next: NextLook::default(),
            failed: Vec::new(),
        }
    }

    /// Watches the directories as they are now.
    pub(crate) fn watch(&mut self, kit: &Kit) {
        for watch in std::mem::take(&mut self.watches) {
            kit.removals.unwatch(watch);
        }
        let (run_dir, state_dir) = (&kit.config.run_dir, &kit.config.state_dir);
        let above = run_dir.parent().unwrap_or(run_dir);
        self.watches = [
            (above, Of::Itself),
            (run_dir, Of::Entries),
            (kit.files.dir(), Of::Itself),
            (state_dir, Of::Deletions),
        ]
        .into_iter()
        .filter_map(|(dir, of)| kit.removals.watch(dir, of))
        .collect();
    }

    /// Descriptor numbers of the locks, for a child.
    pub(crate) fn lock_fds(&self) -> Vec<RawFd> {
        self.locks.fds().into_iter().collect()
    }

    /// The listening control socket.
    pub(crate) const fn listener(&self) -> &Listener {
        &self.listener
    }
}

/// Locks and control socket for the next image of this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedPlaces {
    locks: SavedLocks,
    listener: SavedListener,
}

impl Places {
    /// For the next image of this process.
    pub(crate) fn saved<'a>(&'a self, keeping: &mut Keeping<'a>) -> SavedPlaces {
        SavedPlaces {
            locks: self.locks.saved(keeping),
            listener: self.listener.saved(keeping),
        }
    }

    /// As an earlier image of this process had them; watches nothing yet.
    pub(crate) fn resume(saved: SavedPlaces, inherited: &mut Inherited) -> io::Result<Self> {
        Ok(Self::new(
            Locks::resume(saved.locks, inherited)?,
            Listener::resume(saved.listener, inherited)?,
        ))
    }

    /// Has the next turn look for what was removed while nothing was watched.
    pub(crate) fn look_soon(&mut self, kit: &mut Kit) {
        self.look_within(kit, 0);
    }
}

/// When the next look is due.
#[derive(Debug, Default)]
struct NextLook {
    at: Option<u64>,
}

impl NextLook {
    /// Notes that a look begins, for whatever reason.
    fn begins(&mut self, now: u64) {
        self.at.take_if(|at| *at <= now);
    }

    /// Schedules a look at this moment at the latest. True: the caller has to set a timer.
    fn by(&mut self, at: u64) -> bool {
        let sooner = self.at.is_none_or(|known| at < known);
        if sooner {
            self.at = Some(at);
        }
        sooner
    }
}

/// Result of one look.
#[derive(Default)]
struct CheckResult {
    made: Vec<PathBuf>,
    failed: Vec<String>,
}

impl CheckResult {
    fn note(&mut self, path: &Path, outcome: io::Result<()>) {
        match outcome {
            Ok(()) => self.made.push(path.to_owned()),
            Err(error) => self.failed.push(format!("{}: {error}", path.display())),
        }
    }
}

/// What the control process has to learn from a look.
#[derive(Debug)]
pub(crate) struct MadeAgain {
    paths: Vec<PathBuf>,
    listener: bool,
    locks: bool,
}

impl Places {
    /// Handles the report that something may have been removed.
    pub(crate) fn removal_told(&mut self, kit: &mut Kit) {
        kit.removals.drain();
        self.look_within(kit, LOOK_MS);
    }

    fn look_within(&mut self, kit: &mut Kit, pause_ms: u64) {
        let at = now_ms() + pause_ms;
        if self.next.by(at) {
            kit.timers.add(at, Timer::Look);
        }
    }

    /// Makes missing files again. None: nothing was made.
    pub(crate) fn look(&mut self, kit: &mut Kit, runs: &mut Runs) -> Option<MadeAgain> {
        self.next.begins(now_ms());
        let mut look = CheckResult::default();
        let locks = self.locks_again(&mut look);
        records_again(kit, runs, &mut look);
        let listener = self.listener_again(kit, &mut look);
        if !look.made.is_empty() {
            self.watch(kit);
        }
        runs.check_notify_sockets(kit);
        for path in &look.made {
            warning!("{} was removed or replaced: made again", path.display());
        }
        for what in &look.failed {
            // Only the first failed attempt is reported.
            if !self.failed.contains(what) {
                error!("could not make again what was removed: {what}; tries again");
            }
        }
        if !look.failed.is_empty() {
            self.look_within(kit, AGAIN_MS);
        }
        self.failed = look.failed;
        let paths = look.made;
        (!paths.is_empty()).then_some(MadeAgain {
            paths,
            listener,
            locks,
        })
    }

    /// The notice of a look, with the descriptors that go with it.
    pub(crate) fn notice(&self, made: &MadeAgain) -> io::Result<(Notice, Vec<OwnedFd>)> {
        let mut fds = Vec::new();
        if made.listener {
            fds.push(self.listener.duplicate()?);
        }
        if made.locks {
            fds.extend(self.locks.duplicates()?);
        }
        let notice = Notice::MadeAgain {
            paths: made.paths.clone(),
            listener: made.listener,
            locks: made.locks,
        };
        Ok((notice, fds))
    }

    /// Takes locks again whose files have gone. True: the control process needs the new locks.
    fn locks_again(&mut self, look: &mut CheckResult) -> bool {
        let taken = self.locks.take_again();
        let some = taken.iter().any(|(_, outcome)| outcome.is_ok());
        for (path, outcome) in taken {
            look.note(&path, outcome);
        }
        some
    }

    /// Binds the control socket again if its file has gone. True: the control process needs the new
    /// socket.
    fn listener_again(&mut self, kit: &Kit, look: &mut CheckResult) -> bool {
        if self.listener.is_in_place() || kit.is_shutting_down() {
            return false;
        }
        let path = &kit.config.control_socket;
        let bound = Listener::bind(path).map(|listener| {
            // The control process has the old socket open too, so a close alone would not unwatch
            // it.
            kit.poller.unwatch(&self.listener);
            self.listener = listener;
        });
        let done = bound.is_ok();
        look.note(path, bound);
        done
    }
}

impl MadeAgain {
    /// Whether the listening socket is new.
    pub(crate) const fn has_listener(&self) -> bool {
        self.listener
    }
}

/// Writes missing records of all runs that have processes left.
fn records_again(kit: &Kit, runs: &Runs, look: &mut CheckResult) {
    if !kit.files.are_in_place() {
        let made = Records::open(&kit.config.run_dir).map(drop);
        look.note(kit.files.dir(), made);
    }
    for id in kit.files.missing(runs.unswept().into_iter()) {
        let Some(record) = runs.record_of(kit, id) else {
            continue;
        };
        if let Err(error) = kit.files.write(&record) {
            let path = kit.files.dir().join(id.to_string());
            look.note(&path, Err(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_reasons_to_look_later_the_earliest_sets_the_one_timer() {
        let mut next = NextLook::default();
        assert!(next.by(5000));
        // Each run that cannot write its record, and each signal, makes a look, which fails.
        for now in 1..100 {
            next.begins(now);
            assert!(!next.by(now + 5000), "one more timer");
        }
        assert!(next.by(150), "a removal is not left until then");
        next.begins(150);
        assert!(next.by(5150));
    }
}
