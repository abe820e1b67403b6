//! What follows the end of a run that nobody asked for: restart policy, pause, start limit.
//!
//! The end of a run counts as early until the run has been up for `reset_after_ms`. Early ends in a
//! row lengthen the pause; automatic starts count against the limit (systemd's `StartLimitBurst`).
//! A start by hand clears both counts.

use run_model::Exit;

use crate::{
    backoff::pause_ms,
    context::Context,
    detail::Detail,
    ids::Moment,
    record::Early,
    service::Service,
    spec::{Kind, Policy},
    state::{Failure, State, StopCause},
};

/// Most automatic starts that the engine remembers of one service, whatever the service's limit.
const MAX_REMEMBERED_STARTS: usize = 1024;

impl Service {
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

    /// Applies the restart policy to a run that has ended though nobody asked.
    pub(crate) fn after_death(
        &mut self,
        ctx: &mut Context<'_>,
        cause: StopCause,
        exit: Option<Exit>,
    ) {
        let success = exit.is_some_and(|exit| self.is_success(exit));
        if cause == StopCause::Exited && exit.is_some() {
            // The exit is the reason now, no longer an earlier answer of a probe.
            self.record.detail = Detail::NONE;
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

    /// Starts again after `pause` (plus jitter), unless the service has restarted too often.
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

    /// Starts the service if its pause is over.
    pub(crate) fn end_backoff(&mut self, ctx: &mut Context<'_>) {
        if matches!(self.record.state, State::Backoff { until, .. } if until <= ctx.now) {
            self.start_by_policy(ctx);
        }
    }

    /// Whether the policy lets no other run follow a run that ends with success by itself.
    fn success_is_the_end(&self) -> bool {
        match (self.spec.kind, self.spec.restart.policy) {
            (Kind::Oneshot, _) | (Kind::Daemon, Policy::OnFailure | Policy::Never) => true,
            (Kind::Daemon, Policy::Always | Policy::UnlessStopped) => false,
        }
    }

    /// Whether the exit is a success: exit code 0, or an exit that the service's policy names.
    pub(crate) fn is_success(&self, exit: Exit) -> bool {
        exit == Exit::Code(0) || self.spec.restart.success.contains(exit)
    }
}
