//! How a change has ended for each of its services, if it has.

use std::collections::BTreeSet;

use api::{ActionResult, JobResult, Verdict};
use engine::{ReloadOutcome, Settled, State};

use crate::control::{
    Control,
    monitors::listening::Progress,
    operations::{Kind, Operation, Target},
};

impl Control {
    /// Looks at the targets that may have come to their end; `affected` keeps this cheap when a
    /// change is about a thousand services.
    pub(super) fn evaluate(&self, change: &mut Operation, affected: &BTreeSet<String>) {
        let kind = change.kind;
        if kind == Kind::Job && !change.is_result_read() {
            return;
        }
        let mut look_at = change.look_at;
        let said = change.job.said().cloned();
        let unread = change.job.unreadable().map(str::to_owned);
        for name in affected {
            if let Some(target) = change.awaited().get_mut(name)
                && target.result.is_none()
            {
                let looks_on = kind == Kind::Reconfigure && !target.reloads;
                if let Some(until) = self.stable_at(name).filter(|_| looks_on) {
                    look_at = look_at.map_or(Some(until), |at| Some(at.min(until)));
                    continue;
                }
                target.result = self.verdict(kind, name, target);
                if let (Some(verdict), Some(said)) = (&mut target.result, &said) {
                    tell_result(verdict, said);
                }
                if let (Some(verdict), Some(why)) = (&mut target.result, &unread) {
                    let sep = if verdict.detail.is_empty() { "" } else { "; " };
                    verdict.detail = format!("{}{sep}{why}", verdict.detail);
                }
            }
        }
        change.look_at = look_at;
        self.finish_if_over(change);
    }

    /// How the change has ended for one service, if it has.
    fn verdict(&self, kind: Kind, name: &str, target: &Target) -> Option<ActionResult> {
        let Some(view) = self
            .cx
            .names
            .id(name)
            .and_then(|id| self.cx.engine.view(id))
        else {
            // It left the plan, which for a reconfiguration is what was asked.
            return Some(self.result(name, Verdict::Done));
        };
        let done = if target.already {
            Verdict::Already
        } else {
            Verdict::Done
        };
        let kind = match kind {
            Kind::Reconfigure if target.reloads => Kind::Reload,
            other => other,
        };
        let wants_up = match kind {
            Kind::Signal(_) => return Some(self.result(name, done)),
            Kind::Stop | Kind::Lease => false,
            Kind::Start | Kind::Restart | Kind::Reload | Kind::Release => true,
            Kind::Job => return Some(self.job_verdict(name, &view.state)),
            Kind::Reconfigure => view.goal == engine::Goal::Up,
        };
        if !wants_up {
            return match view.state {
                State::Failed {
                    reason: engine::Failure::Leftovers { .. },
                } => Some(self.result(name, Verdict::Failed)),
                // What is completed is stopped as well, once what requires it is down.
                State::Stopped | State::Failed { .. } => {
                    Some(self.stopped_result(name, done, target))
                }
                // Somebody has started it again before it was down.
                _ if kind == Kind::Stop && view.goal == engine::Goal::Up => {
                    Some(self.result(name, Verdict::Failed))
                }
                // The job has ended before it was down.
                _ if kind == Kind::Lease && view.lease.is_none() => {
                    Some(self.result(name, Verdict::Failed))
                }
                _ => None,
            };
        }
        let run = self.cx.main_run_of(name);
        if kind == Kind::Restart && run.is_some() && run == target.run_before {
            return None;
        }
        if kind == Kind::Reload && matches!(view.state, State::Reloading { .. }) {
            return None;
        }
        let outcome = view.last_reload.as_ref().filter(|_| kind == Kind::Reload);
        let id = self.cx.names.id(name);
        let listening = id.map_or(Progress::Done, |id| self.listening.of(id));
        let failed =
            outcome.is_some_and(ReloadOutcome::is_failure) || listening == Progress::Failed;
        match self.settled(name)? {
            Settled::No => None,
            Settled::Ready if listening == Progress::Awaited => None,
            Settled::Ready | Settled::Completed if !failed => Some(self.result(name, done)),
            _ => Some(self.result(name, Verdict::Failed)),
        }
    }

    /// A job that is over has done its work, or has not.
    fn job_verdict(&self, name: &str, state: &State) -> ActionResult {
        let done = matches!(state, State::Completed);
        let verdict = if done { Verdict::Done } else { Verdict::Failed };
        self.result(name, verdict)
    }

    /// The result of a stop: one that needed SIGKILL has succeeded, and says so.
    fn stopped_result(&self, name: &str, verdict: Verdict, target: &Target) -> ActionResult {
        let mut result = self.result(name, verdict);
        let view = self
            .cx
            .names
            .id(name)
            .and_then(|id| self.cx.engine.view(id));
        let exit = view.and_then(|view| view.last_exit).map(|(exit, _)| exit);
        let kill = nix::sys::signal::Signal::SIGKILL as i32;
        if target.run_before.is_some() && exit == Some(engine::Exit::Signal(kill)) {
            let rest = std::mem::take(&mut result.detail);
            let sep = if rest.is_empty() { "" } else { "; " };
            result.detail = format!("needed SIGKILL{sep}{rest}");
        }
        result
    }

    fn result(&self, name: &str, verdict: Verdict) -> ActionResult {
        let status = self
            .cx
            .plan
            .services
            .get(name)
            .map(|service| self.service_status(service));
        ActionResult {
            service: name.to_owned(),
            verdict,
            state: status
                .as_ref()
                .map_or("gone", |status| &status.state)
                .to_owned(),
            pid: status.as_ref().and_then(|status| status.pid),
            seconds: status
                .as_ref()
                .and_then(|status| status.uptime_seconds)
                .unwrap_or(0),
            detail: status.and_then(|status| status.reason).unwrap_or_default(),
        }
    }
}

/// What a job says itself of how it ended comes first; it has not done what it says it has not.
fn tell_result(verdict: &mut ActionResult, said: &JobResult) {
    if !said.ok {
        verdict.verdict = Verdict::Failed;
    }
    let why = std::mem::take(&mut verdict.detail);
    let both = [said.message.as_str(), why.as_str()];
    let both: Vec<&str> = both.into_iter().filter(|it| !it.is_empty()).collect();
    verdict.detail = both.join("; ");
}
