//! The transitions of a service that is up: its probes, its count of early deaths, its reloads.

use alloc::borrow::ToOwned;

use crate::{
    effect::{Effect, ProbeKind},
    ids::RunId,
    machine::World,
    service::Service,
    spec::{Ready, Reload},
    state::{State, StopCause},
};

const RELOAD_FAILED: &str = "the reload failed; it runs on with the configuration it had";

impl Service {
    /// A deadline of a service that is up has passed.
    pub(crate) fn tick_up(&mut self, w: &mut World<'_>) {
        let patience = self.spec.ready_timeout_ms.unwrap_or_default();
        let overdue = match &mut self.rec.state {
            State::Reloading {
                until: Some(until), ..
            } => w.is_over(until, patience),
            _ => false,
        };
        if overdue {
            self.end_reload(w, "the reload did not finish in time; it runs on as it was");
        }
        let service = self.id;
        let Some(up) = self.rec.state.up_mut() else {
            return;
        };
        if up.stable_at.is_some_and(|at| at <= w.now) {
            up.stable_at = None;
            self.rec.early = 0;
        }
        let run = up.run;
        let probes = [
            (ProbeKind::Liveness, &mut up.liveness),
            (ProbeKind::Health, &mut up.health),
        ];
        for (probe, probing) in probes {
            if probing.as_mut().is_some_and(|it| it.take_due(w.now)) {
                w.out.push(Effect::Probe {
                    service,
                    run,
                    probe,
                });
            }
        }
        self.tick_watchdog(w);
        // The next reload is not begun for one that has just been asked to end.
        if overdue && matches!(self.rec.state, State::Running { .. }) {
            self.reload_if_queued(w);
        }
    }

    /// Liveness ends the run; health only changes what is shown.
    pub(crate) fn probed_up(&mut self, w: &mut World<'_>, kind: ProbeKind, ok: bool, detail: &str) {
        let Some(up) = self.rec.state.up_mut() else {
            return;
        };
        let (probing, spec) = match kind {
            ProbeKind::Ready => return,
            ProbeKind::Liveness => (&mut up.liveness, &self.spec.liveness),
            ProbeKind::Health => (&mut up.health, &self.spec.health),
        };
        let (Some(probing), Some(spec)) = (probing, spec) else {
            return;
        };
        match (kind, probing.answer(spec, w.now, ok)) {
            (ProbeKind::Liveness, Some(false)) => {
                detail.clone_into(&mut self.rec.detail);
                self.count_death(w.now);
                self.ask(w, StopCause::Liveness);
            }
            // What a silent watchdog says of it stays.
            (ProbeKind::Health, Some(true)) if up.verdict() != Some(false) => {
                self.rec.detail.clear();
            }
            (ProbeKind::Health, Some(false)) => detail.clone_into(&mut self.rec.detail),
            (ProbeKind::Ready | ProbeKind::Liveness | ProbeKind::Health, _) => {}
        }
    }

    /// Takes a new configuration: first the validator, if there is one. One that is about to go
    /// down reads it at its next start.
    pub(crate) fn reload(&mut self, w: &mut World<'_>) {
        if w.pulled {
            return;
        }
        if !self.spec.validated {
            self.reload_now(w);
            return;
        }
        let run = w.allocate();
        self.rec.validator = Some(run);
        w.out.push(Effect::Validate {
            service: self.id,
            run,
        });
        self.enter_reloading(w, Some(run));
    }

    pub(crate) fn reload_if_queued(&mut self, w: &mut World<'_>) {
        if core::mem::take(&mut self.rec.reload_queued) {
            self.reload(w);
        }
    }

    /// The validator's verdict on a reload; a refusal leaves the run as it was.
    pub(crate) fn reload_validated(&mut self, w: &mut World<'_>, ok: bool) {
        self.rec.validator = None;
        if let State::Reloading { helper, .. } = &mut self.rec.state {
            *helper = None;
        }
        if ok {
            self.reload_now(w);
        } else {
            self.reload_over(
                w,
                "the reload was refused: its validator refused its configuration",
            );
        }
    }

    fn reload_now(&mut self, w: &mut World<'_>) {
        let Some(run) = self.rec.state.up().map(|up| up.run) else {
            return;
        };
        let service = self.id;
        match self.spec.reload {
            None => self.reload_over(w, "it has no way to reload any more; restart it instead"),
            Some(Reload::Signal(signal)) => {
                w.out.push(Effect::Signal {
                    service,
                    run,
                    signal,
                    stop: false,
                });
                if self.spec.ready == Ready::Notify {
                    self.enter_reloading(w, None);
                } else {
                    self.reload_over(w, "");
                }
            }
            Some(Reload::Command) => {
                let helper = w.allocate();
                w.out.push(Effect::ReloadCommand {
                    service,
                    run: helper,
                    of: run,
                });
                self.enter_reloading(w, Some(helper));
            }
        }
    }

    fn enter_reloading(&mut self, w: &World<'_>, helper: Option<RunId>) {
        if let Some(up) = self.rec.state.up() {
            self.rec.state = State::Reloading {
                up: *up,
                helper,
                until: self.spec.ready_timeout_ms.map(|ms| w.now.after(ms)),
                announced: false,
            };
        }
    }

    /// The run says that it reloads: asked to or not, it will say when it is ready again.
    pub(crate) fn reload_announced(&mut self, w: &World<'_>) {
        if matches!(self.rec.state, State::Running { .. }) {
            self.enter_reloading(w, None);
        }
        if let State::Reloading { announced, .. } = &mut self.rec.state {
            *announced = true;
        }
    }

    /// Back to running, or to the next reload.
    fn reload_over(&mut self, w: &mut World<'_>, detail: &str) {
        let reloading = matches!(self.rec.state, State::Reloading { .. });
        self.end_reload(w, detail);
        if reloading {
            self.reload_if_queued(w);
        }
    }

    /// Back to running, with what to say about it; whatever still works on the reload is ended.
    fn end_reload(&mut self, w: &mut World<'_>, detail: &str) {
        detail.clone_into(&mut self.rec.detail);
        if let State::Reloading { up, helper, .. } = self.rec.state {
            if let Some(run) = helper {
                w.out.push(Effect::Kill {
                    service: self.id,
                    run,
                });
            }
            self.rec.validator = None;
            self.rec.state = State::Running { up };
        }
    }

    /// The run says that it has finished reloading. A command that works on the reload still
    /// has the last word.
    pub(crate) fn reload_said_ready(&mut self, w: &mut World<'_>) {
        match &mut self.rec.state {
            State::Reloading { helper: None, .. } => self.reload_over(w, ""),
            State::Reloading { announced, .. } => *announced = false,
            _ => {}
        }
    }

    /// The reload command has ended, or the signal could not be sent.
    pub(crate) fn reload_ended(&mut self, w: &mut World<'_>, ok: bool) {
        let State::Reloading {
            helper, announced, ..
        } = &mut self.rec.state
        else {
            return;
        };
        let by_command = helper.is_some() && !*announced;
        if self.rec.validator.is_some() {
            return; // About an earlier reload.
        }
        *helper = None;
        match (ok, by_command) {
            (true, true) => self.reload_over(w, ""),
            (true, false) => {}
            (false, _) => self.reload_over(w, RELOAD_FAILED),
        }
    }

    /// The outcome of a reload that counted as done once its signal was sent.
    pub(crate) fn reload_signal_outcome(&mut self, ok: bool) {
        if !ok {
            RELOAD_FAILED.clone_into(&mut self.rec.detail);
        }
    }
}
