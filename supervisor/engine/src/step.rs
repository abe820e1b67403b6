//! Runs one service's machine once, and updates the indexes of runs and deadlines and the list of
//! services to report.
//!
//! Invariant: every change of a record goes through [`Engine::book`], so the indexes of runs,
//! deadlines and waiting jobs never lag behind the records.

use alloc::vec::Vec;

use crate::{
    context::Context,
    effect::Effect,
    engine::Engine,
    event::Fact,
    ids::{Moment, ServiceId},
    input::Input,
    node::Node,
    reasons::StopReason,
    record::Record,
    state::{Goal, State},
};

impl Engine {
    pub(crate) fn fact(&mut self, now: Moment, fact: &Fact) {
        let Some(id) = self.service_of(fact.run()) else {
            return;
        };
        let input = self
            .nodes
            .get(&id)
            .and_then(|node| node.service.input_of(fact));
        if let Some(input) = input {
            self.step(now, id, input);
        }
    }

    /// Runs one service's machine once and updates the indexes.
    pub(crate) fn step(&mut self, now: Moment, id: ServiceId, input: Input<'_>) {
        let stopping_all = self.shutdown.is_some();
        let Some(order) = self.nodes.get(&id).map(|node| self.order(node)) else {
            return;
        };
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let before = node.service.record.shown();
        let mut out = Vec::new();
        let mut world = Context {
            now,
            heard: self.heard,
            must_be_down: node.must_be_down,
            up_wanted: node.up_wanted(stopping_all),
            may_stop: node.blocking == 0,
            unmet: &node.unmet,
            bound_lost: node
                .edges
                .iter()
                .any(|(on, edge)| edge.bound && node.unmet.contains(on)),
            order,
            next_run: &mut self.next_run,
            jitter: &mut self.jitter,
            out: &mut out,
            ended: None,
        };
        node.service.on(&mut world, input);
        if let Some(ended) = world.ended {
            self.effects.push_front(Effect::Ended(ended));
        }
        let state = &node.service.record.state;
        if core::mem::discriminant(state) != core::mem::discriminant(&before.state) {
            node.service.record.since = now;
            self.dirty.insert(id);
        }
        let died = before.state.executes() && !state.executes() && !node.must_be_down;
        if before.state.is_up() && !state.is_up() {
            let bound = |on: &&ServiceId| {
                self.nodes
                    .get(*on)
                    .is_some_and(|it| it.edges.get(&id).is_some_and(|e| e.bound))
            };
            let node = &self.nodes[&id];
            self.binding_lost
                .extend(node.dependents.iter().filter(bound));
        }
        self.book(id, &before);
        self.effects.extend(out);
        if died {
            self.pass_wanted(id);
        }
    }

    /// Indexes what changed, and queues `Changed` once per event.
    pub(crate) fn book(&mut self, id: ServiceId, before: &Record) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let deadline = node.service.deadline();
        if node.deadline != deadline {
            if let Some(at) = node.deadline {
                self.deadlines.remove(&(at, id));
            }
            if let Some(at) = deadline {
                self.deadlines.insert((at, id));
            }
            node.deadline = deadline;
        }
        let waits = matches!(node.service.record.state, State::Waiting { .. });
        if node.service.spec.job && waits {
            self.waiting_jobs.insert(id);
        } else {
            self.waiting_jobs.remove(&id);
        }
        let after = node.service.record.shown();
        if after == *before {
            return;
        }
        for run in before.runs().into_iter().flatten() {
            self.runs.remove(&run);
        }
        for run in after.runs().into_iter().flatten() {
            self.runs.insert(run, id);
        }
        self.moved.insert(id);
        self.tell_changed(id);
    }

    /// Queues `Changed`, once per event.
    pub(crate) fn tell_changed(&mut self, id: ServiceId) {
        if self.changed.insert(id) {
            self.effects.push_back(Effect::Changed { service: id });
        }
    }

    /// Queues an effect that comes from no machine.
    pub(crate) fn push_effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    /// Queues `Forget` for a removed service, which is then reported no more.
    pub(crate) fn forget(&mut self, id: ServiceId) {
        let changed = Effect::Changed { service: id };
        self.effects.retain(|effect| *effect != changed);
        self.effects.push_back(Effect::Forget { service: id });
    }

    /// Indexes the runs of a restored record.
    pub(crate) fn adopt_runs(&mut self, id: ServiceId, record: &Record) {
        for run in record.runs().into_iter().flatten() {
            self.runs.insert(run, id);
        }
    }

    /// Drops every index entry of a removed service.
    pub(crate) fn drop_indexes(&mut self, id: ServiceId, node: &Node) {
        for run in node.service.record.runs().into_iter().flatten() {
            self.runs.remove(&run);
        }
        if let Some(at) = node.deadline {
            self.deadlines.remove(&(at, id));
        }
        self.leased.remove(&id);
        self.waiting_jobs.remove(&id);
        if node.live {
            self.live -= 1;
        }
    }

    /// The reason that the service gets if this step stops the service.
    fn order(&self, node: &Node) -> StopReason {
        let record = &node.service.record;
        if self.shutdown.is_some() {
            return StopReason::Shutdown;
        }
        if record.removing {
            return StopReason::Removed;
        }
        if record.goal == Goal::Down || record.hold.is_some() {
            return StopReason::Stop;
        }
        if let Some(lease) = record.lease {
            return StopReason::Lease(lease.job);
        }
        if let Some(reason) = record.restart_pending {
            return reason.order();
        }
        let mut edges = node.edges.iter().filter(|(_, edge)| edge.strong);
        let must_be_down = |on: &ServiceId| self.nodes.get(on).is_some_and(|it| it.must_be_down);
        if node.requirements_down > 0
            && let Some((on, _)) = edges.clone().find(|(on, _)| must_be_down(on))
        {
            return StopReason::Requirement(*on);
        }
        let unmet = |on: &ServiceId| node.unmet.contains(on);
        match edges.find(|(on, edge)| edge.bound && unmet(on)) {
            Some((on, _)) => StopReason::Binding(*on),
            // The service has no reason to go down, so no step stops it.
            None => StopReason::Stop,
        }
    }
}
