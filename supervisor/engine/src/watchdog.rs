//! The watchdog: a run that is up must say that it is alive, again and again. Unlike with a probe,
//! the run speaks and the engine waits; so every notification only moves a deadline.

use crate::{
    context::Context,
    ids::Moment,
    service::Service,
    spec::WatchdogAction,
    state::StopCause,
    up::{WatchdogVerdict, Watching},
};

const SILENT: &str = "its watchdog heard nothing of it in time";
const TRIGGERED: &str = "it triggered its watchdog itself";

impl Service {
    /// Longest silence of the present run; `None`: no limit.
    fn watchdog_timeout(&self) -> Option<u64> {
        let spec = self.spec.watchdog.as_ref()?;
        let told = self.record.run_terms.and_then(|it| it.watchdog_ms);
        let timeout = told.unwrap_or(spec.timeout_ms);
        (timeout > 0).then_some(timeout)
    }

    /// The watchdog of a run that has just become ready.
    pub(crate) fn watch(&self, now: Moment) -> Option<Watching> {
        self.spec.watchdog?;
        Some(Watching {
            by: self.watchdog_timeout().map(|ms| now.after(ms)),
            verdict: None,
        })
    }

    /// The run says that it is alive, which ends a silence that was shown.
    pub(crate) fn alive(&mut self, ctx: &Context<'_>) {
        let by = self.watchdog_timeout().map(|ms| ctx.now.after(ms));
        let Some(up) = self.record.state.up_mut() else {
            return;
        };
        let Some(watchdog) = &mut up.watchdog else {
            return;
        };
        *watchdog = Watching {
            by,
            verdict: Some(WatchdogVerdict::Alive),
        };
    }

    /// Acts on the watchdog's deadline if the deadline has passed.
    pub(crate) fn tick_watchdog(&mut self, ctx: &mut Context<'_>) {
        let timeout = self.watchdog_timeout().unwrap_or_default();
        let watchdog = self
            .record
            .state
            .up_mut()
            .and_then(|up| up.watchdog.as_mut());
        let by = watchdog.and_then(|it| it.by.as_mut());
        if by.is_some_and(|by| ctx.is_over(by, timeout)) {
            self.watchdog_failed(ctx, WatchdogVerdict::Silent);
        }
    }

    /// The run says that it has failed.
    pub(crate) fn watchdog_triggered(&mut self, ctx: &mut Context<'_>) {
        self.watchdog_failed(ctx, WatchdogVerdict::Triggered);
    }

    fn watchdog_failed(&mut self, ctx: &mut Context<'_>, verdict: WatchdogVerdict) {
        let Some(spec) = &self.spec.watchdog else {
            // The run gets a restart by a plan that has removed its watchdog, and others have to
            // stop first.
            if let Some(up) = self.record.state.up_mut() {
                up.watchdog = None;
            }
            return;
        };
        let action = spec.action;
        let up = self.record.state.up_mut();
        let Some(watchdog) = up.and_then(|up| up.watchdog.as_mut()) else {
            return;
        };
        match action {
            WatchdogAction::Restart => {
                let triggered = verdict == WatchdogVerdict::Triggered;
                let why = if triggered { TRIGGERED } else { SILENT };
                self.record.detail = why.into();
                self.count_death(ctx.now, false);
                self.begin_stop(ctx, StopCause::Watchdog);
            }
            WatchdogAction::Degrade => {
                *watchdog = Watching {
                    by: None,
                    verdict: Some(verdict),
                };
            }
        }
    }

    /// The run says how long it may be silent, possibly before it is ready.
    pub(crate) fn watchdog_told(&mut self, now: Moment, ms: u64) {
        if self.spec.watchdog.is_none() {
            return;
        }
        if let Some(terms) = &mut self.record.run_terms {
            terms.watchdog_ms = Some(ms);
        }
        self.restart_watchdog(now);
    }

    /// Applies a plan's changed watchdog to a run that goes on.
    pub(crate) fn take_watchdog(&mut self, now: Moment) {
        let fresh = self.watch(now);
        let Some(up) = self.record.state.up_mut() else {
            return;
        };
        if up.watchdog.is_none() || fresh.is_none() {
            up.watchdog = fresh;
        } else {
            self.restart_watchdog(now);
        }
    }

    /// Restarts the watchdog's time: a new control process has heard nothing yet.
    pub(crate) fn resume_watchdog(&mut self, now: Moment) {
        let up = self.record.state.up();
        if up.is_some_and(|up| up.watchdog.is_some_and(|it| it.by.is_some())) {
            self.restart_watchdog(now);
        }
    }

    fn restart_watchdog(&mut self, now: Moment) {
        let by = self.watchdog_timeout().map(|ms| now.after(ms));
        if let Some(watchdog) = self
            .record
            .state
            .up_mut()
            .and_then(|up| up.watchdog.as_mut())
        {
            watchdog.by = by;
        }
    }
}
