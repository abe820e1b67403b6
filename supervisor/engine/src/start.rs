//! The transitions that lead up to a process: wait for requirements, run the validator, spawn.
//!
//! `readiness` continues from exec to ready; `after_exit` handles an end that nobody asked for.

use crate::{
    backoff::pause_ms,
    context::Context,
    detail::Detail,
    effect::Effect,
    ids::ServiceId,
    record::{Early, Leftovers, RunTerms},
    service::Service,
    spec::{Kind, Policy},
    state::{Failure, State, StopCause},
};

/// Why the engine retries a start whose validator the keeper does not know.
const VALIDATOR_LOST: &str = "its validator could not be run; see its command in the service file";

impl Service {
    /// Decides for a service without a process: stay down, wait, or start.
    pub(crate) fn start_or_wait(&mut self, ctx: &mut Context<'_>) {
        self.record.restart_pending = None;
        if !ctx.up_wanted {
            self.stay_down();
        } else if self.record.idle_until_triggered {
            self.record.state = State::Completed;
        } else if ctx.unmet.is_empty() {
            self.begin(ctx);
        } else if !matches!(&self.record.state, State::Waiting { on } if on == ctx.unmet) {
            self.record.state = State::Waiting {
                on: ctx.unmet.clone(),
            };
        }
    }

    /// A job cannot begin, since this requirement is down for good.
    pub(crate) fn give_up(&mut self, on: ServiceId) {
        self.record.detail = Detail::NONE;
        self.record.state = State::Failed {
            reason: Failure::Requirement(on),
        };
    }

    /// Stays down, as wanted. Leftovers of the last run are not forgotten: they make the service
    /// failed.
    fn stay_down(&mut self) {
        self.record.state = match self.record.leftovers {
            Some(Leftovers { count, .. }) => State::Failed {
                reason: Failure::Leftovers {
                    count,
                    look_at: None,
                },
            },
            None => State::Stopped,
        };
    }

    /// Clears every count, as a start by hand does, and starts.
    pub(crate) fn start_by_hand(&mut self, ctx: &mut Context<'_>) {
        self.forget_counts();
        self.record.detail = Detail::NONE;
        self.record.idle_until_triggered = false;
        self.start_or_wait(ctx);
    }

    /// Runs a completed service again; if a restart is pending, after that restart.
    pub(crate) fn start_again(&mut self, ctx: &mut Context<'_>) {
        if self.record.restart_pending.is_none() {
            self.start_by_hand(ctx);
        }
    }

    /// Notes a start by hand of a service that is going down: the start follows the stop, whatever
    /// the policy says.
    pub(crate) fn start_after_stop(&mut self) {
        let done = self
            .record
            .last_exit
            .is_some_and(|(exit, _)| self.is_success(exit));
        let State::Stopping {
            cause,
            phase,
            then_start,
            ..
        } = &mut self.record.state
        else {
            return;
        };
        let swept = matches!(phase, crate::state::StopPhase::Sweep { .. });
        if self.spec.kind == Kind::Oneshot && swept && *cause == StopCause::Exited && done {
            return; // The oneshot has just done its work.
        }
        *then_start = true;
        self.forget_counts();
    }

    fn forget_counts(&mut self) {
        self.record.early = Early::NONE;
        self.record.restarts = 0;
        self.record.starts.clear();
    }

    fn begin(&mut self, ctx: &mut Context<'_>) {
        if !self.spec.validated {
            self.spawn(ctx, false);
            return;
        }
        let run = ctx.allocate();
        self.record.state = State::Validating {
            run,
            reload_queued: false,
        };
        ctx.out.push(Effect::Validate {
            service: self.id,
            run,
        });
    }

    fn spawn(&mut self, ctx: &mut Context<'_>, reload_queued: bool) {
        let run = ctx.allocate();
        self.record.run_terms = Some(RunTerms {
            stop: self.spec.stop,
            watchdog_ms: None,
        });
        self.record.state = State::Spawning { run, reload_queued };
        ctx.out.push(Effect::Spawn {
            service: self.id,
            run,
        });
    }

    /// Takes the validator's verdict on a start.
    pub(crate) fn start_validated(&mut self, ctx: &mut Context<'_>, ok: bool) {
        if ctx.must_be_down || !ctx.unmet.is_empty() {
            self.start_or_wait(ctx);
        } else if ok {
            let reload_queued = self.record.state.reload_queued();
            self.spawn(ctx, reload_queued);
        } else if self.spec.restart.policy == Policy::Never {
            self.record.state = State::Failed {
                reason: Failure::Validator,
            };
        } else {
            self.start_failed(ctx, true, &"its validator refused its configuration".into());
        }
    }

    /// The keeper does not know the validator's run.
    pub(crate) fn validator_lost(&mut self, ctx: &mut Context<'_>) {
        self.start_failed(ctx, true, &VALIDATOR_LOST.into());
    }

    /// No process could be made. The engine retries a transient failure, whatever the policy.
    pub(crate) fn start_failed(&mut self, ctx: &mut Context<'_>, transient: bool, reason: &Detail) {
        self.record.detail.clone_from(reason);
        if ctx.must_be_down || (transient && !ctx.unmet.is_empty()) {
            self.start_or_wait(ctx);
        } else if transient {
            self.record.early.add(false);
            let pause = pause_ms(&self.spec.restart, self.record.early.count.max(2)).max(1);
            self.retry(ctx, pause);
        } else {
            self.record.state = State::Failed {
                reason: Failure::Spawn(reason.clone()),
            };
        }
    }

    /// Ends a pause early when the service is not to run, or has something else to wait for.
    pub(crate) fn reconsider_backoff(&mut self, ctx: &mut Context<'_>) {
        if ctx.must_be_down {
            self.start_or_wait(ctx);
        }
    }

    /// Makes a failed service that is not wanted stopped, unless it has leftovers.
    pub(crate) fn reconsider_failure(&mut self, ctx: &mut Context<'_>) {
        if !ctx.up_wanted && !self.has_leftovers() {
            self.start_or_wait(ctx);
        }
    }

    /// Leaves `Completed` when the service has to run again, or is not wanted any more.
    pub(crate) fn leave_completed(&mut self, ctx: &mut Context<'_>) {
        if ctx.up_wanted && self.record.idle_until_triggered {
            self.record.restart_pending = None; // The next run reads the new configuration.
        } else if ctx.must_be_down && ctx.may_stop {
            self.start_or_wait(ctx);
        }
    }
}
