//! One service: its policy, its record, and what can be read off them.

use alloc::boxed::Box;

use crate::{
    effect::Effect,
    event::{Fact, Failure},
    ids::{Moment, RunId, ServiceId},
    machine::Input,
    probe,
    record::Record,
    spec::{Kind, Ready, Spec},
    state::{Probing, State, StopPhase, View},
};

/// One service: its policy and all that is remembered of it.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) id: ServiceId,
    pub(crate) spec: Box<Spec>,
    pub(crate) rec: Record,
}

impl Service {
    /// The input that a fact is to this service; `None` when it is about another of its runs
    /// than the fact speaks of.
    pub(crate) fn input_of<'a>(&self, fact: &'a Fact) -> Option<Input<'a>> {
        let main = self.rec.main_run();
        let validator = self.rec.validator;
        let (run, input) = match fact {
            Fact::Validated { run, ok } => {
                return (validator == Some(*run)).then_some(Input::Validated(*ok));
            }
            Fact::SpawnFailed { run, .. } if Some(*run) != main => {
                // A validator or reload command that nobody knows of any more.
                return Some(match &self.rec.state {
                    State::Reloading { .. } if validator == Some(*run) => Input::Validated(false),
                    State::Reloading { helper, .. } if *helper == Some(*run) => {
                        Input::Reloaded(false)
                    }
                    _ if validator == Some(*run) => Input::SpawnFailed(true, VALIDATOR_LOST),
                    _ if self.rec.unswept == Some(*run) => Input::Swept(0),
                    _ => return None,
                });
            }
            Fact::Swept { run, left } if self.rec.unswept == Some(*run) => {
                return Some(Input::Swept(*left));
            }
            // A killed validator may be reported like any other run.
            Fact::Exited { run, exit } if self.is_stopping(*run) => (run, Input::Exited(*exit)),
            Fact::Swept { run, left } if self.is_stopping(*run) => {
                return Some(Input::Swept(*left));
            }
            Fact::Exited { run, exit } => (run, Input::Exited(*exit)),
            Fact::Swept { run, left } => (run, Input::Swept(*left)),
            Fact::SpawnFailed {
                run,
                transient,
                reason,
            } => (run, Input::SpawnFailed(*transient, reason)),
            Fact::Spawned { run } => (run, Input::Spawned),
            Fact::Ready { run } => (run, Input::Ready),
            Fact::Extend { run, ms } => (run, Input::Extend(*ms)),
            Fact::Probed {
                run,
                probe,
                ok,
                detail,
            } => (run, Input::Probed(*probe, *ok, detail)),
            Fact::Reloaded { run, ok } => (run, Input::Reloaded(*ok)),
        };
        (main == Some(*run) || self.is_stopping(*run)).then_some(input)
    }

    fn is_stopping(&self, of: RunId) -> bool {
        matches!(&self.rec.state, State::Stopping { run, .. } if *run == of)
    }

    /// The next moment at which [`Input::Tick`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let at = |probe: &Option<Probing>| probe.and_then(|probe| probe.next_at);
        let all = match &self.rec.state {
            State::Starting {
                ready_by, probe, ..
            } => [*ready_by, at(probe), None, None],
            State::Running {
                stable_at,
                liveness,
                health,
                ..
            } => [*stable_at, at(liveness), at(health), None],
            State::Reloading {
                until,
                stable_at,
                liveness,
                health,
                ..
            } => [*until, *stable_at, at(liveness), at(health)],
            State::Stopping {
                phase: StopPhase::Asked { kill_at },
                ..
            } => [Some(*kill_at), None, None, None],
            State::Backoff { until, .. } => [Some(*until), None, None, None],
            State::Stopped
            | State::Waiting { .. }
            | State::Spawning { .. }
            | State::Stopping { .. }
            | State::Failed { .. }
            | State::Completed => [None; 4],
        };
        all.into_iter().flatten().min()
    }

    /// Takes over a new policy without touching the process.
    pub(crate) fn take_spec(&mut self, spec: Box<Spec>, now: Moment, replaced: bool) {
        self.spec = spec;
        if replaced {
            return;
        }
        if self.rec.stop.is_some() {
            self.rec.stop = Some(self.spec.stop);
        }
        if let State::Running {
            liveness, health, ..
        }
        | State::Reloading {
            liveness, health, ..
        } = &mut self.rec.state
        {
            probe::take_over(liveness, self.spec.liveness.as_ref(), now);
            probe::take_over(health, self.spec.health.as_ref(), now);
        }
        if let State::Starting { probe, .. } = &mut self.rec.state {
            let asked = match &self.spec.ready {
                Ready::Probe(spec) if self.spec.kind == Kind::Daemon => Some(spec),
                Ready::Probe(_) | Ready::Exec | Ready::Notify => None,
            };
            probe::take_over(probe, asked, now);
        }
    }

    /// What a new control process has to say again: the old one may have died before it could.
    pub(crate) fn resume(&mut self, now: Moment) -> Option<Effect> {
        self.rec.wake_probes(now);
        let State::Stopping { run, phase, .. } = &self.rec.state else {
            return None;
        };
        let (service, run) = (self.id, *run);
        match phase {
            StopPhase::Asked { .. } => {
                let signal = self.stop_policy().signal;
                Some(Effect::Signal {
                    service,
                    run,
                    signal,
                    stop: true,
                })
            }
            StopPhase::Killed => Some(Effect::Kill { service, run }),
            StopPhase::Sweep { .. } => None,
        }
    }

    /// Everything that may be shown.
    pub(crate) fn view(&self) -> View {
        let rec = &self.rec;
        let healthy = match &rec.state {
            State::Running { health, .. } | State::Reloading { health, .. } => {
                health.and_then(|probe| probe.verdict)
            }
            _ => None,
        };
        View {
            goal: rec.goal,
            hold: rec.hold.clone(),
            state: rec.state.clone(),
            ready: rec.state.is_up(),
            healthy,
            since: rec.since,
            restarts: rec.restarts,
            last_exit: rec.last_exit,
            detail: rec.detail.clone(),
        }
    }

    /// What was left of it would not go.
    pub(crate) fn has_leftovers(&self) -> bool {
        matches!(
            self.rec.state,
            State::Failed {
                reason: Failure::Leftovers(_)
            }
        )
    }
}

/// Why a start is tried again when nobody knows what became of its validator.
const VALIDATOR_LOST: &str = "its validator could not be run; see its command in the service file";
