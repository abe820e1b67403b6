//! The transitions that lead down: asking, killing, sweeping, and what follows.

use alloc::borrow::ToOwned;

use crate::{
    effect::Effect,
    event::{Exit, Failure},
    machine::World,
    service::Service,
    spec::Stop,
    state::{State, StopCause, StopPhase, Up},
};

impl Service {
    pub(crate) fn stop_policy(&self) -> Stop {
        self.rec.stop.unwrap_or(self.spec.stop)
    }

    /// The signal that asks the present run to end for this reason.
    pub(crate) fn stop_signal(&self, cause: StopCause) -> i32 {
        match (cause, &self.spec.watchdog) {
            (StopCause::Watchdog, Some(watchdog)) => watchdog.signal,
            (
                StopCause::Asked
                | StopCause::Exited
                | StopCause::ReadyTimeout
                | StopCause::Liveness
                | StopCause::Watchdog,
                _,
            ) => self.stop_policy().signal,
        }
    }

    /// It is to go down and nothing has to stop before it.
    pub(crate) fn stop_if_pulled(&mut self, w: &mut World<'_>) {
        if w.pulled && w.may_stop {
            self.ask(w, StopCause::Asked);
        }
    }

    /// Sends the stop signal; SIGKILL follows at the deadline.
    pub(crate) fn ask(&mut self, w: &mut World<'_>, cause: StopCause) {
        let (State::Starting { run, .. }
        | State::Running { up: Up { run, .. } }
        | State::Reloading {
            up: Up { run, .. }, ..
        }) = self.rec.state
        else {
            return;
        };
        self.drop_reload(w);
        let signal = self.stop_signal(cause);
        let phase = StopPhase::Asked {
            kill_at: w.now.after(self.stop_policy().timeout_ms),
        };
        self.rec.state = State::Stopping { run, phase, cause };
        w.out.push(Effect::Signal {
            service: self.id,
            run,
            signal,
            stop: true,
        });
    }

    /// Sends SIGKILL; from here on only the kernel can delay the end. Also ends a validator.
    pub(crate) fn kill(&mut self, w: &mut World<'_>) {
        self.drop_reload(w);
        let (run, cause) = match self.rec.state {
            State::Stopping { run, cause, .. } => (run, cause),
            State::Spawning { run, .. }
            | State::Starting { run, .. }
            | State::Running { up: Up { run, .. } }
            | State::Reloading {
                up: Up { run, .. }, ..
            } => (run, StopCause::Asked),
            State::Stopped
            | State::Waiting { .. }
            | State::Backoff { .. }
            | State::Failed { .. }
            | State::Completed => return,
        };
        self.rec.state = State::Stopping {
            run,
            phase: StopPhase::Killed,
            cause,
        };
        w.out.push(Effect::Kill {
            service: self.id,
            run,
        });
    }

    /// A reload command or validator must not outlive the run that it is about.
    fn drop_reload(&mut self, w: &mut World<'_>) {
        self.rec.reload_queued = false;
        if let State::Reloading { helper, .. } = &mut self.rec.state
            && let Some(run) = helper.take()
        {
            self.rec.validator = None;
            w.out.push(Effect::Kill {
                service: self.id,
                run,
            });
        }
    }

    pub(crate) fn tick_asked(&mut self, w: &mut World<'_>) {
        if self.deadline().is_some_and(|at| at <= w.now) {
            self.kill(w);
        }
    }

    /// More time for what it is doing now; never less than it had.
    pub(crate) fn extend(&mut self, w: &World<'_>, ms: u64) {
        let at = w.now.after(ms);
        match &mut self.rec.state {
            State::Starting {
                ready_by: Some(until),
                ..
            }
            | State::Reloading {
                until: Some(until), ..
            }
            | State::Stopping {
                phase: StopPhase::Asked { kill_at: until },
                ..
            } => {
                *until = at.max(*until);
            }
            _ => {}
        }
    }

    /// The main process has ended though nobody asked.
    pub(crate) fn died(&mut self, w: &mut World<'_>, exit: Exit) {
        let Some(run) = self.rec.main_run() else {
            return;
        };
        self.count_death(w.now);
        self.drop_reload(w);
        let phase = StopPhase::Killed;
        self.rec.state = State::Stopping {
            run,
            phase,
            cause: StopCause::Exited,
        };
        self.sweep(w, exit);
    }

    /// The main process is gone. The keeper sweeps by itself and will say so.
    pub(crate) fn sweep(&mut self, w: &World<'_>, exit: Exit) {
        if let State::Stopping { phase, run, .. } = &mut self.rec.state {
            *phase = StopPhase::Sweep { exit };
            if self.rec.validator != Some(*run) {
                self.rec.last_exit = Some((exit, w.now));
            }
        }
    }

    /// Nobody knows of a run that was up: it ended unseen.
    pub(crate) fn vanished(&mut self, w: &mut World<'_>, reason: &str) {
        let Some(run) = self.rec.main_run() else {
            return;
        };
        self.count_death(w.now);
        self.drop_reload(w);
        reason.clone_into(&mut self.rec.detail);
        let phase = StopPhase::Killed;
        self.rec.state = State::Stopping {
            run,
            phase,
            cause: StopCause::Exited,
        };
        self.down(w, 0);
    }

    /// The run is over and swept: what now?
    pub(crate) fn down(&mut self, w: &mut World<'_>, left: u32) {
        let State::Stopping { run, phase, cause } = self.rec.state else {
            return;
        };
        self.rec.validator = None;
        self.rec.stop = None;
        let exit = match phase {
            StopPhase::Sweep { exit } => Some(exit),
            StopPhase::Asked { .. } | StopPhase::Killed => None,
        };
        if left > 0 {
            self.rec.unswept = Some(run);
            self.rec.left = left;
            self.rec.bounce = false;
            self.rec.state = State::Failed {
                reason: Failure::Leftovers(left),
            };
        } else if w.pulled || cause == StopCause::Asked {
            self.seek(w);
        } else {
            self.after_death(w, cause, exit);
        }
    }
}
