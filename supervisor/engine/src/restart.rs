//! A restart, by a command or a plan: marks the services that have to go down once before they may
//! be up again: the targets and their requirers that are up. The next start clears a mark; the
//! machines do the rest, dependents down first.

use crate::{
    engine::Engine,
    event::{Accepted, Refusal},
    ids::{Ids, Moment, ServiceId},
    input::Input,
    reasons::RestartReason,
    state::State,
};

impl Engine {
    /// Refuses a restart over a held requirement: a restart lifts no hold but those of its targets.
    pub(crate) fn requirements_free(&self, targets: &Ids) -> Result<(), Refusal> {
        for service in targets {
            for requirement in self.with_requirements(&Ids::from([*service])) {
                let hold = self
                    .nodes
                    .get(&requirement)
                    .and_then(|it| it.service.record.hold.clone());
                if let Some(hold) = hold
                    && !targets.contains(&requirement)
                {
                    return Err(Refusal::RequirementHeld {
                        service: *service,
                        requirement,
                        hold,
                    });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn restart(&mut self, now: Moment, targets: &Ids) -> Accepted {
        let mut accepted = Accepted {
            affected: targets.clone(),
            ..Accepted::default()
        };
        for id in targets {
            self.lift(*id, &mut accepted);
            self.set_once(*id, false, &mut accepted);
            self.set_idle_until_triggered(*id, false);
        }
        self.restart_with_requirers(targets, RestartReason::Restart, &mut accepted);
        for id in targets {
            self.step(now, *id, Input::Start);
            self.propagate();
        }
        accepted
    }

    /// Takes down once the targets, and the services that require them, where they are up.
    pub(crate) fn restart_with_requirers(
        &mut self,
        targets: &Ids,
        why: RestartReason,
        accepted: &mut Accepted,
    ) {
        let requirers = self.requirers(targets);
        for &id in &requirers {
            let up = self.nodes.get(&id).is_some_and(|node| {
                let state = &node.service.record.state;
                state.is_live() && !matches!(state, State::Stopping { .. })
            });
            if up {
                accepted.dependents.insert(id);
                let nearest = self.nodes[&id].edges.iter().find(|(on, edge)| {
                    edge.strong && (targets.contains(on) || requirers.contains(on))
                });
                if let Some(on) = nearest.map(|(on, _)| *on) {
                    self.set_restart_pending(id, RestartReason::Along(on));
                }
            }
        }
        for id in targets {
            self.set_restart_pending(*id, why);
        }
        for id in targets {
            accepted.dependents.remove(id);
        }
        self.note_reruns(targets, accepted);
        for id in targets.union(&accepted.dependents) {
            let record = self.nodes.get(id).map(|node| &node.service.record);
            if record
                .is_some_and(|record| record.restart_pending.is_some() && record.state.executes())
            {
                self.pass_wanted(*id);
            }
        }
        self.propagate();
    }

    /// Notes completed services that require a target and run again once the target is back.
    pub(crate) fn note_reruns(&mut self, targets: &Ids, accepted: &mut Accepted) {
        self.propagate();
        let runs_again = |id: &ServiceId| {
            self.nodes.get(id).is_some_and(|node| {
                let record = &node.service.record;
                let completed =
                    matches!(record.state, State::Completed) && !record.idle_until_triggered;
                completed && node.must_be_down && node.up_wanted(false)
            })
        };
        let reruns = self.requirers(targets).into_iter().filter(runs_again);
        accepted.reruns.extend(reruns);
    }

    fn set_restart_pending(&mut self, id: ServiceId, why: RestartReason) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let record = &mut node.service.record;
        let up = match &record.state {
            State::Validating { .. }
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reloading { .. }
            | State::Completed => true,
            State::Stopped
            | State::Waiting { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Failed { .. } => false,
        };
        let why = Some(why.or(record.restart_pending));
        if up && record.restart_pending != why {
            record.restart_pending = why;
            self.moved.insert(id);
            self.tell_changed(id);
        }
    }
}
