//! Read-only access to everything that describes a service: the source of `ctl status`, `ctl why`,
//! metrics, events and alerts.
//!
//! Owns nothing. [`super::super::Control::views`] makes a view for one answer; a view changes
//! nothing, so what is shown is a pure function of the components' state at that moment.

use engine::{Failure, ServiceId, State, View};

use crate::control::{
    Context,
    alerts::Alerts,
    api::reason::Reason,
    monitors::{
        file_watch::FileWatch,
        listening::{Listening, Progress},
    },
    runs::{
        last_words::LastWords, leftovers::Leftovers, log_troubles::LogTroubles, starts::Starts,
    },
    schedule::Schedule,
    service_state::service_state,
    shutdown::Shutdown,
    text,
    work::Work,
};

/// Borrows of the components; see the module.
#[derive(Clone, Copy)]
pub(in crate::control) struct Views<'a> {
    pub(in crate::control) cx: &'a Context,
    pub(in crate::control) alerts: &'a Alerts,
    pub(in crate::control) file_watch: &'a FileWatch,
    pub(in crate::control) last_words: &'a LastWords,
    pub(in crate::control) leftovers: &'a Leftovers,
    pub(in crate::control) listening: &'a Listening,
    pub(in crate::control) log_troubles: &'a LogTroubles,
    pub(in crate::control) schedule: &'a Schedule,
    pub(in crate::control) shutdown: &'a Shutdown,
    pub(in crate::control) starts: &'a Starts,
    pub(in crate::control) work: &'a Work,
}

impl Views<'_> {
    /// Whether a service is healthy: its probes decide, unless its certificates or addresses are
    /// bad. None: no verdict from any of them.
    pub(in crate::control) fn healthy(&self, id: ServiceId, view: &View) -> Option<bool> {
        let deaf = self.listening.of(id) == Progress::Failed;
        if is_up(view) && (deaf || self.file_watch.certificate_trouble(id).is_some()) {
            return Some(false);
        }
        view.healthy
    }

    /// The reason of a service as a sentence; empty when there is no reason.
    pub(in crate::control) fn reason_of(&self, id: ServiceId) -> String {
        let view = self.cx.engine.view(id);
        view.map_or_else(String::new, |view| self.reason(id, &view).to_string())
    }

    /// Why a service is not up and healthy.
    pub(in crate::control) fn reason(&self, id: ServiceId, view: &View) -> Reason {
        let waiting_on = waiting_on(view);
        if !waiting_on.is_empty() {
            return Reason::other(self.waiting_reason(&waiting_on));
        }
        if let State::Validating { run, .. } | State::Spawning { run, .. } = view.state
            && let Some(waits) = self.starts.waits_for(self.cx, run)
        {
            return Reason::other(waits);
        }
        let mut reason = Reason::default();
        reason.extend(self.listening.reason(id));
        if is_up(view) {
            reason.extend(self.file_watch.certificate_reason(id));
        }
        reason.extend(self.state_reason(id, view));
        if let Some(restarts) = self.alerts.flapping(id, self.cx.now.moment) {
            reason.push(format!(
                "flapping: restarted {restarts} times since it began"
            ));
        }
        reason
    }

    /// Why a service is in its state.
    fn state_reason(&self, id: ServiceId, view: &View) -> Reason {
        let at_rest = matches!(view.state, State::Stopped | State::Stopping { .. });
        if at_rest
            && view.hold.is_none()
            && let Some(leased) = self.cx.lease_reason(view)
        {
            return Reason::other(leased);
        }
        let reason = text::reason(view, self.cx.now.moment);
        let failure = self.last_words.refusal(id);
        let State::Failed { reason: why } = &view.state else {
            return match failure {
                Some(failure) if matches!(view.state, State::Backoff { .. }) => {
                    let mut both = Reason::other(failure);
                    both.extend(reason);
                    both
                }
                _ => reason,
            };
        };
        let said = match why {
            Failure::Validator => failure.map(|said| format!("{reason}: {said}")),
            Failure::Exited(_) => self.work.message(id, view).map(str::to_owned),
            Failure::Requirement(on) => Some(self.requirement_reason(*on)),
            Failure::Leftovers { .. } => {
                let left = self.leftovers.of(id);
                left.map(|left| format!("{reason}: {}", text::left(left)))
            }
            _ => None,
        };
        said.map_or(reason, Reason::other)
    }

    /// `could not begin: it requires postgresql, which is not up (failed: …)`.
    fn requirement_reason(&self, on: ServiceId) -> String {
        let name = self.cx.name(on);
        let Some(view) = self.cx.engine.view(on).filter(|it| !it.ready) else {
            return format!("could not begin: it requires {name}, which was not up");
        };
        let reason = self.reason(on, &view);
        let why = if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        };
        let state = service_state(&view.state).as_str();
        format!("could not begin: it requires {name}, which is not up ({state}{why})")
    }

    /// `waiting on postgresql (stopped by command), nginx (failed)`.
    fn waiting_reason(&self, on: &[ServiceId]) -> String {
        let each = on.iter().map(|id| {
            let view = self.cx.engine.view(*id);
            let state = view.map_or("gone", |view| match (&view.hold, &view.lease) {
                (Some(_), _) => "stopped by command",
                (None, Some(_)) => "stopped for a job",
                (None, None) => service_state(&view.state).as_str(),
            });
            format!("{} ({state})", self.cx.name(*id))
        });
        format!("waiting on {}", each.collect::<Vec<_>>().join(", "))
    }
}

/// Whether a service has a process that is to serve.
const fn is_up(view: &View) -> bool {
    matches!(view.state, State::Running { .. } | State::Reloading { .. })
}

/// Services that a service waits for.
pub(in crate::control) fn waiting_on(view: &View) -> Vec<ServiceId> {
    match &view.state {
        State::Waiting { on } => on.iter().copied().collect(),
        _ => Vec::new(),
    }
}
