//! The outcome of an operation for each of its services, once known.
//!
//! [`judgement`] decides, from what is seen of one service, and is pure. [`Operations::judge`] asks
//! it about the targets that may have come to their end, and says which have: the caller looks up
//! in what state each is, in words, and gives that to [`Operations::conclude`]. Once all targets
//! have ended, the operation has, unless it goes back (`going_back.rs`).

use std::collections::{BTreeMap, BTreeSet};

use api::{ActionResult, JobResult, ServiceState, ServiceStatus, Verdict};
use engine::{Exit, Failure, Goal, Moment, ReloadOutcome, RunId, ServiceId, Settled, State, View};
use nix::sys::signal::Signal;

use crate::control::{
    Context,
    monitors::listening::{Listening, Progress},
    operations::{
        going_back::GoingBack,
        list::Operations,
        operation::Operation,
        target::{Kind, Target},
    },
    stability::stable_at,
};

/// Which accepted, unfinished operations to look at, and which of their targets.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) enum JudgeScope<'a> {
    /// All targets of all operations.
    All,
    /// All targets of operations whose look is due.
    Due,
    /// All targets of this operation.
    One(&'a str),
    /// These services, for every operation: keeps a look cheap when an operation is about a
    /// thousand services.
    At(&'a BTreeSet<ServiceId>),
}

/// The state of services, for reading.
#[derive(Clone, Copy)]
pub(in crate::control) struct Services<'a> {
    pub(in crate::control) cx: &'a Context,
    pub(in crate::control) listening: &'a Listening,
    /// Everything that runs had said and done by then is known.
    pub(in crate::control) heard: Moment,
}

/// The end of an operation for one service.
#[derive(Debug)]
pub(in crate::control) struct Ended {
    operation: String,
    pub(in crate::control) service: ServiceId,
    judgement: Judgement,
}

/// The outcome for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Judgement {
    verdict: Verdict,
    /// Whether the stop needed SIGKILL. Such a stop has succeeded, and its result says so.
    killed: bool,
}

/// The observed state of one service.
#[derive(Debug)]
struct Seen {
    /// None: the service has left the plan.
    view: Option<View>,
    run: Option<RunId>,
    settled: Option<Settled>,
    listening: Progress,
}

impl Operations {
    /// The services for which operations have ended.
    pub(in crate::control) fn judge(
        &mut self,
        services: Services<'_>,
        look: JudgeScope<'_>,
    ) -> Vec<Ended> {
        let mut ended = Vec::new();
        let heard = services.heard;
        for operation in self.list.iter_mut().filter(|it| it.is_open()) {
            match look {
                JudgeScope::All => {}
                JudgeScope::Due if operation.look_at.is_some_and(|at| at <= heard) => {}
                JudgeScope::One(id) if operation.id == id => {}
                JudgeScope::Due | JudgeScope::One(_) => continue,
                JudgeScope::At(ids) => {
                    operation.judge(services, ids.iter(), &mut ended);
                    continue;
                }
            }
            operation.look_at = None;
            let all: Vec<ServiceId> = operation.awaited().keys().copied().collect();
            operation.judge(services, all.iter(), &mut ended);
            self.altered = true;
        }
        ended
    }

    /// Takes the state of a service for which an operation has ended.
    pub(in crate::control) fn conclude(
        &mut self,
        cx: &Context,
        ended: &Ended,
        status: Option<ServiceStatus>,
    ) {
        let Some(operation) = self.get(&ended.operation) else {
            return;
        };
        let mut result = result(cx.name(ended.service), ended.judgement.verdict, status);
        if ended.judgement.killed {
            result.detail = joined(&["needed SIGKILL", &result.detail]);
        }
        if let Some(said) = operation.job.said() {
            tell_result(&mut result, said);
        }
        if let Some(why) = operation.job.unreadable() {
            result.detail = joined(&[&result.detail, why]);
        }
        if let Some(target) = operation.awaited().get_mut(&ended.service) {
            target.result = Some(result);
        }
    }

    /// Finishes operations whose targets have all ended, or sends them on their way back.
    /// `way_back`: the way back of a reconfiguration with such targets, if any.
    pub(in crate::control) fn finish(
        &mut self,
        way_back: impl Fn(&str, &BTreeMap<ServiceId, Target>) -> Option<GoingBack>,
    ) {
        for operation in self.list.iter_mut().filter(|it| it.is_open()) {
            if !operation.targets.values().all(Target::is_over) {
                continue;
            }
            if operation.going_back.is_none() {
                operation.going_back = way_back(&operation.id, &operation.targets);
            }
            let going_back = operation.going_back.as_ref();
            operation.finished = going_back.is_none_or(GoingBack::is_over);
        }
    }
}

impl Operation {
    fn judge<'a>(
        &mut self,
        services: Services<'_>,
        ids: impl Iterator<Item = &'a ServiceId>,
        ended: &mut Vec<Ended>,
    ) {
        let kind = self.kind;
        if kind == Kind::Job && !self.is_result_read() {
            return;
        }
        let mut look_at = self.look_at;
        for id in ids {
            let Some(target) = self.awaited().get(id).filter(|it| !it.is_over()) else {
                continue;
            };
            let looks_on = kind == Kind::Reconfigure && !target.reloads;
            if let Some(until) = stable_at(services.cx, services.heard, *id).filter(|_| looks_on) {
                look_at = look_at.map_or(Some(until), |at| Some(at.min(until)));
                continue;
            }
            let seen = Seen::of(services, *id);
            if let Some(judgement) = judgement(kind, target, &seen) {
                ended.push(Ended {
                    operation: self.id.clone(),
                    service: *id,
                    judgement,
                });
            }
        }
        self.look_at = look_at;
    }
}

impl Seen {
    fn of(Services { cx, listening, .. }: Services<'_>, id: ServiceId) -> Self {
        Self {
            view: cx.engine.view(id),
            run: cx.engine.main_run(id),
            settled: cx.engine.settled(id),
            listening: listening.of(id),
        }
    }
}

/// The outcome of an operation for one service; none: still open.
fn judgement(kind: Kind, target: &Target, seen: &Seen) -> Option<Judgement> {
    let Some(view) = &seen.view else {
        // The service left the plan, as the reconfiguration wants.
        return Some(Verdict::Done.into());
    };
    match kind {
        Kind::Signal(_) => Some(target.done().into()),
        Kind::Job if view.state == State::Completed => Some(Verdict::Done.into()),
        Kind::Job => Some(Verdict::Failed.into()),
        Kind::Stop | Kind::Lease => once_down(kind, target, view),
        Kind::Reconfigure if target.reloads => once_up(Kind::Reload, target, seen),
        Kind::Reconfigure if view.goal != Goal::Up => once_down(kind, target, view),
        Kind::Start | Kind::Restart | Kind::Reload | Kind::Release | Kind::Reconfigure => {
            once_up(kind, target, seen)
        }
    }
}

/// The outcome for a service that is to be down.
fn once_down(kind: Kind, target: &Target, view: &View) -> Option<Judgement> {
    match view.state {
        State::Failed {
            reason: Failure::Leftovers { .. },
        } => Some(Verdict::Failed.into()),
        // A completed service counts as stopped too, once its requirers are down.
        State::Stopped | State::Failed { .. } => {
            let exit = view.last_exit.map(|(exit, _)| exit);
            let by_kill = exit == Some(Exit::Signal(Signal::SIGKILL as i32));
            Some(Judgement {
                verdict: target.done(),
                killed: by_kill && target.run_before.is_some(),
            })
        }
        // A client has started the service again before it was down.
        _ if kind == Kind::Stop && view.goal == Goal::Up => Some(Verdict::Failed.into()),
        // The job has ended before the service was down.
        _ if kind == Kind::Lease && view.lease.is_none() => Some(Verdict::Failed.into()),
        _ => None,
    }
}

/// The outcome for a service that is to be up.
fn once_up(kind: Kind, target: &Target, seen: &Seen) -> Option<Judgement> {
    let view = seen.view.as_ref()?;
    if kind == Kind::Restart && seen.run.is_some() && seen.run == target.run_before {
        return None;
    }
    if kind == Kind::Reload && matches!(view.state, State::Reloading { .. }) {
        return None;
    }
    let reload = view.last_reload.as_ref().filter(|_| kind == Kind::Reload);
    let refused = reload.is_some_and(ReloadOutcome::is_failure);
    let failed = refused || seen.listening == Progress::Failed;
    match seen.settled.as_ref()? {
        Settled::No => None,
        Settled::Ready if seen.listening == Progress::Awaited => None,
        Settled::Ready | Settled::Completed if !failed => Some(target.done().into()),
        _ => Some(Verdict::Failed.into()),
    }
}

impl From<Verdict> for Judgement {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            killed: false,
        }
    }
}

fn result(name: &str, verdict: Verdict, status: Option<ServiceStatus>) -> ActionResult {
    let Some(status) = status else {
        return ActionResult {
            service: name.to_owned(),
            verdict,
            state: Some(ServiceState::Gone),
            pid: None,
            seconds: 0,
            state_in_full: None,
            detail: String::new(),
        };
    };
    let reason = status.reason.unwrap_or_default();
    // Of these two the reason begins with the state.
    let names_state = match status.state {
        ServiceState::Stopped => status.held.is_some(),
        state => state == ServiceState::Waiting,
    };
    let (state_in_full, detail) = if names_state {
        (Some(reason), String::new())
    } else {
        (None, reason)
    };
    ActionResult {
        service: name.to_owned(),
        verdict,
        state: Some(status.state),
        pid: status.pid,
        seconds: status.uptime_seconds.unwrap_or(0),
        state_in_full,
        detail,
    }
}

/// The job's own result comes first: a job has not done what it reports as not done.
fn tell_result(result: &mut ActionResult, said: &JobResult) {
    if !said.ok {
        result.verdict = Verdict::Failed;
    }
    // The reason of a job that has failed may be that very message.
    if result.detail != said.message {
        result.detail = joined(&[&said.message, &result.detail]);
    }
}

fn joined(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|it| !it.is_empty()).collect();
    parts.join("; ")
}

#[cfg(test)]
mod tests;
