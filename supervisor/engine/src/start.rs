//! The transitions that lead up: from wanting to start to being ready, and the pauses between.

use alloc::borrow::ToOwned;

use crate::{
    backoff::pause_ms,
    effect::{Effect, ProbeKind},
    event::{Exit, Failure},
    ids::{Moment, RunId, ServiceId},
    machine::World,
    record::Early,
    service::Service,
    spec::{Kind, Policy, Ready},
    state::{Probing, SpawnStep, State, StopCause, Up},
};

/// Most automatic starts that are remembered of one service, whatever its limit says.
const MAX_REMEMBERED_STARTS: usize = 1024;

/// Why a start is given up whose run can no longer say that it is ready.
const READY_CLOSED: &str = "closed its descriptor for readiness without saying that it is ready";

impl Service {
    /// Without a process: stays down, waits, or starts, as the world now asks.
    pub(crate) fn seek(&mut self, w: &mut World<'_>) {
        self.rec.bounce = None;
        self.rec.reload_queued = false;
        if !w.up_wanted {
            self.rest_down();
        } else if self.rec.rests {
            self.rec.state = State::Completed;
        } else if w.unmet.is_empty() {
            self.begin(w);
        } else if !matches!(&self.rec.state, State::Waiting { on } if on == w.unmet) {
            self.rec.state = State::Waiting {
                on: w.unmet.clone(),
            };
        }
    }

    /// It will not begin, since this is down.
    pub(crate) fn give_up(&mut self, on: ServiceId) {
        self.rec.detail.clear();
        self.rec.state = State::Failed {
            reason: Failure::Requirement(on),
        };
    }

    /// Down, as is wanted; unless something of its last run is left, which must not be forgotten.
    fn rest_down(&mut self) {
        self.rec.state = match self.rec.unswept {
            Some(_) => State::Failed {
                reason: Failure::Leftovers {
                    count: self.rec.left,
                    look_at: None,
                },
            },
            None => State::Stopped,
        };
    }

    /// A start by hand forgets every count.
    pub(crate) fn start_by_hand(&mut self, w: &mut World<'_>) {
        self.forget_counts();
        self.rec.detail.clear();
        self.rec.rests = false;
        self.seek(w);
    }

    /// A completed one is to run again; one that is about to be taken down does so after that.
    pub(crate) fn start_again(&mut self, w: &mut World<'_>) {
        if self.rec.bounce.is_none() {
            self.start_by_hand(w);
        }
    }

    /// A start by hand while it goes down is done after that, whatever the policy says.
    pub(crate) fn start_after_stop(&mut self) {
        let done = self
            .rec
            .last_exit
            .is_some_and(|(exit, _)| self.is_success(exit));
        let State::Stopping { cause, phase, .. } = &self.rec.state else {
            return;
        };
        let swept = matches!(phase, crate::state::StopPhase::Sweep { .. });
        if self.spec.kind == Kind::Oneshot && swept && *cause == StopCause::Exited && done {
            return; // It has just done its work.
        }
        self.rec.again = true;
        self.forget_counts();
    }

    fn forget_counts(&mut self) {
        self.rec.early = Early::NONE;
        self.rec.restarts = 0;
        self.rec.starts.clear();
    }

    fn begin(&mut self, w: &mut World<'_>) {
        if !self.spec.validated {
            self.spawn(w);
            return;
        }
        let run = w.allocate();
        self.rec.validator = Some(run);
        self.rec.state = State::Spawning {
            run,
            step: SpawnStep::Validate,
        };
        w.out.push(Effect::Validate {
            service: self.id,
            run,
        });
    }

    fn spawn(&mut self, w: &mut World<'_>) {
        let run = w.allocate();
        self.rec.stop = Some(self.spec.stop);
        self.rec.watchdog_ms = None;
        self.rec.state = State::Spawning {
            run,
            step: SpawnStep::Exec,
        };
        w.out.push(Effect::Spawn {
            service: self.id,
            run,
        });
    }

    /// The validator's verdict on a start.
    pub(crate) fn start_validated(&mut self, w: &mut World<'_>, ok: bool) {
        self.rec.validator = None;
        if w.pulled || !w.unmet.is_empty() {
            self.seek(w);
        } else if ok {
            self.spawn(w);
        } else if self.spec.restart.policy == Policy::Never {
            self.rec.state = State::Failed {
                reason: Failure::Validator,
            };
        } else {
            self.start_failed(w, true, "its validator refused its configuration");
        }
    }

    /// No process came to be. What can pass is tried again, whatever the policy.
    pub(crate) fn start_failed(&mut self, w: &mut World<'_>, transient: bool, reason: &str) {
        self.rec.validator = None;
        reason.clone_into(&mut self.rec.detail);
        if w.pulled || (transient && !w.unmet.is_empty()) {
            self.seek(w);
        } else if transient {
            self.rec.early.add(false);
            let pause = pause_ms(&self.spec.restart, self.rec.early.count.max(2)).max(1);
            self.retry(w, pause);
        } else {
            self.rec.state = State::Failed {
                reason: Failure::Spawn(reason.to_owned()),
            };
        }
    }

    /// Exec has succeeded.
    pub(crate) fn executing(&mut self, w: &mut World<'_>) {
        let State::Spawning { run, .. } = self.rec.state else {
            return;
        };
        let now = w.now;
        let daemon = self.spec.kind == Kind::Daemon;
        let probe = match &self.spec.ready {
            Ready::Probe(spec) if daemon => Some(Probing::begin(spec, now)),
            Ready::Probe(_) | Ready::Exec | Ready::Notify | Ready::Mark | Ready::Delay(_) => None,
        };
        // The keeper starts nothing over what is left.
        self.rec.unswept = None;
        self.rec.left = 0;
        let delay = self.ready_delay();
        let patience = self.spec.ready_timeout_ms.filter(|_| delay.is_none());
        self.rec.state = State::Starting {
            run,
            ready_by: patience.map(|ms| now.after(ms)),
            ready_at: delay.map(|ms| now.after(ms)),
            probe,
            spawned_at: now,
        };
        if w.bound_lost {
            self.ask(w, StopCause::Asked(w.order));
        } else if daemon && self.spec.ready == Ready::Exec {
            self.become_running(w, run);
        }
    }

    /// What time alone has to pass before it counts as ready.
    pub(crate) fn ready_delay(&self) -> Option<u64> {
        match self.spec.ready {
            Ready::Delay(ms) if self.spec.kind == Kind::Daemon => Some(ms),
            Ready::Delay(_) | Ready::Exec | Ready::Notify | Ready::Mark | Ready::Probe(_) => None,
        }
    }

    /// Nothing more than exec is asked of it.
    pub(crate) fn ready_by_exec(&mut self, w: &mut World<'_>) {
        if let State::Starting { run, .. } = self.rec.state
            && self.spec.kind == Kind::Daemon
            && self.spec.ready == Ready::Exec
        {
            self.become_running(w, run);
        }
    }

    /// The run said that it is ready; only one that was asked to say so in this way is believed.
    pub(crate) fn said_ready(&mut self, w: &mut World<'_>, by: &Ready) {
        if let State::Starting { run, .. } = self.rec.state
            && self.spec.kind == Kind::Daemon
            && self.spec.ready == *by
        {
            self.become_running(w, run);
        }
    }

    fn become_running(&mut self, w: &mut World<'_>, run: RunId) {
        let probe = |spec: &Option<_>| spec.as_ref().map(|spec| Probing::begin(spec, w.now));
        self.rec.detail.clear();
        let up = Up {
            run,
            stable_at: Some(w.now.after(self.spec.restart.reset_after_ms)),
            liveness: probe(&self.spec.liveness),
            health: probe(&self.spec.health),
            watchdog: self.watch(w.now),
        };
        self.rec.state = State::Running { up };
        self.reload_if_queued(w);
    }

    /// A deadline of a start has passed: patience, or the next question.
    pub(crate) fn tick_starting(&mut self, w: &mut World<'_>) {
        let patience = self.spec.ready_timeout_ms.unwrap_or_default();
        let State::Starting {
            run,
            ready_by,
            probe,
            ready_at,
            ..
        } = &mut self.rec.state
        else {
            return;
        };
        if ready_at.is_some_and(|at| at <= w.heard) {
            let run = *run;
            self.become_running(w, run);
        } else if ready_by.as_mut().is_some_and(|by| w.is_over(by, patience)) {
            let said = core::mem::take(&mut self.rec.detail);
            self.rec.detail.push_str("not ready in time");
            if !said.is_empty() {
                self.rec.detail.push_str("; its probe said last: ");
                self.rec.detail.push_str(&said);
            }
            self.count_death(w.now, false);
            self.ask(w, StopCause::ReadyTimeout);
        } else if let Some(probe) = probe
            && probe.take_due(w.now)
        {
            let (service, run) = (self.id, *run);
            w.out.push(Effect::Probe {
                service,
                run,
                probe: ProbeKind::Ready,
            });
        }
    }

    /// A readiness probe's own failures never end a run; only the timeout does.
    pub(crate) fn probed_starting(
        &mut self,
        w: &mut World<'_>,
        kind: ProbeKind,
        ok: bool,
        detail: &str,
    ) {
        let State::Starting {
            run,
            probe: Some(probe),
            ..
        } = &mut self.rec.state
        else {
            return;
        };
        let (Ready::Probe(spec), ProbeKind::Ready) = (&self.spec.ready, kind) else {
            return;
        };
        let run = *run;
        match probe.answer(spec, w.now, ok) {
            Some(true) => self.become_running(w, run),
            Some(false) | None if !ok => detail.clone_into(&mut self.rec.detail),
            Some(false) | None => {}
        }
    }

    /// The run can never say any more that it is ready.
    pub(crate) fn gave_up_ready(&mut self, w: &mut World<'_>) {
        let starts = matches!(self.rec.state, State::Starting { .. });
        if starts && self.spec.kind == Kind::Daemon && self.spec.ready == Ready::Mark {
            self.rec.detail.clear();
            self.rec.detail.push_str(READY_CLOSED);
            self.count_death(w.now, false);
            self.ask(w, StopCause::ReadyTimeout);
        }
    }

    /// Counts the end of a run that nobody asked for.
    pub(crate) fn count_death(&mut self, now: Moment, success: bool) {
        let up = self.rec.state.up();
        let lasted = up.is_some_and(|up| up.stable_at.is_none_or(|at| at <= now));
        if lasted {
            self.rec.early = Early::NONE;
        } else {
            self.rec.early.add(success);
        }
    }

    /// A run is over that nobody asked to end: what its policy says.
    pub(crate) fn after_death(&mut self, w: &mut World<'_>, cause: StopCause, exit: Option<Exit>) {
        let success = exit.is_some_and(|exit| self.is_success(exit));
        if cause == StopCause::Exited && exit.is_some() {
            // Its exit is the reason, not what a probe had said of it before.
            self.rec.detail.clear();
        }
        let once = core::mem::take(&mut self.rec.once);
        let done = success && cause == StopCause::Exited;
        if done && (once || self.success_is_the_end()) {
            self.rec.early = Early::NONE;
            self.rec.rests = self.spec.scheduled || self.spec.kind == Kind::Daemon;
            self.rec.state = State::Completed;
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
            (_, None) => Failure::Spawn(self.rec.detail.clone()),
        };
        if !once && (again || (exit.is_none() && cause == StopCause::Exited)) {
            self.retry(w, pause_ms(&self.spec.restart, self.rec.early.count));
        } else {
            self.rec.state = State::Failed { reason };
        }
    }

    /// Starts again after `pause` (plus jitter), unless it has done so too often.
    pub(crate) fn retry(&mut self, w: &mut World<'_>, pause: u64) {
        if self.limit_reached(w.now) {
            self.rec.state = State::Failed {
                reason: Failure::StartLimit,
            };
        } else if pause == 0 {
            self.start_by_policy(w);
        } else {
            let pause = w.jitter.spread(&self.spec.restart, pause);
            self.rec.state = State::Backoff {
                until: w.now.after(pause),
                attempt: self.rec.early.count,
                failed: self.rec.early.failed,
            };
        }
    }

    fn limit_reached(&mut self, now: Moment) -> bool {
        let Some(limit) = self.spec.restart.limit else {
            return false;
        };
        self.rec
            .starts
            .retain(|at| now.since(*at) < limit.within_ms);
        let most = usize::try_from(limit.starts).unwrap_or(MAX_REMEMBERED_STARTS);
        self.rec.starts.len() >= most.min(MAX_REMEMBERED_STARTS)
    }

    fn start_by_policy(&mut self, w: &mut World<'_>) {
        self.rec.restarts = self.rec.restarts.saturating_add(1);
        if self.spec.restart.limit.is_some() {
            self.rec.starts.push(w.now);
        }
        self.seek(w);
    }

    /// The pause may be over.
    pub(crate) fn end_backoff(&mut self, w: &mut World<'_>) {
        if matches!(self.rec.state, State::Backoff { until, .. } if until <= w.now) {
            self.start_by_policy(w);
        }
    }

    /// A pause ends early when it is not to run, or has something else to wait for.
    pub(crate) fn reconsider_backoff(&mut self, w: &mut World<'_>) {
        if w.pulled {
            self.seek(w);
        }
    }

    /// A failed service that is not wanted is simply stopped, unless something of it is left.
    pub(crate) fn reconsider_failure(&mut self, w: &mut World<'_>) {
        if !w.up_wanted && !self.has_leftovers() {
            self.seek(w);
        }
    }

    /// A completed one has to run again, or is not wanted any more.
    pub(crate) fn leave_completed(&mut self, w: &mut World<'_>) {
        if w.up_wanted && self.rec.rests {
            self.rec.bounce = None; // It is read at its next run.
        } else if w.pulled && w.may_stop {
            self.seek(w);
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
