//! What `ctl status` says: answered from memory.

use std::collections::BTreeSet;

use api::{ErrorReply, HeldBy, LastExit, ServiceStatus, StatusReply, SupervisorStatus};
use engine::{Exit, Failure, Goal, Moment, ServiceId, State, View};

use crate::{
    control::{Control, Now, text},
    service_query::matching,
};

/// What to do about a program that took over and did not work.
const WENT_BACK: &str = "the program that was installed last did not work as the control process, so the one before it runs: \
    install one that works, then run: ctl reexec";

impl Control {
    pub(in crate::control) fn status(&self, names: &[String]) -> Result<StatusReply, ErrorReply> {
        let named: BTreeSet<String> = matching(names, &self.cx.plan.services)?
            .into_iter()
            .collect();
        let wanted = |name: &String| names.is_empty() || named.contains(name);
        let services = self
            .cx
            .plan
            .services
            .values()
            .filter(|service| wanted(&service.name));
        Ok(StatusReply {
            supervisor: self.supervisor_status(),
            services: services
                .map(|service| self.service_status(service))
                .collect(),
        })
    }

    fn supervisor_status(&self) -> SupervisorStatus {
        SupervisorStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: nix::unistd::getpid().as_raw(),
            keeper_pid: self.cx.keeper.pid,
            uptime_seconds: self
                .cx
                .now
                .moment
                .0
                .saturating_sub(self.cx.keeper.started_ms)
                / 1000,
            control_restarts: self.cx.keeper.control_deaths,
            root: self.cx.plan.paths.root.display().to_string(),
            state: self.lifecycle.phase_name().to_owned(),
            warnings: self.warnings(),
            maintenance: self.maintenance.said().cloned(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.reconfigure.warnings().collect();
        warnings.extend(self.cx.keeper.went_back.then(|| WENT_BACK.to_owned()));
        warnings.extend(self.lifecycle.warnings());
        warnings.extend(self.leftovers.strays());
        warnings.extend(self.state_warnings.told());
        warnings.extend(self.holds.warning());
        warnings.extend(self.schedule.warning());
        warnings.extend(self.schedule.outcome_warnings(self.cx.now));
        warnings.extend(self.maintenance.warning());
        warnings.extend(self.status_files.warning());
        warnings.extend(self.audit.warning());
        warnings.extend(self.exits.warning());
        warnings.extend(self.running.warning());
        warnings.extend(self.file_watch.warning());
        warnings
    }

    pub(in crate::control) fn service_status(&self, service: &plan::Service) -> ServiceStatus {
        let id = self.cx.names.id(&service.name);
        let view = id.and_then(|id| Some((id, self.cx.engine.view(id)?)));
        let mut status = blank_status(service);
        if status.user.is_none() || !self.cx.own.is_root {
            // Without root every service has the supervisor's own user.
            status.user = Some(self.cx.own.user.clone());
        }
        if let Some((id, view)) = view {
            self.fill_status(&mut status, id, &view);
        }
        status
    }

    fn fill_status(&self, status: &mut ServiceStatus, id: ServiceId, view: &View) {
        let now = self.cx.now;
        let reason = self.reason(&status.name, view);
        let goal = if view.goal == Goal::Up { "up" } else { "down" };
        goal.clone_into(&mut status.goal);
        status.held = view.hold.as_ref().map(|hold| HeldBy {
            by: hold.by.clone(),
            at: text::time(hold.at_unix_ms),
        });
        status.leased = self.cx.leased_by(view);
        let planned = self.cx.plan.services.get(&status.name);
        let is_job = planned.is_some_and(|it| it.job);
        status.job = is_job.then(|| self.work.job_status(&self.cx, id, view));
        status.schedule = self.schedule_status(&status.name);
        view.state.name().clone_into(&mut status.state);
        status.ready = view.ready;
        status.healthy = self.healthy(&status.name, view);
        status.pid = self.pid(id);
        let since_unix_ms = match &view.hold {
            // Held since before this daemon: the engine has no moment for that.
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
        let log = self.log_troubles.reason(id);
        let reasons = [Some(reason).filter(|it| !it.is_empty()), log];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        status.reason = Some(reasons.join("; ")).filter(|reason| !reason.is_empty());
        status.waiting_on = self.waiting_on(view);
        let rests = view.goal == Goal::Up
            && matches!(
                view.state,
                State::Stopped | State::Completed | State::Failed { .. }
            );
        let next_run = self
            .schedule
            .next_run(&self.cx, &status.name)
            .filter(|_| rests);
        status.next_try_ms = match view.state {
            State::Backoff { until, .. } => Some(until.since(now.moment)),
            _ => next_run.as_ref().map(|(in_ms, _)| *in_ms),
        };
        if let Some((_, when)) = next_run {
            status.reason = Some(match status.reason.take() {
                Some(reason) => format!("{reason}; {when}"),
                None => when,
            });
        }
        status.last_reload = view.last_reload.as_ref().map(text::last_reload);
        status.status_text = self.last_words.status(id).cloned();
    }

    /// In words, why it is not what one would want; empty when there is nothing to say.
    pub(in crate::control) fn reason(&self, name: &str, view: &View) -> String {
        let id = self.cx.names.id(name);
        let waiting_on = self.waiting_on(view);
        if !waiting_on.is_empty() {
            return self.waiting_reason(&waiting_on);
        }
        if let State::Validating { run } | State::Spawning { run } = view.state
            && let Some(waits) = self.starts.waits_for(&self.cx, run)
        {
            return waits;
        }
        let reason = match (&view.state, self.cx.lease_reason(view)) {
            (State::Stopped | State::Stopping { .. }, Some(why)) if view.hold.is_none() => why,
            _ => text::reason(view, self.cx.now.moment),
        };
        let reason = match (&view.state, id.and_then(|id| self.last_words.refusal(id))) {
            (State::Backoff { .. }, Some(failure)) => format!("{failure}; {reason}"),
            (
                State::Failed {
                    reason: Failure::Validator,
                },
                Some(failure),
            ) => format!("{reason}: {failure}"),
            (
                State::Failed {
                    reason: Failure::Exited(_),
                },
                _,
            ) => match id.and_then(|id| self.work.failure_of(id, view)) {
                Some(message) => message.to_owned(),
                None => reason,
            },
            (
                State::Failed {
                    reason: Failure::Requirement(on),
                },
                _,
            ) => self.requirement_reason(*on),
            (
                State::Failed {
                    reason: Failure::Leftovers { .. },
                },
                _,
            ) => match id.and_then(|id| self.leftovers.of(id)) {
                Some(left) => format!("{reason}: {}", text::left(left)),
                None => reason,
            },
            _ => reason,
        };
        let certificate = id
            .and_then(|id| self.file_watch.certificate_reason(id))
            .filter(|_| matches!(view.state, State::Running { .. } | State::Reloading { .. }));
        let reason = match certificate {
            Some(certificate) if reason.is_empty() => certificate,
            Some(certificate) => format!("{certificate}; {reason}"),
            None => reason,
        };
        let listening = id.and_then(|id| self.listening.reason(id));
        let listening = listening.unwrap_or_default();
        let reasons = [listening, reason];
        let reasons = reasons.iter().filter(|it| !it.is_empty());
        let reason = reasons.cloned().collect::<Vec<_>>().join("; ");
        let Some(restarts) = self.flapping(name) else {
            return reason;
        };
        let flapping = format!("flapping: restarted {restarts} times since it began");
        if reason.is_empty() {
            return flapping;
        }
        format!("{reason}; {flapping}")
    }

    /// `could not begin: it requires postgresql, which is not up (failed: …)`.
    fn requirement_reason(&self, on: ServiceId) -> String {
        let name = self.cx.names.name(on).unwrap_or("?");
        let Some(view) = self.cx.engine.view(on).filter(|it| !it.ready) else {
            return format!("could not begin: it requires {name}, which was not up");
        };
        let why = self.reason(name, &view);
        let why = if why.is_empty() {
            String::new()
        } else {
            format!(": {why}")
        };
        let state = view.state.name();
        format!("could not begin: it requires {name}, which is not up ({state}{why})")
    }

    fn waiting_on(&self, view: &View) -> Vec<String> {
        match &view.state {
            State::Waiting { on } => on
                .iter()
                .filter_map(|id| self.cx.names.name(*id))
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        }
    }

    /// `waiting on postgresql (stopped by root at …), nginx (failed)`.
    fn waiting_reason(&self, on: &[String]) -> String {
        let each = on.iter().map(|name| {
            let view = self
                .cx
                .names
                .id(name)
                .and_then(|id| self.cx.engine.view(id));
            let state = view.map_or("gone", |view| match (&view.hold, &view.lease) {
                (Some(_), _) => "stopped by command",
                (None, Some(_)) => "stopped for a job",
                (None, None) => view.state.name(),
            });
            format!("{name} ({state})")
        });
        format!("waiting on {}", each.collect::<Vec<_>>().join(", "))
    }

    /// The main process of a service, while it has one.
    pub(in crate::control) fn pid(&self, id: ServiceId) -> Option<i32> {
        let run = self.cx.engine.main_run(id)?;
        self.cx.run(run)?.pid
    }
}

fn blank_status(service: &plan::Service) -> ServiceStatus {
    ServiceStatus {
        name: service.name.clone(),
        description: service.description.clone(),
        enabled: service.enabled,
        goal: "down".to_owned(),
        held: None,
        leased: None,
        job: None,
        schedule: None,
        state: if service.enabled {
            "stopped"
        } else {
            "disabled"
        }
        .to_owned(),
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
