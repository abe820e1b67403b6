//! One service: its policy (`spec`), its record, and what follows from the two: the next deadline,
//! which facts concern the service, what people may see. The modules of the transitions change the
//! state.

use alloc::boxed::Box;

use crate::{
    effect::{Effect, SignalPurpose},
    event::Fact,
    ids::{Moment, RunId, ServiceId},
    input::Input,
    probe,
    reasons::RestartReason,
    record::Record,
    spec::{Kind, Ready, Spec},
    state::{Failure, State, StopPhase},
    up::{Probing, ReportedProbe, Up, WatchdogVerdict},
    view::{Unhealthy, View},
};

/// One service: its policy and its record.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) id: ServiceId,
    pub(crate) spec: Box<Spec>,
    pub(crate) record: Record,
}

impl Service {
    /// The input that a fact is to this service; `None` when no run of the service could have
    /// caused the fact.
    pub(crate) fn input_of<'a>(&self, fact: &'a Fact) -> Option<Input<'a>> {
        let run = Some(fact.run());
        if self.record.leftovers.map(|it| it.run) == run {
            return match fact {
                // The leftover run was a validator's, and has ended.
                Fact::Validated { .. } | Fact::SpawnFailed { .. } => Some(Input::Leftovers(0)),
                Fact::Swept { left, .. } => Some(Input::Leftovers(*left)),
                Fact::Exited { exit, .. } => Some(Input::LeftoverEnded(*exit)),
                _ => None,
            };
        }
        let is_main = self.record.main_run() == run;
        let known = match fact {
            Fact::Validated { .. } => self.record.validator() == run,
            // A command that was killed because it took too long may end during the next reload.
            Fact::Reloaded { .. } => self.record.reload_run() == run,
            Fact::SpawnFailed { .. } => {
                is_main || self.record.validator() == run || self.record.reload_run() == run
            }
            // A killed validator may be reported like any other run.
            _ => is_main || self.is_stopping(fact.run()),
        };
        known.then_some(Input::Fact(fact))
    }

    fn is_stopping(&self, of: RunId) -> bool {
        matches!(&self.record.state, State::Stopping { run, .. } if *run == of)
    }

    /// The earliest deadline, at which [`Input::Tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let at = |probe: &Option<Probing>| probe.and_then(|probe| probe.next_at);
        let health = |up: &Up| up.health.as_ref().and_then(|it| it.probing.next_at);
        let up = |up: &Up| {
            let watchdog = up.watchdog.and_then(|it| it.by);
            let probes = at(&up.liveness).into_iter().chain(health(up));
            up.stable_at.into_iter().chain(probes).chain(watchdog).min()
        };
        let all = match &self.record.state {
            State::Starting {
                ready_by,
                probe,
                ready_at,
                ..
            } => [*ready_by, at(probe), *ready_at],
            State::Running { up: it, .. } => [up(it), None, None],
            State::Reloading {
                up: it,
                until,
                confirm,
                ..
            } => [
                up(it),
                *until,
                confirm.as_ref().and_then(ReportedProbe::due),
            ],
            State::Stopping {
                phase:
                    StopPhase::Asked {
                        escalate_at,
                        kill_at,
                        ..
                    },
                ..
            } => [*escalate_at, Some(*kill_at), None],
            State::Stopping {
                phase: StopPhase::Killed { give_up_at, .. },
                ..
            } => [Some(*give_up_at), None, None],
            State::Backoff { until, .. } => [Some(*until), None, None],
            State::Failed {
                reason: Failure::Leftovers { look_at, .. },
            } => [*look_at, None, None],
            State::Stopped
            | State::Waiting { .. }
            | State::Validating { .. }
            | State::Spawning { .. }
            | State::Stopping { .. }
            | State::Failed { .. }
            | State::Completed => [None; 3],
        };
        all.into_iter().flatten().min()
    }

    /// Takes a new policy over without touching the process. `replaced`: the process will be
    /// replaced, so its probes and watchdog stay as they are.
    pub(crate) fn take_spec(&mut self, spec: Box<Spec>, now: Moment, replaced: bool) {
        let scheduled = core::mem::replace(&mut self.spec, spec).scheduled;
        self.take_schedule(scheduled);
        if replaced {
            return;
        }
        if let Some(terms) = &mut self.record.run_terms {
            terms.stop = self.spec.stop;
        }
        self.take_watchdog(now);
        if let Some(up) = self.record.state.up_mut() {
            probe::take_over(&mut up.liveness, self.spec.liveness.as_ref(), now);
            probe::take_over(&mut up.health, self.spec.health.as_ref(), now);
        }
        let delay = self.ready_delay();
        let patience = self.spec.ready_timeout_ms.filter(|_| delay.is_none());
        if let State::Starting {
            probe,
            ready_by,
            ready_at,
            spawned_at,
            ..
        } = &mut self.record.state
        {
            let asked = match &self.spec.ready {
                Ready::Probe(spec) if self.spec.kind == Kind::Daemon => Some(spec),
                Ready::Probe(_)
                | Ready::Exec
                | Ready::Notify
                | Ready::ReadySignal
                | Ready::Delay(_) => None,
            };
            probe::take_over(probe, asked, now);
            *ready_at = delay.map(|ms| spawned_at.after(ms));
            // A plan never shortens the time of a start that is under way.
            *ready_by = patience.map(|ms| ready_by.unwrap_or_else(|| now.after(ms)));
        }
    }

    /// A plan that gives a completed oneshot a schedule has it wait for its time; a plan that takes
    /// the schedule away has it run once.
    fn take_schedule(&mut self, before: bool) {
        let completed = matches!(self.record.state, State::Completed);
        match (before, self.spec.scheduled) {
            (false, true) => self.record.idle_until_triggered = completed,
            (true, false) => {
                self.record.idle_until_triggered = false;
                if completed && self.record.last_exit.is_none() {
                    self.record.restart_pending = Some(RestartReason::Plan);
                }
            }
            (true, true) | (false, false) => {}
        }
    }

    /// The effect that a new control process has to repeat: the previous control process may have
    /// died before it carried the effect out.
    pub(crate) fn resume(&mut self, now: Moment) -> Option<Effect> {
        self.record.wake_probes(now);
        self.resume_watchdog(now);
        let State::Stopping { run, phase, .. } = &self.record.state else {
            return None;
        };
        let (service, run) = (self.id, *run);
        match phase {
            StopPhase::Asked { signal, .. } => Some(Effect::Signal {
                service,
                run,
                signal: *signal,
                purpose: SignalPurpose::Stop,
            }),
            StopPhase::Killed { .. } => Some(Effect::Kill { service, run }),
            StopPhase::Sweep { .. } => None,
        }
    }

    /// The state of the service as people may see it.
    pub(crate) fn view(&self) -> View {
        let record = &self.record;
        View {
            goal: record.goal,
            hold: record.hold.clone(),
            lease: record.lease,
            request: record.request.clone(),
            state: record.state.clone(),
            ready: record.state.is_up(),
            healthy: record.state.up().and_then(Up::verdict),
            since: record.since,
            up_since: record.state.up().map(|up| up.ready_since),
            once: record.once,
            unrun: record.idle_until_triggered && record.last_exit.is_none(),
            validating: record.validator().is_some(),
            restarts: record.restarts,
            last_exit: record.last_exit,
            detail: record.detail.clone(),
            unhealthy: self.unhealthy(),
            last_reload: record.state.last_reload().cloned(),
        }
    }

    /// Why the run is not healthy, if so.
    fn unhealthy(&self) -> Option<Unhealthy> {
        let up = self.record.state.up()?;
        match up.watchdog.and_then(|it| it.verdict) {
            Some(WatchdogVerdict::Silent) => Some(Unhealthy::Watchdog { triggered: false }),
            Some(WatchdogVerdict::Triggered) => Some(Unhealthy::Watchdog { triggered: true }),
            Some(WatchdogVerdict::Alive) | None => {
                let health = up.health.as_ref();
                let health = health.filter(|it| it.probing.verdict == Some(false))?;
                Some(Unhealthy::Probe(health.said.clone()))
            }
        }
    }

    /// Whether the service has failed because processes of its last run are left.
    pub(crate) fn has_leftovers(&self) -> bool {
        matches!(
            self.record.state,
            State::Failed {
                reason: Failure::Leftovers { .. }
            }
        )
    }
}
