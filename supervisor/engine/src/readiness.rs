//! From exec to ready: which signal counts as readiness, and what follows when the start takes too
//! long.
//!
//! A failing probe never ends a start; only the timeout does, so that probing never kills a slow
//! service.

use crate::{
    context::Context,
    detail::Detail,
    effect::{Effect, ProbeKind},
    ids::RunId,
    service::Service,
    spec::{Kind, Ready},
    state::{State, StopCause},
    up::{Probing, ReportedProbe, Up},
};

/// Why the engine gives up a start whose run can no longer say that it is ready.
const READY_CLOSED: &str = "closed its descriptor for readiness without saying that it is ready";

impl Service {
    /// Exec has succeeded.
    pub(crate) fn executing(&mut self, ctx: &mut Context<'_>) {
        let State::Spawning { run, reload_queued } = self.record.state else {
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
        // The keeper starts no process beside leftovers, so none are left.
        self.record.leftovers = None;
        let delay = self.ready_delay();
        let patience = self.spec.ready_timeout_ms.filter(|_| delay.is_none());
        self.record.state = State::Starting {
            run,
            ready_by: patience.map(|ms| now.after(ms)),
            ready_at: delay.map(|ms| now.after(ms)),
            probe,
            spawned_at: now,
            reload_queued,
        };
        if ctx.bound_lost {
            self.begin_stop(ctx, StopCause::Asked(ctx.order));
        } else if daemon && self.spec.ready == Ready::Exec {
            self.become_running(ctx, run);
        }
    }

    /// The time after which the run counts as ready, where only time decides.
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

    /// Makes the service running if exec alone makes it ready.
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
        self.record.detail = Detail::NONE;
        let reload_queued = self.record.state.reload_queued();
        let up = Up {
            run,
            ready_since: ctx.now,
            stable_at: Some(ctx.now.after(self.spec.restart.reset_after_ms)),
            liveness: probe(&self.spec.liveness),
            health: probe(&self.spec.health).map(ReportedProbe::from),
            watchdog: self.watch(ctx.now),
        };
        self.record.state = State::Running {
            up,
            last_reload: None,
        };
        if reload_queued {
            self.reload(ctx);
        }
    }

    /// A deadline of a start has passed: the ready timeout, or the next probe attempt.
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
            let said = core::mem::replace(&mut self.record.detail, "not ready in time".into());
            if !said.is_empty() {
                let what = &mut self.record.detail.what;
                what.push_str("; its probe said last: ");
                what.push_str(&said.what);
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

    /// Takes a probe's answer. Failed attempts never end a run; only the timeout does.
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
            Some(false) | None if !ok => self.record.detail = detail.into(),
            Some(false) | None => {}
        }
    }

    /// The run has closed its readiness descriptor without a newline.
    pub(crate) fn gave_up_ready(&mut self, ctx: &mut Context<'_>) {
        let starts = matches!(self.record.state, State::Starting { .. });
        if starts && self.spec.kind == Kind::Daemon {
            self.record.detail = READY_CLOSED.into();
            self.count_death(ctx.now, false);
            self.begin_stop(ctx, StopCause::ReadyTimeout);
        }
    }
}
