//! Applies a new plan: which services exist now, which processes must change, which services go.
//!
//! Order: the graph is checked for loops first, so a refused plan changes nothing; then every
//! policy is taken over and all summaries are rebuilt, since edges may have changed; only then
//! processes are told, one by one. A service that left the plan stays known until it is down and
//! nothing that requires it still runs.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use run_model::Stop;

use crate::{
    engine::Engine,
    event::{Accepted, ProcessImpact, Refusal},
    graph::{self, Edges},
    ids::{Moment, ServiceId},
    input::Input,
    node::Node,
    reasons::RestartReason,
    record::Record,
    service::Service,
    spec::{ExitSet, Kind, Policy, Ready, Restart, Spec},
    state::{Goal, State},
};

/// How the engine stops a run whose service left the plan and whose stop terms are unknown.
const UNKNOWN_STOP: Stop = Stop {
    signal: 15,
    escalation: None,
    timeout_ms: 10_000,
};

impl Engine {
    pub(crate) fn apply(
        &mut self,
        now: Moment,
        plan: Vec<(ServiceId, Box<Spec>, ProcessImpact)>,
    ) -> Result<Accepted, Refusal> {
        let ids: BTreeSet<ServiceId> = plan.iter().map(|(id, ..)| *id).collect();
        let mut planned: BTreeMap<ServiceId, Edges> = plan
            .iter()
            .map(|(id, spec, _)| (*id, graph::edges(spec, |on| ids.contains(&on))))
            .collect();
        if let Some(cycle) = graph::find_cycle(&planned) {
            return Err(Refusal::Cycle(cycle));
        }
        let mut accepted = Accepted::default();
        let mut impacts = Vec::new();
        for (id, spec, impact) in plan {
            if let Some(impact) = self.take(now, id, spec, impact) {
                impacts.push((id, impact));
                accepted.affected.insert(id);
            }
        }
        self.take_unplanned();
        self.remove_missing(&ids, &mut accepted);
        let existing: BTreeSet<ServiceId> = self.nodes.keys().copied().collect();
        for (id, node) in &mut self.nodes {
            let edges = planned.remove(id).unwrap_or_else(|| {
                let mut edges = core::mem::take(&mut node.edges);
                edges.retain(|on, _| existing.contains(on));
                edges
            });
            node.reset(edges);
        }
        let pairs: Vec<(ServiceId, ServiceId)> = self
            .nodes
            .iter()
            .flat_map(|(id, node)| node.edges.keys().map(move |on| (*on, *id)))
            .collect();
        for (on, id) in pairs {
            if let Some(node) = self.nodes.get_mut(&on) {
                node.dependents.insert(id);
            }
        }
        self.moved.extend(existing.iter().copied());
        self.dirty.extend(existing);
        self.propagate();
        self.end_unasked_reloads(now);
        for (id, impact) in impacts {
            self.change_process(now, id, impact, &mut accepted);
        }
        Ok(accepted)
    }

    /// Ends reloads that wait for a confirmation which the plan no longer asks for.
    fn end_unasked_reloads(&mut self, now: Moment) {
        let unasked = self.nodes.iter().filter(|(_, it)| it.service.is_unasked());
        let unasked: Vec<ServiceId> = unasked.map(|(id, _)| *id).collect();
        for id in unasked {
            self.step(now, id, Input::Tick);
        }
    }

    /// Takes one service of the plan over; returns the change that its process needs, if any.
    fn take(
        &mut self,
        now: Moment,
        id: ServiceId,
        spec: Box<Spec>,
        impact: ProcessImpact,
    ) -> Option<ProcessImpact> {
        if let Some(node) = self.nodes.get_mut(&id) {
            let before = node.service.record.shown();
            let impact = match impact {
                ProcessImpact::Reload if spec.reload.is_none() => ProcessImpact::Restart,
                other => other,
            };
            node.service
                .take_spec(spec, now, impact == ProcessImpact::Restart);
            node.service.record.removing = false;
            self.book(id, &before);
            return (impact != ProcessImpact::Keep).then_some(impact);
        }
        let restored = self.restored.remove(&id);
        let new = || Record {
            since: now,
            ..Record::at_rest(Goal::Up, None)
        };
        let mut record = restored.unwrap_or_else(new);
        record.removing = false;
        // A service without a record, or with a hold alone, has no run whose time could have come.
        record.idle_until_triggered |= spec.scheduled && matches!(record.state, State::Stopped);
        self.insert(now, Service { id, spec, record });
        None
    }

    fn insert(&mut self, now: Moment, mut service: Service) {
        let id = service.id;
        let again = service.resume(now);
        self.adopt_runs(id, &service.record);
        let before = service.record.shown();
        self.nodes.insert(id, Box::new(Node::new(service)));
        self.book(id, &before);
        self.note_lease(id);
        self.tell_changed(id);
        if let Some(effect) = again {
            self.push_effect(effect);
        }
    }

    /// Stops and forgets services that an earlier control process knew and the plan does not name.
    fn take_unplanned(&mut self) {
        for (id, mut record) in core::mem::take(&mut self.restored) {
            record.removing = true;
            let spec = Box::new(unknown_spec(
                record.run_terms.map_or(UNKNOWN_STOP, |it| it.stop),
            ));
            let service = Service { id, spec, record };
            self.insert(service.record.since, service);
        }
    }

    fn remove_missing(&mut self, plan: &BTreeSet<ServiceId>, accepted: &mut Accepted) {
        let missing: Vec<ServiceId> = self
            .nodes
            .keys()
            .filter(|id| !plan.contains(id))
            .copied()
            .collect();
        for id in missing {
            if let Some(node) = self.nodes.get_mut(&id)
                && !node.service.record.removing
            {
                node.service.record.removing = true;
                accepted.affected.insert(id);
                self.tell_changed(id);
            }
        }
    }

    /// Does what the process of a changed service needs.
    fn change_process(
        &mut self,
        now: Moment,
        id: ServiceId,
        impact: ProcessImpact,
        accepted: &mut Accepted,
    ) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        match (&node.service.record.state, impact) {
            (_, ProcessImpact::Keep) => {}
            (State::Running { .. } | State::Reloading { .. }, ProcessImpact::Reload) => {
                self.step(now, id, Input::Reload);
            }
            // A job that has failed is over: a plan does not start it again.
            (State::Failed { .. }, _) if node.service.spec.job && self.is_over(id) => {}
            (State::Failed { .. } | State::Backoff { .. }, _) => {
                self.step(now, id, Input::Start);
            }
            (
                State::Stopped
                | State::Waiting { .. }
                | State::Validating { .. }
                | State::Spawning { .. }
                | State::Starting { .. }
                | State::Running { .. }
                | State::Reloading { .. }
                | State::Stopping { .. }
                | State::Completed,
                ProcessImpact::Reload | ProcessImpact::Restart,
            ) => {
                if node.service.spec.kind == Kind::Daemon {
                    self.set_idle_until_triggered(id, false);
                }
                self.restart_with_requirers(&BTreeSet::from([id]), RestartReason::Plan, accepted);
            }
        }
    }
}

fn unknown_spec(stop: Stop) -> Spec {
    Spec {
        kind: Kind::Daemon,
        requires: BTreeSet::new(),
        wants: BTreeSet::new(),
        binds_to: BTreeSet::new(),
        after: BTreeSet::new(),
        validated: false,
        ready: Ready::Exec,
        ready_timeout_ms: None,
        liveness: None,
        health: None,
        watchdog: None,
        scheduled: false,
        job: false,
        restart: Restart {
            policy: Policy::Never,
            success: ExitSet::default(),
            prevent: ExitSet::default(),
            delay_ms: 0,
            factor_milli: 1000,
            max_delay_ms: 0,
            jitter_milli: 0,
            reset_after_ms: 0,
            limit: None,
        },
        stop,
        reload: None,
    }
}
