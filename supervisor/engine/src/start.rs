//! The transitions that lead up: from wanting to start to being ready, and the pauses between.
//!
//! The way: wait for what is required, let the validator judge, spawn, become ready. A death counts as early until
//! the run has been up for `reset_after_ms`; early deaths lengthen the pause, automatic starts count against the limit
//! (systemd's `StartLimitBurst`), and a start by hand forgets both.

use alloc::borrow::ToOwned;

use run_model::Exit;

use crate::{
    backoff::pause_ms,
    context::Context,
    effect::{Effect, ProbeKind},
    ids::{Moment, RunId, ServiceId},
    record::Early,
    service::Service,
    spec::{Kind, Policy, Ready},
    state::{Failure, Probing, State, StopCause, Up},
};

/// Most automatic starts that are remembered of one service, whatever its limit says.
const MAX_REMEMBERED_STARTS: usize = 1024;

/// Why a start is given up whose run can no longer say that it is ready.
const READY_CLOSED: &str = "closed its descriptor for readiness without saying that it is ready";

/// Why a start is tried again when nobody knows what became of its validator.
const VALIDATOR_LOST: &str = "its validator could not be run; see its command in the service file";

impl Service {
    /// Without a process: stays down, waits, or starts, as the world now asks.
    pub(crate) fn start_or_wait(&mut self, ctx: &mut Context<'_>) {
        self.record.restart_pending = None;
        self.record.reload_queued = false;
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

    /// It will not begin, since this is down.
    pub(crate) fn give_up(&mut self, on: ServiceId) {
        self.record.detail.clear();
        self.record.state = State::Failed {
            reason: Failure::Requirement(on),
        };
    }

    /// Down, as is wanted; unless something of its last run is left, which must not be forgotten.
    fn stay_down(&mut self) {
        self.record.state = match self.record.unswept {
            Some(_) => State::Failed {
                reason: Failure::Leftovers {
                    count: self.record.left,
                    look_at: None,
                },
            },
            None => State::Stopped,
        };
    }

    /// A start by hand forgets every count.
    pub(crate) fn start_by_hand(&mut self, ctx: &mut Context<'_>) {
        self.forget_counts();
        self.record.detail.clear();
        self.record.idle_until_triggered = false;
        self.start_or_wait(ctx);
    }

    /// A completed one is to run again; one that is about to be taken down does so after that.
    pub(crate) fn start_again(&mut self, ctx: &mut Context<'_>) {
        if self.record.restart_pending.is_none() {
            self.start_by_hand(ctx);
        }
    }

    /// A start by hand while it goes down is done after that, whatever the policy says.
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
            return; // It has just done its work.
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
            self.spawn(ctx);
            return;
        }
        let run = ctx.allocate();
        self.record.state = State::Validating { run };
        ctx.out.push(Effect::Validate {
            service: self.id,
            run,
        });
    }

    fn spawn(&mut self, ctx: &mut Context<'_>) {
        let run = ctx.allocate();
        self.record.stop = Some(self.spec.stop);
        self.record.watchdog_ms = None;
        self.record.state = State::Spawning { run };
        ctx.out.push(Effect::Spawn {
            service: self.id,
            run,
        });
    }

    /// The validator's verdict on a start.
    pub(crate) fn start_validated(&mut self, ctx: &mut Context<'_>, ok: bool) {
        if ctx.must_be_down || !ctx.unmet.is_empty() {
            self.start_or_wait(ctx);
        } else if ok {
            self.spawn(ctx);
        } else if self.spec.restart.policy == Policy::Never {
            self.record.state = State::Failed {
                reason: Failure::Validator,
            };
        } else {
            self.start_failed(ctx, true, "its validator refused its configuration");
        }
    }

    /// Nobody knows what became of its validator.
    pub(crate) fn validator_lost(&mut self, ctx: &mut Context<'_>) {
        self.start_failed(ctx, true, VALIDATOR_LOST);
    }

    /// No process came to be. What can pass is tried again, whatever the policy.
    pub(crate) fn start_failed(&mut self, ctx: &mut Context<'_>, transient: bool, reason: &str) {
        reason.clone_into(&mut self.record.detail);
        if ctx.must_be_down || (transient && !ctx.unmet.is_empty()) {
            self.start_or_wait(ctx);
        } else if transient {
            self.record.early.add(false);
            let pause = pause_ms(&self.spec.restart, self.record.early.count.max(2)).max(1);
            self.retry(ctx, pause);
        } else {
            self.record.state = State::Failed {
                reason: Failure::Spawn(reason.to_owned()),
            };
        }
    }

    /// Exec has succeeded.
    pub(crate) fn executing(&mut self, ctx: &mut Context<'_>) {
        let State::Spawning { run, .. } = self.record.state else {
            return;
        };
        let now = ctx.now;
        let daemon = self.spec.kind == Kind::Daemon;
        let probe = match &self.spec.ready {
            Ready::Probe(spec) if daemon => Some(Probing::begin(spec, now)),
            Ready::Probe(_)
            | Ready::Exec
            | Ready::Notify
            | Ready::ReadySignal
            | Ready::Delay(_) => None,
        };
        // The keeper starts nothing over what is left.
        self.record.unswept = None;
        self.record.left = 0;
        let delay = self.ready_delay();
        let patience = self.spec.ready_timeout_ms.filter(|_| delay.is_none());
        self.record.state = State::Starting {
            run,
            ready_by: patience.map(|ms| now.after(ms)),
            ready_at: delay.map(|ms| now.after(ms)),
            probe,
            spawned_at: now,
        };
        if ctx.bound_lost {
            self.begin_stop(ctx, StopCause::Asked(ctx.order));
        } else if daemon && self.spec.ready == Ready::Exec {
            self.become_running(ctx, run);
        }
    }

    /// What time alone has to pass before it counts as ready.
    pub(crate) fn ready_delay(&self) -> Option<u64> {
        match self.spec.ready {
            Ready::Delay(ms) if self.spec.kind == Kind::Daemon => Some(ms),
            Ready::Delay(_)
            | Ready::Exec
            | Ready::Notify
            | Ready::ReadySignal
            | Ready::Probe(_) => None,
        }
    }

    /// Nothing more than exec is asked of it.
    pub(crate) fn ready_by_exec(&mut self, ctx: &mut Context<'_>) {
        if let State::Starting { run, .. } = self.record.state
            && self.spec.kind == Kind::Daemon
            && self.spec.ready == Ready::Exec
        {
            self.become_running(ctx, run);
        }
    }

    /// The run has said that it is ready, in the way that its policy names.
    pub(crate) fn said_ready(&mut self, ctx: &mut Context<'_>) {
        if let State::Starting { run, .. } = self.record.state
            && self.spec.kind == Kind::Daemon
        {
            self.become_running(ctx, run);
        }
    }

    fn become_running(&mut self, ctx: &mut Context<'_>, run: RunId) {
        let probe = |spec: &Option<_>| spec.as_ref().map(|spec| Probing::begin(spec, ctx.now));
        self.record.detail.clear();
        let up = Up {
            run,
            stable_at: Some(ctx.now.after(self.spec.restart.reset_after_ms)),
            liveness: probe(&self.spec.liveness),
            health: probe(&self.spec.health),
            watchdog: self.watch(ctx.now),
        };
        self.record.state = State::Running { up };
        self.reload_if_queued(ctx);
    }

    /// A deadline of a start has passed: patience, or the next question.
    pub(crate) fn tick_starting(&mut self, ctx: &mut Context<'_>) {
        let patience = self.spec.ready_timeout_ms.unwrap_or_default();
        let State::Starting {
            run,
            ready_by,
            probe,
            ready_at,
            ..
        } = &mut self.record.state
        else {
            return;
        };
        if ready_at.is_some_and(|at| at <= ctx.heard) {
            let run = *run;
            self.become_running(ctx, run);
        } else if ready_by
            .as_mut()
            .is_some_and(|by| ctx.is_over(by, patience))
        {
            let said = core::mem::take(&mut self.record.detail);
            self.record.detail.push_str("not ready in time");
            if !said.is_empty() {
                self.record.detail.push_str("; its probe said last: ");
                self.record.detail.push_str(&said);
            }
            self.count_death(ctx.now, false);
            self.begin_stop(ctx, StopCause::ReadyTimeout);
        } else if let Some(probe) = probe
            && probe.take_due(ctx.now)
        {
            let (service, run) = (self.id, *run);
            ctx.out.push(Effect::Probe {
                service,
                run,
                probe: ProbeKind::Ready,
            });
        }
    }

    /// A readiness probe's own failures never end a run; only the timeout does.
    pub(crate) fn probed_starting(
        &mut self,
        ctx: &mut Context<'_>,
        kind: ProbeKind,
        ok: bool,
        detail: &str,
    ) {
        let State::Starting {
            run,
            probe: Some(probe),
            ..
        } = &mut self.record.state
        else {
            return;
        };
        let (Ready::Probe(spec), ProbeKind::Ready) = (&self.spec.ready, kind) else {
            return;
        };
        let run = *run;
        match probe.answer(spec, ctx.now, ok) {
            Some(true) => self.become_running(ctx, run),
            Some(false) | None if !ok => detail.clone_into(&mut self.record.detail),
            Some(false) | None => {}
        }
    }

    /// The run can never say any more that it is ready.
    pub(crate) fn gave_up_ready(&mut self, ctx: &mut Context<'_>) {
        let starts = matches!(self.record.state, State::Starting { .. });
        if starts && self.spec.kind == Kind::Daemon {
            self.record.detail.clear();
            self.record.detail.push_str(READY_CLOSED);
            self.count_death(ctx.now, false);
            self.begin_stop(ctx, StopCause::ReadyTimeout);
        }
    }

    /// Counts the end of a run that nobody asked for.
    pub(crate) fn count_death(&mut self, now: Moment, success: bool) {
        let up = self.record.state.up();
        let lasted = up.is_some_and(|up| up.stable_at.is_none_or(|at| at <= now));
        if lasted {
            self.record.early = Early::NONE;
        } else {
            self.record.early.add(success);
        }
    }

    /// A run is over that nobody asked to end: what its policy says.
    pub(crate) fn after_death(
        &mut self,
        ctx: &mut Context<'_>,
        cause: StopCause,
        exit: Option<Exit>,
    ) {
        let success = exit.is_some_and(|exit| self.is_success(exit));
        if cause == StopCause::Exited && exit.is_some() {
            // Its exit is the reason, not what a probe had said of it before.
            self.record.detail.clear();
        }
        let once = core::mem::take(&mut self.record.once);
        let done = success && cause == StopCause::Exited;
        if done && (once || self.success_is_the_end()) {
            self.record.early = Early::NONE;
            self.record.idle_until_triggered =
                self.spec.scheduled || self.spec.kind == Kind::Daemon;
            self.record.state = State::Completed;
            return;
        }
        let by_itself = exit.filter(|_| cause == StopCause::Exited);
        let prevented = by_itself.is_some_and(|exit| self.spec.restart.prevent.contains(exit));
        let again = match self.spec.restart.policy {
            Policy::Always | Policy::UnlessStopped => !prevented,
            Policy::OnFailure => !done && !prevented,
            Policy::Never => false,
        };
        let reason = match (cause, exit) {
            (StopCause::ReadyTimeout, _) => Failure::ReadyTimeout,
            (StopCause::Watchdog, _) => Failure::Watchdog,
            (_, Some(exit)) => Failure::Exited(exit),
            (_, None) => Failure::Spawn(self.record.detail.clone()),
        };
        if !once && (again || (exit.is_none() && cause == StopCause::Exited)) {
            self.retry(ctx, pause_ms(&self.spec.restart, self.record.early.count));
        } else {
            self.record.state = State::Failed { reason };
        }
    }

    /// Starts again after `pause` (plus jitter), unless it has done so too often.
    pub(crate) fn retry(&mut self, ctx: &mut Context<'_>, pause: u64) {
        if self.limit_reached(ctx.now) {
            self.record.state = State::Failed {
                reason: Failure::StartLimit,
            };
        } else if pause == 0 {
            self.start_by_policy(ctx);
        } else {
            let pause = ctx.jitter.spread(&self.spec.restart, pause);
            self.record.state = State::Backoff {
                until: ctx.now.after(pause),
                attempt: self.record.early.count,
                failed: self.record.early.failed,
            };
        }
    }

    fn limit_reached(&mut self, now: Moment) -> bool {
        let Some(limit) = self.spec.restart.limit else {
            return false;
        };
        self.record
            .starts
            .retain(|at| now.since(*at) < limit.within_ms);
        let most = usize::try_from(limit.starts).unwrap_or(MAX_REMEMBERED_STARTS);
        self.record.starts.len() >= most.min(MAX_REMEMBERED_STARTS)
    }

    fn start_by_policy(&mut self, ctx: &mut Context<'_>) {
        self.record.restarts = self.record.restarts.saturating_add(1);
        if self.spec.restart.limit.is_some() {
            self.record.starts.push(ctx.now);
        }
        self.start_or_wait(ctx);
    }

    /// The pause may be over.
    pub(crate) fn end_backoff(&mut self, ctx: &mut Context<'_>) {
        if matches!(self.record.state, State::Backoff { until, .. } if until <= ctx.now) {
            self.start_by_policy(ctx);
        }
    }

    /// A pause ends early when it is not to run, or has something else to wait for.
    pub(crate) fn reconsider_backoff(&mut self, ctx: &mut Context<'_>) {
        if ctx.must_be_down {
            self.start_or_wait(ctx);
        }
    }

    /// A failed service that is not wanted is simply stopped, unless something of it is left.
    pub(crate) fn reconsider_failure(&mut self, ctx: &mut Context<'_>) {
        if !ctx.up_wanted && !self.has_leftovers() {
            self.start_or_wait(ctx);
        }
    }

    /// A completed one has to run again, or is not wanted any more.
    pub(crate) fn leave_completed(&mut self, ctx: &mut Context<'_>) {
        if ctx.up_wanted && self.record.idle_until_triggered {
            self.record.restart_pending = None; // It is read at its next run.
        } else if ctx.must_be_down && ctx.may_stop {
            self.start_or_wait(ctx);
        }
    }

    /// A run that ends with success by itself is followed by no other.
    fn success_is_the_end(&self) -> bool {
        match (self.spec.kind, self.spec.restart.policy) {
            (Kind::Oneshot, _) | (Kind::Daemon, Policy::OnFailure | Policy::Never) => true,
            (Kind::Daemon, Policy::Always | Policy::UnlessStopped) => false,
        }
    }

    /// Exit code 0, or what its policy counts as such.
    pub(crate) fn is_success(&self, exit: Exit) -> bool {
        exit == Exit::Code(0) || self.spec.restart.success.contains(exit)
    }
}
