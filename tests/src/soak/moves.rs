//! Kills and faults against the daemon. Most moves wait until the daemon answers again; a daemon
//! that does not come back ends the campaign with [`Abandoned`].

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{
    checks::Checks,
    clients::Gate,
    dice::Dice,
    disk::Disk,
    promise::Promise,
    report::Findings,
    services::{KEPT, OBEDIENT, Services},
    subject::{LIMIT, Subject, is_control},
    watch,
};
use crate::{
    processes::{alive, kill},
    wait,
};

/// A killed process is gone within this time.
const DYING: Duration = Duration::from_secs(1);

/// Part of the warning in `ctl status` about holds that are on no disk.
const UNSTORED: &str = "will not survive a restart";

/// The daemon did not come back: the site is of no further use.
#[derive(Debug)]
pub(super) struct Abandoned;

/// A kill or a fault against the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    KillControl,
    KillKeeper,
    KillBoth,
    StopControl,
    StopKeeper,
    StopAll,
    FillDisk,
    RemoveRunDirectory,
}

/// Moves that are no kills, in the order in which [`super::Attack::Faults`] makes them.
pub(super) const FAULTS: [Move; 5] = [
    Move::StopControl,
    Move::StopKeeper,
    Move::StopAll,
    Move::FillDisk,
    Move::RemoveRunDirectory,
];

impl Move {
    /// Plural name of the move, for the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::KillControl => "kills of control",
            Self::KillKeeper => "kills of the keeper",
            Self::KillBoth => "kills of both",
            Self::StopControl => "stops of control",
            Self::StopKeeper => "stops of the keeper",
            Self::StopAll => "stops of both",
            Self::FillDisk => "full disks",
            Self::RemoveRunDirectory => "removals of the run directory",
        }
    }

    /// Picks a move with the weights of a mixed soak.
    pub(super) fn throw(dice: &mut Dice, with_disk: bool) -> Self {
        match dice.between(0, 99) {
            0..60 => Self::KillControl,
            60..70 => Self::KillKeeper,
            70..80 => Self::KillBoth,
            80..96 => *dice.pick(&[Self::StopControl, Self::StopKeeper, Self::StopAll]),
            96..98 if with_disk => Self::FillDisk,
            _ => Self::RemoveRunDirectory,
        }
    }
}

/// Makes the moves of an attack.
pub(super) struct Mover<'a> {
    pub(super) subject: &'a Subject,
    pub(super) services: &'a Services,
    pub(super) found: &'a Findings,
    pub(super) gate: &'a Gate,
    pub(super) disk: Option<&'a Disk>,
    pub(super) dice: Dice,
}

impl Mover<'_> {
    pub(super) fn make(&mut self, which: Move) -> Result<(), Abandoned> {
        if which == Move::FillDisk && self.disk.is_none() {
            return Ok(());
        }
        self.found.moved(which.name());
        match which {
            Move::KillControl => self.kill_control(),
            Move::KillKeeper => self.kill_keeper(),
            Move::KillBoth => self.kill_both(),
            Move::StopControl | Move::StopKeeper | Move::StopAll => self.stop(which),
            Move::FillDisk => self.fill_disk(),
            Move::RemoveRunDirectory => self.remove_run_directory(),
        }
    }

    /// Runs a checkpoint; its failure abandons the site.
    pub(super) fn check(&self, checks: &mut Checks<'_>) -> Result<(), Abandoned> {
        checks.checkpoint().map_err(|why| self.abandon(&why))
    }

    /// Mostly waits until the new control process answers. Otherwise the next move may hit a
    /// control process that has not taken over yet.
    fn kill_control(&mut self) -> Result<(), Abandoned> {
        let control = self.subject.wait_control();
        let control = control.ok_or_else(|| self.abandon("there is no control process"))?;
        let killed = Instant::now();
        kill(control, Signal::SIGKILL);
        if self.dice.percent(80) {
            if self.subject.status().is_none() {
                return Err(self.abandon("there is no status after a kill of control"));
            }
            self.found.returned(killed.elapsed());
        }
        self.pause(150);
        Ok(())
    }

    fn kill_keeper(&mut self) -> Result<(), Abandoned> {
        let control = self.subject.wait_control();
        self.subject.kill_keeper(None);
        if self.dice.percent(50) {
            let gone = wait::within(LIMIT, || control.is_none_or(|it| !alive(it)).then_some(()));
            if gone.is_none() {
                let detail = format!("control {control:?} has not ended after the keeper's death");
                return Err(self.abandon(&detail));
            }
            self.expect_nothing_left("control has ended after the keeper's death");
        }
        self.start_again()
    }

    fn kill_both(&mut self) -> Result<(), Abandoned> {
        let control = self.subject.wait_control();
        self.subject.kill_keeper(control);
        self.start_again()
    }

    /// Sends SIGSTOP and, after a while, SIGCONT.
    fn stop(&mut self, which: Move) -> Result<(), Abandoned> {
        let control = self.subject.wait_control();
        let keeper = (which != Move::StopControl).then(|| self.subject.keeper_pid());
        let control = control.filter(|_| which != Move::StopKeeper);
        let stopped: Vec<i32> = keeper.into_iter().chain(control).collect();
        for pid in &stopped {
            kill(*pid, Signal::SIGSTOP);
        }
        // Half of the pauses are short, half are longer than a watchdog's timeout.
        if self.dice.percent(50) {
            self.pause(300);
        } else {
            self.pause_between(2300, 3500);
        }
        for pid in stopped {
            // A control process that did not answer may have been replaced meanwhile.
            if pid == self.subject.keeper_pid() || is_control(pid) {
                kill(pid, Signal::SIGCONT);
            }
        }
        self.wait_back(Instant::now())
    }

    /// Leaves no room for logs and state for a while. A service stopped meanwhile stays held over a
    /// kill of both processes, once the warning about unstored holds is gone.
    fn fill_disk(&mut self) -> Result<(), Abandoned> {
        let Some(disk) = self.disk else {
            return Ok(());
        };
        // No client operates meanwhile: a hold stored by a client would store this hold too.
        let gate = self.gate;
        let _alone = gate.alone();
        let filled = disk.fill();
        self.pause(500);
        let stopped = self.subject.ctl(&["stop", KEPT]).done();
        self.pause(500);
        if let Err(error) = filled.and_then(|()| disk.clear()) {
            return Err(self.abandon(&format!("cannot fill the disk: {error}")));
        }
        // Other warnings do not count: `ctl status` may always warn of strays and lost lines.
        let stored = || {
            let warnings = self.warnings()?;
            (!warnings.iter().any(|it| it.contains(UNSTORED))).then_some(())
        };
        if stopped && wait::within(LIMIT, stored).is_none() {
            let warnings = self.warnings();
            let detail = format!(
                "there is room again, and {LIMIT:?} later the hold is not stored: {warnings:?}"
            );
            self.found.broken(Promise::HoldsKept, 1, detail);
        }
        // The logs of silent services are retried once a second.
        self.pause_between(2000, 2500);
        self.kill_both()?;
        let held = self.subject.status().and_then(|status| {
            let mut services = status.services.into_iter();
            Some(services.find(|it| it.name == KEPT)?.held.is_some())
        });
        if stopped && held != Some(true) {
            let detail = format!(
                "{KEPT} was stopped while the disk was full, and is not held after a restart"
            );
            self.found.broken(Promise::HoldsKept, 1, detail);
        }
        self.subject.ctl(&["start", KEPT]);
        Ok(())
    }

    fn warnings(&self) -> Option<Vec<String>> {
        self.subject.status().map(|it| it.supervisor.warnings)
    }

    /// Removes the run directory. The daemon makes it again, and a second supervisor that is
    /// started meanwhile cannot take the root over.
    fn remove_run_directory(&mut self) -> Result<(), Abandoned> {
        let removed = Instant::now();
        self.remove(&self.subject.site.path("run/mattervisor"))?;
        let mut second = self.subject.site.spawn_supervisor();
        let ended = wait::within(LIMIT, || second.try_wait().ok().flatten());
        if ended.is_none_or(|status| status.success()) {
            let pid = second.id();
            let detail = format!(
                "the run directory was removed, and a second supervisor (pid {pid}) started"
            );
            self.found.broken(Promise::OneSupervisor, 1, detail);
            let _ = second.kill();
            let _ = second.wait();
            return Err(Abandoned);
        }
        self.wait_back(removed)
    }

    /// Renames the directory first, so that it is gone at once, whatever is made in it meanwhile.
    fn remove(&self, directory: &Path) -> Result<(), Abandoned> {
        let away = directory.with_extension("away");
        let moved = fs::rename(directory, &away);
        let removed = || fs::remove_dir_all(&away).ok();
        match moved {
            Ok(()) if wait::within(LIMIT, removed).is_some() => Ok(()),
            other => {
                let detail = format!("cannot remove {}: {other:?}", directory.display());
                Err(self.abandon(&detail))
            }
        }
    }

    fn start_again(&mut self) -> Result<(), Abandoned> {
        self.end_strays();
        let started = Instant::now();
        self.subject.start();
        self.wait_back(started)
    }

    /// Waits until the untouched services are up.
    fn wait_back(&self, since: Instant) -> Result<(), Abandoned> {
        let names: Vec<&str> = self.services.untouched.iter().map(String::as_str).collect();
        match self
            .subject
            .wait_for(&names, |it| it.ready && it.pid.is_some())
        {
            Ok(_) => {
                let after = since.elapsed();
                self.found.returned(after);
                if after >= OBEDIENT {
                    let detail =
                        format!("after {after:?}: as if who obeys a stop had been waited for");
                    self.found.broken(Promise::BackInTime, 1, detail);
                }
                Ok(())
            }
            Err(why) => Err(self.abandon(&why)),
        }
    }

    fn abandon(&self, why: &str) -> Abandoned {
        let detail = format!("{why}; last said: {}", self.subject.last_said());
        self.found.broken(Promise::BackInTime, 1, detail);
        Abandoned
    }

    /// Expects that no process of a service lives, strays apart. A survivor is reported and killed,
    /// so that no later check reports it again.
    pub(super) fn expect_nothing_left(&self, when: &str) {
        let left = || {
            let all = watch::processes(self.subject.root()).into_iter();
            all.filter(|it| !it.is_stray()).collect::<Vec<_>>()
        };
        let _ = wait::within(DYING, || left().is_empty().then_some(()));
        let left = left();
        if left.is_empty() {
            return;
        }
        let words = |it: &watch::Process| {
            let kind = it.kind.as_deref().unwrap_or("main process");
            format!("{kind} of {} (pid {})", it.service, it.pid)
        };
        for it in &left {
            kill(it.pid, Signal::SIGKILL);
        }
        let words: Vec<String> = left.iter().map(words).collect();
        let detail = format!("{when}: {}", words.join(", "));
        self.found
            .broken(Promise::NothingLeft, left.len() as u64, detail);
    }

    /// Kills the strays that a dead keeper has left: nobody can know of them any more.
    pub(super) fn end_strays(&self) {
        for it in watch::processes(self.subject.root()) {
            if it.is_stray() {
                kill(it.pid, Signal::SIGKILL);
            }
        }
    }

    fn pause(&mut self, most_ms: u64) {
        self.pause_between(0, most_ms);
    }

    fn pause_between(&mut self, least_ms: u64, most_ms: u64) {
        let pause = Duration::from_millis(self.dice.between(least_ms, most_ms));
        let _ = wait::within(pause, || None::<()>);
    }
}
