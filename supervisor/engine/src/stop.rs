//! The transitions that lead down: the stop signal, SIGKILL, the sweep, and what follows.
//!
//! Each step has its deadline. A run is down only once the keeper has found none of its processes;
//! `leftovers` handles processes that SIGKILL does not end.

use run_model::{Exit, Stop};

use crate::{
    context::Context,
    detail::Detail,
    effect::{Effect, SignalPurpose},
    ended::End,
    ids::Moment,
    service::Service,
    state::{Kill, State, StopCause, StopPhase, StopTarget},
    up::Up,
};

/// Time after SIGKILL until a process that has not ended counts as leftover. Longer than the keeper
/// takes to find such a process and to report it.
pub(crate) const KILL_GRACE_MS: u64 = 7_000;

/// When SIGKILL follows a second signal that is sent at `escalate_at`: a postponed second signal
/// postpones SIGKILL by as much.
fn kill_at_of(stop: Stop, escalate_at: Moment) -> Moment {
    let after = stop.escalation.map_or(0, |it| it.after_ms);
    escalate_at.after(stop.timeout_ms.saturating_sub(after))
}

impl Service {
    pub(crate) fn stop_policy(&self) -> Stop {
        let terms = self.record.run_terms;
        terms.map_or(self.spec.stop, |it| it.stop)
    }

    /// The signal that asks the present run to end for this reason.
    pub(crate) fn stop_signal(&self, cause: StopCause) -> i32 {
        match (cause, &self.spec.watchdog) {
            (StopCause::Watchdog, Some(watchdog)) => watchdog.signal,
            (
                StopCause::Asked(_)
                | StopCause::Exited
                | StopCause::ReadyTimeout
                | StopCause::Liveness
                | StopCause::Watchdog
                | StopCause::Outlived,
                _,
            ) => self.stop_policy().signal,
        }
    }

    /// Stops the service if it must be down and no dependent has to stop first.
    pub(crate) fn stop_if_it_must_be_down(&mut self, ctx: &mut Context<'_>) {
        if ctx.must_be_down && ctx.may_stop {
            self.begin_stop(ctx, StopCause::Asked(ctx.order));
        }
    }

    /// Sends the stop signal; SIGKILL follows at the deadline.
    pub(crate) fn begin_stop(&mut self, ctx: &mut Context<'_>, cause: StopCause) {
        let (State::Starting { run, .. }
        | State::Running {
            up: Up { run, .. }, ..
        }
        | State::Reloading {
            up: Up { run, .. }, ..
        }) = self.record.state
        else {
            return;
        };
        self.drop_reload(ctx);
        let (signal, stop) = (self.stop_signal(cause), self.stop_policy());
        let escalation = stop.escalation.filter(|_| cause != StopCause::Watchdog);
        let phase = StopPhase::Asked {
            signal,
            escalate_at: escalation.map(|it| ctx.now.after(it.after_ms)),
            kill_at: ctx.now.after(stop.timeout_ms),
        };
        self.record.state = State::Stopping {
            run,
            target: StopTarget::Main,
            phase,
            cause,
            then_start: false,
        };
        ctx.out.push(Effect::Signal {
            service: self.id,
            run,
            signal,
            purpose: SignalPurpose::Stop,
        });
    }

    /// Requests SIGKILL; from here on only the kernel can delay the end. Also ends a validator.
    pub(crate) fn kill(&mut self, ctx: &mut Context<'_>, why: Kill) {
        self.drop_reload(ctx);
        let asked = StopCause::Asked(ctx.order);
        let (run, target, cause, then_start) = match self.record.state {
            State::Stopping {
                run,
                target,
                cause,
                then_start,
                ..
            } => (run, target, cause, then_start),
            State::Validating { run, .. } => (run, StopTarget::Validator, asked, false),
            State::Spawning { run, .. }
            | State::Starting { run, .. }
            | State::Running {
                up: Up { run, .. }, ..
            }
            | State::Reloading {
                up: Up { run, .. }, ..
            } => (run, StopTarget::Main, asked, false),
            State::Stopped
            | State::Waiting { .. }
            | State::Backoff { .. }
            | State::Failed { .. }
            | State::Completed => return,
        };
        let phase = StopPhase::Killed {
            give_up_at: ctx.now.after(KILL_GRACE_MS),
            why,
        };
        self.record.state = State::Stopping {
            run,
            target,
            phase,
            cause,
            then_start,
        };
        ctx.out.push(Effect::Kill {
            service: self.id,
            run,
        });
    }

    /// Sends the second signal, or requests SIGKILL.
    pub(crate) fn tick_asked(&mut self, ctx: &mut Context<'_>) {
        let stop = self.stop_policy();
        let State::Stopping {
            run,
            phase:
                StopPhase::Asked {
                    signal,
                    escalate_at,
                    kill_at,
                },
            ..
        } = &mut self.record.state
        else {
            return;
        };
        if ctx.is_over(kill_at, stop.timeout_ms) {
            self.kill(ctx, Kill::StopTimeout);
            return;
        }
        let (Some(at), Some(escalation)) = (escalate_at.as_mut(), stop.escalation) else {
            *escalate_at = None;
            return;
        };
        if !ctx.is_over(at, escalation.after_ms) {
            *kill_at = kill_at_of(stop, *at).max(*kill_at);
            return;
        }
        *escalate_at = None;
        *signal = escalation.signal;
        ctx.out.push(Effect::Signal {
            service: self.id,
            run: *run,
            signal: escalation.signal,
            purpose: SignalPurpose::Stop,
        });
    }

    /// SIGKILL has not ended the run in time: the run counts as leftover.
    pub(crate) fn tick_killed(&mut self, ctx: &mut Context<'_>) {
        if let State::Stopping {
            phase: StopPhase::Killed { give_up_at, .. },
            ..
        } = &mut self.record.state
            && ctx.is_over(give_up_at, KILL_GRACE_MS)
        {
            self.down(ctx, 1);
        }
    }

    /// The keeper reports processes that SIGKILL has not ended.
    pub(crate) fn killed_in_vain(&mut self, ctx: &mut Context<'_>, left: u32) {
        if left > 0 {
            self.down(ctx, left);
        }
    }

    /// Gives the run more time for its current start, reload or stop; never shortens the time.
    pub(crate) fn extend(&mut self, ctx: &Context<'_>, ms: u64) {
        let at = ctx.now.after(ms);
        let stop = self.stop_policy();
        match &mut self.record.state {
            State::Starting {
                ready_by: Some(until),
                ..
            }
            | State::Reloading {
                until: Some(until), ..
            }
            | State::Stopping {
                phase:
                    StopPhase::Asked {
                        escalate_at: None,
                        kill_at: until,
                        ..
                    },
                ..
            } => {
                *until = at.max(*until);
            }
            State::Stopping {
                phase:
                    StopPhase::Asked {
                        escalate_at: Some(until),
                        kill_at,
                        ..
                    },
                ..
            } => {
                *until = at.max(*until);
                *kill_at = kill_at_of(stop, *until).max(*kill_at);
            }
            _ => {}
        }
    }

    /// The main process has ended though nobody asked.
    pub(crate) fn died(&mut self, ctx: &mut Context<'_>, exit: Exit) {
        let Some(run) = self.record.main_run() else {
            return;
        };
        self.count_death(ctx.now, self.is_success(exit));
        self.drop_reload(ctx);
        self.record.state = State::Stopping {
            run,
            target: StopTarget::Main,
            phase: StopPhase::Sweep { exit, killed: None },
            cause: StopCause::Exited,
            then_start: false,
        };
        self.record.last_exit = Some((exit, ctx.now));
    }

    /// The main process has ended. The keeper sweeps by itself and reports the result.
    pub(crate) fn sweep(&mut self, ctx: &Context<'_>, exit: Exit) {
        if let State::Stopping { phase, target, .. } = &mut self.record.state {
            let killed = match phase {
                StopPhase::Killed { why, .. } => Some(*why),
                StopPhase::Asked { .. } | StopPhase::Sweep { .. } => None,
            };
            *phase = StopPhase::Sweep { exit, killed };
            if *target == StopTarget::Main {
                self.record.last_exit = Some((exit, ctx.now));
            }
        }
    }

    /// The keeper does not know a run that was up: the run never had a process, or ended unseen.
    pub(crate) fn vanished(&mut self, ctx: &mut Context<'_>, reason: &Detail) {
        self.count_death(ctx.now, false);
        self.drop_reload(ctx);
        self.record.detail.clone_from(reason);
        self.gone(ctx, StopCause::Exited, None);
    }

    /// Decides what follows a run that is over, or that SIGKILL has not ended.
    pub(crate) fn down(&mut self, ctx: &mut Context<'_>, left: u32) {
        let State::Stopping {
            run,
            target,
            phase,
            cause,
            ..
        } = self.record.state
        else {
            return;
        };
        let end = match phase {
            StopPhase::Sweep { exit, killed } if target == StopTarget::Main => Some(End {
                run,
                exit,
                cause,
                killed,
            }),
            StopPhase::Asked { .. } | StopPhase::Killed { .. } | StopPhase::Sweep { .. } => None,
        };
        let said = self.record.detail.what.clone();
        if left > 0 {
            // A leftover main run is kept as such, rather than a validator's.
            let validator = target == StopTarget::Validator;
            let first = self.record.leftovers.filter(|_| validator);
            self.left_over(first.map_or(run, |it| it.run), left, None);
        } else {
            let exit = match phase {
                StopPhase::Sweep { exit, .. } => Some(exit),
                StopPhase::Asked { .. } | StopPhase::Killed { .. } => None,
            };
            self.gone(ctx, cause, exit);
        }
        self.report_end(ctx, end, said);
    }

    /// Nothing of the run is left: decides what follows.
    pub(crate) fn gone(&mut self, ctx: &mut Context<'_>, cause: StopCause, exit: Option<Exit>) {
        let then_start = matches!(
            self.record.state,
            State::Stopping {
                then_start: true,
                ..
            }
        );
        self.record.run_terms = None;
        if ctx.must_be_down || then_start || matches!(cause, StopCause::Asked(_)) {
            self.start_or_wait(ctx);
        } else {
            self.after_death(ctx, cause, exit);
        }
    }
}
