//! The transitions of a service that is up: probes, and the reset of the count of early ends.
//!
//! Liveness ends a run; health only changes what is shown. Order of a tick: the deadline of a
//! reload, then probes, then the watchdog, and a queued reload last, so that no reload begins for a
//! run that has just been told to end.

use alloc::borrow::ToOwned;

use crate::{
    context::Context,
    effect::{Effect, ProbeKind},
    record::Early,
    service::Service,
    state::{State, StopCause},
};

impl Service {
    /// A deadline of a service that is up has passed.
    pub(crate) fn tick_up(&mut self, ctx: &mut Context<'_>) {
        let next_reload = self.tick_reload(ctx);
        let service = self.id;
        let Some(up) = self.record.state.up_mut() else {
            return;
        };
        if up.stable_at.is_some_and(|at| at <= ctx.now) {
            up.stable_at = None;
            self.record.early = Early::NONE;
        }
        let run = up.run;
        let (liveness, health) = up.probes_mut();
        let probes = [(ProbeKind::Liveness, liveness), (ProbeKind::Health, health)];
        for (probe, probing) in probes {
            if probing.is_some_and(|it| it.take_due(ctx.now)) {
                ctx.out.push(Effect::Probe {
                    service,
                    run,
                    probe,
                });
            }
        }
        self.tick_watchdog(ctx);
        // No reload begins for a run that has just been asked to end.
        if next_reload && matches!(self.record.state, State::Running { .. }) {
            self.reload(ctx);
        }
    }

    /// Takes a probe's answer: a liveness failure ends the run; health only changes what is shown.
    pub(crate) fn probed_up(
        &mut self,
        ctx: &mut Context<'_>,
        kind: ProbeKind,
        ok: bool,
        detail: &str,
    ) {
        let now = ctx.now;
        let up = self.record.state.up_mut();
        match kind {
            ProbeKind::Confirm(number) => self.reload_confirmed(ctx, number, ok, detail),
            ProbeKind::Ready => {}
            ProbeKind::Liveness => {
                let probing = up.and_then(|up| up.liveness.as_mut());
                let verdict = probing
                    .zip(self.spec.liveness.as_ref())
                    .and_then(|(probing, spec)| probing.answer(spec, now, ok));
                if verdict == Some(false) {
                    self.record.detail = detail.into();
                    self.count_death(now, false);
                    self.begin_stop(ctx, StopCause::Liveness);
                }
            }
            ProbeKind::Health => {
                if let (Some(health), Some(spec)) =
                    (up.and_then(|up| up.health.as_mut()), &self.spec.health)
                    && health.probing.answer(spec, now, ok) == Some(false)
                {
                    detail.clone_into(&mut health.said);
                }
            }
        }
    }
}
