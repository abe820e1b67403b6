//! The reload of a run, in order: the validator, the signal or command, the run's own notification,
//! and the confirmation that the run has the new configuration. A reload that fails in any step
//! leaves the run as it was; its outcome stays visible until the next reload or the end of the run.

use alloc::borrow::ToOwned;

use crate::{
    context::Context,
    detail::Detail,
    effect::{Effect, ProbeKind, SignalPurpose},
    ids::{Moment, RunId},
    service::Service,
    spec::{Ready, ReloadHow},
    state::{Helper, State},
    up::{Probing, ReloadOutcome, ReportedProbe},
};

impl ReportedProbe {
    /// When the next attempt to confirm is due.
    pub(crate) fn due(&self) -> Option<Moment> {
        self.probing.next_at.filter(|_| !self.is_yes())
    }

    fn is_yes(&self) -> bool {
        self.probing.verdict == Some(true)
    }
}

impl Service {
    /// Begins a reload, with the validator first if the service has a validator. A service that is
    /// about to go down reads the new configuration at its next start.
    pub(crate) fn reload(&mut self, ctx: &mut Context<'_>) {
        if ctx.must_be_down {
            return;
        }
        let run = ctx.allocate();
        self.enter_reloading(ctx, Some(run));
        if !self.spec.validated {
            self.tell_to_reload(ctx);
            return;
        }
        if let State::Reloading { helper, .. } = &mut self.record.state {
            *helper = Some(Helper::Validator(run));
        }
        ctx.out.push(Effect::Validate {
            service: self.id,
            run,
        });
    }

    fn enter_reloading(&mut self, ctx: &Context<'_>, number: Option<RunId>) {
        let Some(up) = self.record.state.up().cloned() else {
            return;
        };
        self.record.state = State::Reloading {
            up,
            helper: None,
            until: self.reload_patience().map(|ms| ctx.now.after(ms)),
            awaits_ready: false,
            number,
            confirm: None,
            reload_queued: false,
        };
    }

    /// The timeout of a reload. A reload that the run began by itself, for a service without a way
    /// to reload, has the time of a start.
    fn reload_patience(&self) -> Option<u64> {
        let told = self.spec.reload.as_ref().map(|it| it.timeout_ms);
        told.or(self.spec.ready_timeout_ms)
    }

    /// The validator's verdict on a reload; a refusal leaves the run as it was.
    pub(crate) fn reload_validated(&mut self, ctx: &mut Context<'_>, verdict: Result<(), &str>) {
        if let State::Reloading { helper, .. } = &mut self.record.state {
            *helper = None;
        }
        match verdict {
            Ok(()) => self.tell_to_reload(ctx),
            Err(why) => self.reload_over(ctx, ReloadOutcome::Refused(why.to_owned())),
        }
    }

    fn tell_to_reload(&mut self, ctx: &mut Context<'_>) {
        let by_notify = self.spec.ready == Ready::Notify;
        let service = self.id;
        let how = self.spec.reload.as_ref().map(|it| it.how);
        let State::Reloading {
            up,
            helper,
            awaits_ready,
            ..
        } = &mut self.record.state
        else {
            return;
        };
        let run = up.run;
        match how {
            None => self.reload_over(ctx, ReloadOutcome::Impossible),
            Some(ReloadHow::Signal(signal)) => {
                *awaits_ready = by_notify;
                ctx.out.push(Effect::Signal {
                    service,
                    run,
                    signal,
                    purpose: SignalPurpose::Reload,
                });
                self.go_on_reloading(ctx);
            }
            Some(ReloadHow::Command) => {
                let command = ctx.allocate();
                *awaits_ready = false;
                *helper = Some(Helper::Command(command));
                ctx.out.push(Effect::ReloadCommand {
                    service,
                    run: command,
                    of: run,
                });
            }
        }
    }

    /// Once nothing works on the reload any more, asks the run to confirm its configuration; the
    /// confirmation ends the reload.
    fn go_on_reloading(&mut self, ctx: &mut Context<'_>) {
        let asks = self.spec.reload.as_ref().and_then(|it| it.confirm.as_ref());
        let State::Reloading {
            helper: None,
            awaits_ready: false,
            number,
            confirm,
            ..
        } = &mut self.record.state
        else {
            return;
        };
        match (&confirm, asks, number) {
            (Some(asked), ..) if !asked.is_yes() => {}
            (None, Some(spec), Some(_)) => {
                *confirm = Some(Probing::begin(spec, ctx.now).into());
            }
            (Some(_) | None, ..) => self.reload_over(ctx, ReloadOutcome::Done),
        }
    }

    /// The run says that it reloads. Asked to or not, the run will say when it is ready again.
    pub(crate) fn reload_announced(&mut self, ctx: &Context<'_>) {
        if matches!(self.record.state, State::Running { .. }) {
            self.enter_reloading(ctx, None);
        }
        if let State::Reloading { awaits_ready, .. } = &mut self.record.state {
            *awaits_ready = true;
        }
    }

    /// The run says that it has finished reloading. A command that still works on the reload has
    /// the last word.
    pub(crate) fn reload_said_ready(&mut self, ctx: &mut Context<'_>) {
        if let State::Reloading { awaits_ready, .. } = &mut self.record.state {
            *awaits_ready = false;
            self.go_on_reloading(ctx);
        }
    }

    /// The reload command has ended.
    pub(crate) fn reload_ended(&mut self, ctx: &mut Context<'_>, outcome: Result<(), &str>) {
        let State::Reloading { helper, .. } = &mut self.record.state else {
            return;
        };
        *helper = None;
        match outcome {
            Ok(()) => self.go_on_reloading(ctx),
            Err(why) => self.reload_over(ctx, ReloadOutcome::Failed(why.to_owned())),
        }
    }

    /// The keeper does not know a run that works on the reload, or the main run itself.
    pub(crate) fn lost_while_reloading(
        &mut self,
        ctx: &mut Context<'_>,
        run: RunId,
        reason: &Detail,
    ) {
        if self.record.validator() == Some(run) {
            self.reload_validated(ctx, Err(&reason.what));
        } else if self.record.reload_run() == Some(run) {
            self.reload_ended(ctx, Err(&reason.what));
        } else {
            self.vanished(ctx, reason);
        }
    }

    /// Takes one answer to the question whether the run has the configuration of a reload.
    pub(crate) fn reload_confirmed(
        &mut self,
        ctx: &mut Context<'_>,
        reload: RunId,
        ok: bool,
        detail: &str,
    ) {
        let asks = self.spec.reload.as_ref().and_then(|it| it.confirm.as_ref());
        let State::Reloading {
            number,
            confirm: Some(confirm),
            ..
        } = &mut self.record.state
        else {
            return;
        };
        // An answer about an earlier reload says nothing about this reload.
        let (true, Some(spec)) = (*number == Some(reload), asks) else {
            return;
        };
        confirm.probing.answer(spec, ctx.now, ok);
        if ok {
            self.go_on_reloading(ctx);
        } else {
            detail.clone_into(&mut confirm.said);
        }
    }

    /// Whether the reload waits for a confirmation that the plan no longer asks for.
    pub(crate) fn is_unasked(&self) -> bool {
        let reload = self.spec.reload.as_ref();
        let asks = reload.is_some_and(|it| it.confirm.is_some());
        let waits = matches!(
            self.record.state,
            State::Reloading {
                confirm: Some(_),
                ..
            }
        );
        waits && !asks
    }

    /// A deadline of a reload may have passed: the next attempt to confirm, or the timeout. True:
    /// the reload is over, and another is queued.
    pub(crate) fn tick_reload(&mut self, ctx: &mut Context<'_>) -> bool {
        if self.is_unasked()
            && let State::Reloading { confirm, .. } = &mut self.record.state
        {
            // From here on the reload continues as a reload without confirmation.
            *confirm = None;
            self.go_on_reloading(ctx);
            return false;
        }
        let service = self.id;
        let patience = self.reload_patience().unwrap_or_default();
        let State::Reloading {
            up,
            until,
            number,
            confirm,
            ..
        } = &mut self.record.state
        else {
            return false;
        };
        if until
            .as_mut()
            .is_some_and(|until| ctx.is_over(until, patience))
        {
            let asked = confirm.take().filter(|it| !it.is_yes());
            let outcome = asked.map_or(ReloadOutcome::TimedOut, |it| {
                ReloadOutcome::NotConfirmed(it.said)
            });
            return self.end_reload(ctx, outcome);
        }
        if let (Some(number), Some(confirm)) = (*number, confirm)
            && confirm.due().is_some_and(|at| at <= ctx.now)
        {
            confirm.probing.next_at = None;
            ctx.out.push(Effect::Probe {
                service,
                run: up.run,
                probe: ProbeKind::Confirm(number),
            });
        }
        false
    }

    /// Goes back to running, or on to the next reload.
    fn reload_over(&mut self, ctx: &mut Context<'_>, outcome: ReloadOutcome) {
        if self.end_reload(ctx, outcome) {
            self.reload(ctx);
        }
    }

    /// Goes back to running and ends whatever still works on the reload. Returns whether another
    /// reload is queued.
    fn end_reload(&mut self, ctx: &mut Context<'_>, outcome: ReloadOutcome) -> bool {
        let State::Reloading {
            up,
            helper,
            reload_queued,
            ..
        } = &self.record.state
        else {
            return false;
        };
        let (up, reload_queued) = (up.clone(), *reload_queued);
        if let Some(helper) = *helper {
            ctx.out.push(Effect::Kill {
                service: self.id,
                run: helper.run(),
            });
        }
        self.record.state = State::Running {
            up,
            last_reload: Some(outcome),
        };
        reload_queued
    }

    /// Ends the reload command or validator: neither may outlive the run that it is about.
    pub(crate) fn drop_reload(&mut self, ctx: &mut Context<'_>) {
        if let State::Reloading { helper, .. } = &mut self.record.state
            && let Some(helper) = helper.take()
        {
            ctx.out.push(Effect::Kill {
                service: self.id,
                run: helper.run(),
            });
        }
    }
}
