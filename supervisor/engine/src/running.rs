//! The transitions of a service that is up: probes, and when its count of early deaths is cleared.
//!
//! Liveness ends a run; health only changes what is shown. A deadline of a reload is looked at before the watchdog's,
//! and a queued reload begins last, lest one begin for a run that has just been told to end.

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
        let overdue = self.tick_reload(ctx);
        let service = self.id;
        let Some(up) = self.record.state.up_mut() else {
            return;
        };
        if up.stable_at.is_some_and(|at| at <= ctx.now) {
            up.stable_at = None;
            self.record.early = Early::NONE;
        }
        let run = up.run;
        let probes = [
            (ProbeKind::Liveness, &mut up.liveness),
            (ProbeKind::Health, &mut up.health),
        ];
        for (probe, probing) in probes {
            if probing.as_mut().is_some_and(|it| it.take_due(ctx.now)) {
                ctx.out.push(Effect::Probe {
                    service,
                    run,
                    probe,
                });
            }
        }
        self.tick_watchdog(ctx);
        // The next reload is not begun for one that has just been asked to end.
        if overdue && matches!(self.record.state, State::Running { .. }) {
            self.reload_if_queued(ctx);
        }
    }

    /// Liveness ends the run; health only changes what is shown.
    pub(crate) fn probed_up(
        &mut self,
        ctx: &mut Context<'_>,
        kind: ProbeKind,
        ok: bool,
        detail: &str,
    ) {
        if let ProbeKind::Confirm(number) = kind {
            self.reload_confirmed(ctx, number, ok, detail);
            return;
        }
        let Some(up) = self.record.state.up_mut() else {
            return;
        };
        let (probing, spec) = match kind {
            ProbeKind::Ready | ProbeKind::Confirm(_) => return,
            ProbeKind::Liveness => (&mut up.liveness, &self.spec.liveness),
            ProbeKind::Health => (&mut up.health, &self.spec.health),
        };
        let (Some(probing), Some(spec)) = (probing, spec) else {
            return;
        };
        match (kind, probing.answer(spec, ctx.now, ok)) {
            (ProbeKind::Liveness, Some(false)) => {
                detail.clone_into(&mut self.record.detail);
                self.count_death(ctx.now, false);
                self.begin_stop(ctx, StopCause::Liveness);
            }
            (ProbeKind::Health, Some(false)) => detail.clone_into(&mut self.record.health_said),
            _ => {}
        }
    }
}
