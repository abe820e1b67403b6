//! How the keeper ends: at the request of the control process, once that has stopped everything;
//! or, when no control process does so after SIGTERM, after the keeper has stopped all runs itself,
//! newest first.
//!
//! From SIGTERM on the end is bounded, whatever the control process does. Half of [`NO_CONTROL_MS`]
//! after the signal the keeper asks the control process for a sign of life. If by [`NO_CONTROL_MS`]
//! no control process has taken over and answered, or if a later one is lost before it has proven
//! itself, the keeper stops the runs alone. A control process that answers may continue for as long
//! as an orderly stop can take, even if one service after the other needs all of its time and its
//! sweep, and again whenever fewer runs are left than before. In a stop by the keeper alone, each
//! run gets its own stop signal and time, and after SIGKILL the time of a sweep. Time in which the
//! keeper itself did not run does not count against the control process.

use crate::{
    clock::now_ms,
    control::Control,
    kit::{Kit, Life, NO_CONTROL_MS},
    message::{Role, RunId},
    runs::Runs,
    stderr_log::warning,
    timers::Timer,
};

/// A timer that is later than this, in milliseconds, is late because the keeper did not run.
const LATE_MS: u64 = 1000;
/// Longest time of a sweep, in milliseconds: `sweep::GIVE_UP_MS` plus a margin.
const SWEEPS_MS: u64 = 6000;
/// Exit code of a keeper that had to stop the runs by itself.
const ALONE: u8 = 1;

/// How far the end of the daemon has come.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    term: Option<Term>,
    teardown: Option<Teardown>,
}

/// SIGTERM has come: when, and what became of the control process since.
#[derive(Clone, Copy, Debug)]
struct Term {
    at: u64,
    /// When control was asked whether it is there.
    asked_at: Option<u64>,
    /// Deadline of an orderly stop by a control process that answered, and the number of runs at
    /// that time.
    orderly: Option<(u64, usize)>,
}

/// The runs are being stopped, or their last sweeps are awaited; then the keeper exits.
#[derive(Debug)]
pub(crate) struct Teardown {
    code: u8,
    /// Whether the control process is gone for good, so that the keeper stops the runs one by one.
    alone: bool,
    /// The run being stopped.
    stopping: Option<Stopping>,
    /// When the wait for the last sweeps began.
    last_ms: Option<u64>,
}

/// One run that is being stopped.
#[derive(Clone, Copy, Debug)]
struct Stopping {
    run: RunId,
    /// The second signal and its time, until the signal has been sent.
    escalate: Option<(i32, u64)>,
    /// When the run is killed; `u64::MAX` once that is done.
    kill_at: u64,
}

impl Stopping {
    /// When the next step of this stop is due.
    fn next_at(&self) -> u64 {
        let escalate_at = self.escalate.map(|(_, at)| at);
        escalate_at.map_or(self.kill_at, |at| at.min(self.kill_at))
    }
}

impl Teardown {
    /// The control process reports that everything has been stopped.
    pub(crate) const fn asked(code: u8) -> Self {
        Self {
            code,
            alone: false,
            stopping: None,
            last_ms: None,
        }
    }

    /// No control process is left that could stop the runs.
    pub(crate) const fn alone() -> Self {
        Self {
            code: ALONE,
            alone: true,
            stopping: None,
            last_ms: None,
        }
    }
}

impl Shutdown {
    /// Handles SIGTERM, or a signal with the same meaning.
    pub(crate) fn asked(&mut self, kit: &mut Kit) {
        if self.term.is_some() {
            return;
        }
        let at = now_ms();
        self.term = Some(Term {
            at,
            asked_at: None,
            orderly: None,
        });
        if !kit.is_shutting_down() {
            kit.life = Life::AskedToStop;
        }
        kit.timers.add(at + NO_CONTROL_MS / 2, Timer::NoControl);
    }

    /// Whether the time in which a control process has to answer is over.
    pub(crate) fn is_past_patience(&self) -> bool {
        let over = |term: Term| now_ms() >= term.at + NO_CONTROL_MS;
        self.term.is_some_and(over)
    }

    /// Checks some time after SIGTERM whether a control process stops the runs. Some: none does, so
    /// the keeper has to, for this reason.
    pub(crate) fn no_control_due(
        &mut self,
        kit: &mut Kit,
        runs: &Runs,
        control: &mut Control,
    ) -> Option<&'static str> {
        let term = self.term.filter(|_| self.teardown.is_none())?;
        let Some(asked_at) = term.asked_at else {
            control.ask_whether_there();
            let asked_at = now_ms();
            self.term = Some(Term {
                asked_at: Some(asked_at),
                ..term
            });
            kit.timers
                .add(asked_at + NO_CONTROL_MS / 2, Timer::NoControl);
            return None;
        };
        let left = runs.living().len();
        match term.orderly {
            None if !control.has_answered_since(asked_at) => {
                Some("no control process has taken over and answers")
            }
            Some((until, before)) if left >= before && now_ms() < until + LATE_MS => {
                Some("the control process answers, but does not come to an end")
            }
            _ => {
                let until = now_ms() + orderly_stop_ms(runs);
                self.term = Some(Term {
                    orderly: Some((until, left)),
                    ..term
                });
                kit.timers.add(until, Timer::NoControl);
                None
            }
        }
    }

    /// Begins the end of the daemon; `teardown` says who stops the runs.
    pub(crate) fn begin(
        &mut self,
        kit: &mut Kit,
        runs: &mut Runs,
        control: &mut Control,
        teardown: Teardown,
    ) {
        let alone = teardown.alone;
        self.teardown = Some(teardown);
        if alone {
            control.kill();
        } else {
            control.close_link(kit);
            for run in runs.living() {
                warning!("run {run} was not stopped; kills it");
                runs.kill_tree(kit, run);
            }
        }
        kit.timers.add(now_ms(), Timer::Shutdown);
    }

    /// Continues the stop of the current run.
    pub(crate) fn step(&mut self, kit: &mut Kit, runs: &mut Runs) {
        let now = now_ms();
        let teardown = self.teardown.as_mut();
        let Some(stopping) = teardown.and_then(|it| it.stopping.as_mut()) else {
            return;
        };
        let id = stopping.run;
        if let Some((signal, at)) = stopping.escalate
            && now >= at
        {
            stopping.escalate = None;
            runs.ask_to_end(id, signal);
        }
        if now < stopping.kill_at {
            kit.timers.add(stopping.next_at(), Timer::Shutdown);
            return;
        }
        stopping.kill_at = u64::MAX;
        if runs.lives(id) {
            warning!("run {id} did not stop in time; kills it");
            runs.kill_tree(kit, id);
        }
    }

    /// The exit code, once everything is done. Called after every turn.
    pub(crate) fn code(&mut self, kit: &mut Kit, runs: &mut Runs) -> Option<u8> {
        let teardown = self.teardown.as_mut()?;
        if teardown.stopping.is_some_and(|it| !runs.is_over(it.run)) {
            return None;
        }
        if teardown.alone
            && let Some(next) = runs.living().into_iter().next_back()
        {
            teardown.stopping = Some(stop_alone(kit, runs, next)?);
            return None;
        }
        if runs.are_over() {
            return Some(teardown.code);
        }
        let now = now_ms();
        let until = *teardown.last_ms.get_or_insert(now) + SWEEPS_MS;
        if now >= until {
            return Some(teardown.code);
        }
        kit.timers.add(until, Timer::Shutdown);
        None
    }
}

/// Longest time of an orderly stop: one run after the other, each with all of its time.
fn orderly_stop_ms(runs: &Runs) -> u64 {
    let each = runs.stop_times_ms().map(|ms| ms + SWEEPS_MS);
    each.sum::<u64>() + SWEEPS_MS
}

fn stop_alone(kit: &mut Kit, runs: &mut Runs, run: RunId) -> Option<Stopping> {
    let (role, stop) = runs.stop_of(run)?;
    let now = now_ms();
    if role == Role::Helper {
        runs.kill_tree(kit, run);
        return Some(Stopping {
            run,
            escalate: None,
            kill_at: u64::MAX,
        });
    }
    let stopping = Stopping {
        run,
        escalate: stop.escalation.map(|it| (it.signal, now + it.after_ms)),
        kill_at: now + stop.timeout_ms,
    };
    runs.stop(run, stop.signal);
    kit.timers.add(stopping.next_at(), Timer::Shutdown);
    Some(stopping)
}
