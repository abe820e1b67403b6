//! How the keeper ends: because control says that all is stopped, or, when no control process sees to that
//! after SIGTERM, after it has stopped all runs by itself, newest first.
//!
//! From SIGTERM on the end is bounded, whatever the control process does. Half of [`DESERTED_MS`] after the
//! signal the control process is asked whether it is there. If by [`DESERTED_MS`] none has taken over and answered,
//! or if a later one is lost before it has proven itself, the keeper does it alone. One that answers is let go on
//! for as long as an orderly stop can take, even if one service after the other needed all of its time and its
//! sweep, and again whenever fewer runs are left than before. Alone, each run gets its own stop signal and time,
//! and after SIGKILL that of a sweep. Time in which the keeper itself did not run is not the control process's.

use std::{collections::BTreeSet, os::fd::AsFd};

use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{
    clock::now_ms,
    keeper::Keeper,
    message::{Role, RunId},
    run::Run,
    say::say,
    stderr,
    sys::{pidfd, wait},
    timers::Timer,
};

/// Asked to stop, control has this long to take over and answer before the keeper stops all by itself.
pub(crate) const DESERTED_MS: u64 = 10_000;
/// Our own clock is heard so late only after we did not run.
const LATE_MS: u64 = 1000;
/// For the control process to end by itself after `Quit`.
const LAST_MS: u16 = 1000;
/// Sweeps take this long at most (`sweep::GIVE_UP_MS` and a little).
const SWEEPS_MS: u64 = 6000;
/// Exit code of a keeper that had to do it alone.
const ALONE: u8 = 1;

/// All is ending.
#[derive(Debug)]
pub(crate) struct Ending {
    code: u8,
    /// Control has gone for good, so runs are asked first, one by one.
    alone: bool,
    /// The run being stopped.
    stopping: Option<Stopping>,
    /// Since when the last sweeps are waited for.
    last_ms: Option<u64>,
}

/// One run that is being stopped.
#[derive(Clone, Copy, Debug)]
struct Stopping {
    run: RunId,
    /// The second signal and its time, until that has come.
    escalate: Option<(i32, u64)>,
    /// When it is killed; never again.
    kill_at: u64,
}

impl Stopping {
    /// When something is to be done about it.
    fn next_at(&self) -> u64 {
        let escalate_at = self.escalate.map(|(_, at)| at);
        escalate_at.map_or(self.kill_at, |at| at.min(self.kill_at))
    }
}

/// A paused process must be woken to hear it.
fn ask(run: &Run, signal: i32) {
    let _ = pidfd::signal(&run.pidfd, signal);
    let _ = pidfd::signal(&run.pidfd, libc::SIGCONT);
}

/// SIGTERM has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    at: u64,
    /// When control was asked whether it is there.
    asked_at: Option<u64>,
    /// It was, and has until then, with so many runs left.
    orderly: Option<(u64, usize)>,
}

impl Ending {
    /// Control says that all has been stopped.
    pub(crate) fn asked(code: u8) -> Self {
        Self {
            code,
            alone: false,
            stopping: None,
            last_ms: None,
        }
    }

    /// There is no control process to stop anything.
    pub(crate) fn alone() -> Self {
        Self {
            code: ALONE,
            alone: true,
            stopping: None,
            last_ms: None,
        }
    }
}

impl Keeper {
    /// SIGTERM, or what means the same.
    pub(crate) fn asked_to_stop(&mut self) {
        if self.term.is_some() {
            return;
        }
        let at = now_ms();
        self.term = Some(Term {
            at,
            asked_at: None,
            orderly: None,
        });
        self.timers.add(at + DESERTED_MS / 2, Timer::Deserted);
    }

    /// The time in which a control process has to show that it is there is over.
    pub(crate) fn is_past_patience(&self) -> bool {
        let over = |term: Term| now_ms() >= term.at + DESERTED_MS;
        self.term.is_some_and(over)
    }

    /// Some time after SIGTERM: is somebody there who does it?
    pub(crate) fn deserted(&mut self) {
        let Some(term) = self.term.filter(|_| self.ending.is_none()) else {
            return;
        };
        let Some(asked_at) = term.asked_at else {
            self.ask_whether_there();
            let asked_at = now_ms();
            self.set_term(Term {
                asked_at: Some(asked_at),
                ..term
            });
            self.timers.add(asked_at + DESERTED_MS / 2, Timer::Deserted);
            return;
        };
        let left = self.living().len();
        match term.orderly {
            None if !self.control.has_answered_since(asked_at) => {
                self.stop_alone_because("no control process has taken over and answers");
            }
            Some((until, before)) if left >= before && now_ms() < until + LATE_MS => {
                self.stop_alone_because("the control process answers, but does not come to an end");
            }
            _ => {
                let until = now_ms() + self.orderly_stop_ms();
                self.set_term(Term {
                    orderly: Some((until, left)),
                    ..term
                });
                self.timers.add(until, Timer::Deserted);
            }
        }
    }

    fn set_term(&mut self, term: Term) {
        self.term = Some(term);
    }

    /// What an orderly stop takes at most: one run after the other, each with all of its time.
    fn orderly_stop_ms(&self) -> u64 {
        let mains = self
            .runs
            .values()
            .filter(|run| run.lives() && run.role == Role::Main);
        let each = mains.map(|run| run.stop_time_ms() + SWEEPS_MS);
        each.sum::<u64>() + SWEEPS_MS
    }

    /// Nobody else will.
    pub(crate) fn stop_alone_because(&mut self, why: &str) {
        say!("{why}; stops all runs by itself");
        self.end(Ending::alone());
    }

    /// Begins to end; the first reason counts.
    pub(crate) fn end(&mut self, ending: Ending) {
        if self.ending.is_some() {
            return;
        }
        let alone = ending.alone;
        self.ending = Some(ending);
        self.end_compressor();
        self.inbox.clear();
        self.give_up_successor("is not needed: all is ending");
        if alone {
            if let Some(pid) = self.control.pid {
                let _ = pidfd::kill(pid, libc::SIGKILL);
            }
        } else {
            // Closing our side tells the control process that its last word has been heard.
            if let Some(mut link) = self.control.link.take() {
                let _ = link.flush();
                self.unwatch(&link);
            }
            let left: Vec<RunId> = self.living();
            for run in left {
                say!("run {run} was not stopped; kills it");
                self.kill_tree(run);
            }
        }
        self.timers.add(now_ms(), Timer::Ending);
    }

    fn living(&self) -> Vec<RunId> {
        let runs = self.runs.values();
        let living = runs.filter(|run| run.lives() && !run.is_given_up());
        living.map(|run| run.id).collect()
    }

    /// Goes on with the end.
    pub(crate) fn ending_step(&mut self) {
        let now = now_ms();
        let Some(ending) = &mut self.ending else {
            return;
        };
        let Some(stopping) = &mut ending.stopping else {
            return;
        };
        let id = stopping.run;
        if let Some((signal, at)) = stopping.escalate
            && now >= at
        {
            stopping.escalate = None;
            let _ = self.runs.get(&id).map(|run| ask(run, signal));
        }
        if now < stopping.kill_at {
            self.timers.add(stopping.next_at(), Timer::Ending);
            return;
        }
        stopping.kill_at = u64::MAX;
        if self.runs.get(&id).is_some_and(|run| run.lives()) {
            say!("run {id} did not stop in time; kills it");
            self.kill_tree(id);
        }
    }

    /// The exit code, once all is done. Looked at after every turn.
    pub(crate) fn ended(&mut self) -> Option<u8> {
        let ending = self.ending.as_ref()?;
        let (code, alone) = (ending.code, ending.alone);
        if let Some(stopping) = ending.stopping {
            let over = self.runs.get(&stopping.run).is_none_or(|run| run.is_over());
            if !over {
                return None;
            }
        }
        if alone && let Some(next) = self.living().into_iter().next_back() {
            self.stop_alone(next);
            return None;
        }
        if self.runs.values().all(|run| run.is_over()) {
            return Some(code);
        }
        let now = now_ms();
        let until = *self.ending.as_mut()?.last_ms.get_or_insert(now) + SWEEPS_MS;
        if now >= until {
            return Some(code);
        }
        self.timers.add(until, Timer::Ending);
        None
    }

    fn stop_alone(&mut self, id: RunId) {
        self.see_descendants(id);
        let Some(run) = self.runs.get(&id) else {
            return;
        };
        let (now, stop) = (now_ms(), run.stop);
        let mut stopping = Stopping {
            run: id,
            escalate: stop.escalation.map(|it| (it.signal, now + it.after_ms)),
            kill_at: now + stop.timeout_ms,
        };
        if run.role == Role::Helper {
            (stopping.escalate, stopping.kill_at) = (None, u64::MAX);
            self.kill_tree(id);
        } else {
            say!("{}: stops run {id} (pid {})", run.service, run.main);
            ask(run, stop.signal);
            self.timers.add(stopping.next_at(), Timer::Ending);
        }
        if let Some(ending) = &mut self.ending {
            ending.stopping = Some(stopping);
        }
    }

    /// What is left keeps its record, for the next keeper.
    fn end_records(&self) {
        let unswept = self.runs.values().filter(|run| !run.swept);
        let unswept: BTreeSet<RunId> = unswept.map(|run| run.id).collect();
        if !unswept.is_empty() {
            say!(
                "ends with {} runs of which something is left",
                unswept.len()
            );
        }
        for id in &unswept {
            let _ = self.record_of(*id).map(|record| self.files.write(&record));
        }
        let kept = unswept.into_iter().chain(self.leftovers.runs());
        self.files.clear(&kept.collect());
    }

    /// Leaves nothing behind and ends, while the control process ends by itself.
    pub(crate) fn close(self, code: u8) -> ! {
        self.end_records();
        self.listener.remove();
        self.notify.remove();
        if let Some(groups) = &self.cgroups {
            groups.tear_down();
        }
        self.log.stop();
        if let Some(pid) = self.control.pid {
            if let Ok(control) = pidfd::open(pid) {
                let mut polled = [PollFd::new(control.as_fd(), PollFlags::POLLIN)];
                let _ = poll(&mut polled, PollTimeout::from(LAST_MS));
            }
            let _ = pidfd::kill(pid, libc::SIGKILL);
            // Gone in no time: reaped, so that its lock and group are free.
            let end = now_ms() + u64::from(LAST_MS);
            while matches!(wait::reap(pid), Ok(None)) && now_ms() < end {
                let _ = poll(&mut [], PollTimeout::from(1_u8));
            }
        }
        stderr::flush();
        // Nothing is taken apart: the kernel does it all at once.
        std::process::exit(code.into())
    }
}
