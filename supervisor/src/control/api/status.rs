//! The content of `ctl status`, for the supervisor and for each service.

use std::collections::BTreeSet;

use api::{ErrorReply, HeldBy, LastExit, ServiceState, ServiceStatus, SupervisorStatus};
use engine::{Exit, Goal, Moment, ServiceId, State, View};
use keeper::message::KeeperRefusal;

use crate::{
    control::{
        Context, Now,
        api::{
            reason::Reason,
            views::{Views, waiting_on},
        },
        service_state::service_state,
        text,
    },
    service_query::matching,
};

/// Hint for an installed program that took over and did not work.
pub(in crate::control) const WENT_BACK: &str = "the program that was installed last did not work as the control process, so the one before it runs: \
    install one that works, then run: ctl reexec";

/// Warning for an installed program that did not become the keeper's.
pub(in crate::control) fn keeper_went_on(why: &KeeperRefusal) -> String {
    format!(
        "the keeper goes on with the program that it has: {why}; install one that works, then run: ctl reexec --keeper"
    )
}

/// The status of the supervisor itself.
pub(in crate::control) fn of_supervisor(
    cx: &Context,
    state: api::DaemonState,
    warnings: Vec<String>,
    maintenance: Option<api::Maintenance>,
) -> SupervisorStatus {
    let uptime_ms = cx.now.moment.0.saturating_sub(cx.keeper.started_ms);
    SupervisorStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: nix::unistd::getpid().as_raw(),
        keeper_pid: cx.keeper.pid,
        keeper_version: cx.keeper.version.clone(),
        keeper_execs: cx.keeper.execs,
        uptime_seconds: uptime_ms / 1000,
        control_restarts: cx.keeper.control_deaths,
        root: cx.plan.paths.root.display().to_string(),
        state,
        warnings,
        maintenance,
    }
}

impl Views<'_> {
    /// The status of services with these names, or patterns of names; of all without names.
    pub(in crate::control) fn services(
        &self,
        names: &[String],
    ) -> Result<Vec<ServiceStatus>, ErrorReply> {
        let named: BTreeSet<String> = matching(names, &self.cx.plan.services)?
            .into_iter()
            .collect();
        let services = self.cx.plan.services.values();
        let wanted = services.filter(|it| names.is_empty() || named.contains(&it.name));
        Ok(wanted.map(|service| self.service(service)).collect())
    }

    /// The status of a service.
    pub(in crate::control) fn service(&self, service: &plan::Service) -> ServiceStatus {
        self.service_and_reason(service).0
    }

    /// The status of a service, and the clauses of its reason.
    pub(in crate::control) fn service_and_reason(
        &self,
        service: &plan::Service,
    ) -> (ServiceStatus, Reason) {
        let mut status = blank_status(service);
        if status.user.is_none() || !self.cx.own.is_root {
            // Without root every service runs as the supervisor's own user.
            status.user = Some(self.cx.own.user.clone());
        }
        let id = self.cx.names.id(&service.name);
        let view = id.and_then(|id| Some((id, self.cx.engine.view(id)?)));
        let reason = match &view {
            Some((id, view)) => self.fill(&mut status, service, *id, view),
            None => Reason::other(status.reason.take().unwrap_or_default()),
        };
        status.reason = Some(reason.to_string()).filter(|it| !it.is_empty());
        (status, reason)
    }

    /// Fills in the engine's knowledge of a service. Returns the reason of its state.
    fn fill(
        &self,
        status: &mut ServiceStatus,
        service: &plan::Service,
        id: ServiceId,
        view: &View,
    ) -> Reason {
        let now = self.cx.now;
        status.goal = match view.goal {
            Goal::Up => api::Goal::Up,
            Goal::Down => api::Goal::Down,
        };
        status.held = view.hold.as_ref().map(|hold| HeldBy {
            by: hold.by.clone(),
            at: text::time(hold.at_unix_ms),
        });
        status.leased = self.cx.leased_by(view);
        status.job = service.job.then(|| self.work.status(self.cx, id, view));
        status.schedule = self.schedule.status(&service.name, now);
        status.state = service_state(&view.state);
        status.ready = view.ready;
        status.healthy = self.healthy(id, view);
        status.pid = self.cx.pid(id);
        let since_unix_ms = match &view.hold {
            // The hold is older than this daemon, so the engine has no moment for it.
            Some(hold) if view.since == Moment(0) => hold.at_unix_ms,
            _ => {
                let running = matches!(view.state, State::Running { .. });
                let up_since = view.up_since.filter(|_| running);
                unix_of(now, up_since.unwrap_or(view.since))
            }
        };
        status.since = Some(text::time(since_unix_ms));
        status.uptime_seconds = Some(now.unix_ms.saturating_sub(since_unix_ms) / 1000);
        status.restarts = view.restarts;
        status.last_exit = view
            .last_exit
            .map(|(exit, at)| last_exit(exit, unix_of(now, at)));
        let waiting_on = waiting_on(view).into_iter();
        status.waiting_on = waiting_on.map(|id| self.cx.name(id).to_owned()).collect();
        let rests = view.goal == Goal::Up
            && matches!(
                view.state,
                State::Stopped | State::Completed | State::Failed { .. }
            );
        let next_run = self
            .schedule
            .next_run(self.cx, &service.name)
            .filter(|_| rests);
        status.next_try_ms = match view.state {
            State::Backoff { until, .. } => Some(until.since(now.moment)),
            _ => next_run.as_ref().map(|(in_ms, _)| *in_ms),
        };
        status.last_reload = view.last_reload.as_ref().map(text::last_reload);
        status.status_text = self.last_words.status(id).cloned();
        let mut reason = self.reason(id, view);
        let log = self.log_troubles.reason(id);
        reason.push(log.unwrap_or_default());
        reason.push(next_run.map(|(_, when)| when).unwrap_or_default());
        reason
    }
}

fn blank_status(service: &plan::Service) -> ServiceStatus {
    ServiceStatus {
        name: service.name.clone(),
        description: service.description.clone(),
        enabled: service.enabled,
        goal: api::Goal::Down,
        held: None,
        leased: None,
        job: None,
        schedule: None,
        state: if service.enabled {
            ServiceState::Stopped
        } else {
            ServiceState::Disabled
        },
        ready: false,
        healthy: None,
        pid: None,
        since: None,
        uptime_seconds: None,
        restarts: 0,
        last_exit: None,
        last_reload: None,
        reason: (!service.enabled)
            .then(|| service.enable_hint.clone())
            .filter(|hint| !hint.is_empty()),
        waiting_on: Vec::new(),
        next_try_ms: None,
        cpu_percent: None,
        memory_bytes: None,
        user: service.user.clone(),
        status_text: None,
    }
}

fn last_exit(exit: Exit, at_unix_ms: u64) -> LastExit {
    let (code, signal) = match exit {
        Exit::Code(code) => (Some(code), None),
        Exit::Signal(signal) => (None, Some(::text::signal::shown(signal))),
    };
    LastExit {
        code,
        signal,
        reason: text::exit(exit),
        at: text::time(at_unix_ms),
    }
}

fn unix_of(now: Now, moment: engine::Moment) -> u64 {
    now.unix_ms.saturating_sub(now.moment.since(moment))
}
