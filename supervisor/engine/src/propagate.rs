//! How one service's change reaches its neighbours: first every summary is brought up to date
//! along the edges, then machines run, one at a time, until nothing is left to do.

use alloc::{collections::BTreeSet, vec::Vec};

use crate::{
    engine::Engine,
    ids::{Moment, ServiceId},
    input::Input,
    node::Class,
};

impl Engine {
    /// Runs machines and propagates what they change until nothing is left to do.
    pub(crate) fn settle(&mut self, now: Moment) {
        loop {
            self.stop_what_lost_its_binding(now);
            let Some(id) = self.dirty.pop_first() else {
                if self.end_leases() || self.give_up_jobs(now) {
                    continue;
                }
                return;
            };
            self.step(now, id, Input::Reconcile);
            self.forget_if_gone(id);
        }
    }

    /// Stops services whose binding is lost, before anything starts on top of them.
    pub(crate) fn stop_what_lost_its_binding(&mut self, now: Moment) {
        self.propagate();
        while let Some(id) = self.binding_lost.pop_first() {
            self.step(now, id, Input::BindingLost);
            self.propagate();
        }
    }

    /// Brings every summary up to date.
    pub(crate) fn propagate(&mut self) {
        while let Some(id) = self.moved.pop_first() {
            self.refresh(id);
        }
    }

    fn refresh(&mut self, id: ServiceId) {
        let stopping_all = self.shutdown.is_some();
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let live = node.service.record.state.is_live();
        if live != node.live {
            node.live = live;
            self.live = if live { self.live + 1 } else { self.live - 1 };
        }
        let must_be_down = !node.up_wanted(stopping_all)
            || node.service.record.restart_pending.is_some()
            || node.requirements_down > 0;
        let must_be_down_changed = must_be_down != node.must_be_down;
        node.must_be_down = must_be_down;
        let blocks = node.holds_up();
        let blocks_changed = blocks != node.blocks;
        node.blocks = blocks;
        let class = Class::of(node, stopping_all);
        let class_changed = class != node.class;
        node.class = class;
        self.dirty.insert(id);
        if must_be_down_changed || class_changed {
            let dependents: Vec<ServiceId> = node.dependents.iter().copied().collect();
            for dependent in dependents {
                self.tell_dependent(
                    dependent,
                    id,
                    must_be_down_changed.then_some(must_be_down),
                    class,
                );
            }
        }
        if blocks_changed {
            let edges: Vec<ServiceId> = self.nodes[&id].edges.keys().copied().collect();
            for on in edges {
                if let Some(dependency) = self.nodes.get_mut(&on) {
                    bump(&mut dependency.blocking, blocks);
                    self.moved.insert(on);
                }
            }
        }
    }

    fn tell_dependent(
        &mut self,
        dependent: ServiceId,
        on: ServiceId,
        must_be_down: Option<bool>,
        class: Class,
    ) {
        let Some(node) = self.nodes.get_mut(&dependent) else {
            return;
        };
        let Some(edge) = node.edges.get(&on).copied() else {
            return;
        };
        if edge.strong
            && let Some(must_be_down) = must_be_down
        {
            bump(&mut node.requirements_down, must_be_down);
        }
        let met = class == Class::Ready || (!edge.strong && class == Class::Stuck);
        let forgotten = met && node.service.record.passed.remove(&on);
        let passed = node.service.record.passed.contains(&on);
        set(&mut node.unmet, on, !met && !passed);
        set(&mut node.stuck_on, on, edge.strong && class == Class::Stuck);
        self.moved.insert(dependent);
        if forgotten {
            self.tell_changed(dependent);
        }
    }

    /// Marks dependencies that the next start need not wait for: the service was up and goes down,
    /// so it does not wait again for services that it merely wants and that are on their way up. It
    /// does wait for those that go down with it.
    pub(crate) fn pass_wanted(&mut self, id: ServiceId) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        let starts = |on: &ServiceId| self.nodes.get(on).is_some_and(|it| !it.must_be_down);
        let unmet = node.unmet.iter().copied();
        let passed: Vec<ServiceId> = unmet
            .filter(|on| node.merely_wants(*on) && starts(on))
            .collect();
        if passed.is_empty() {
            return;
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.unmet.retain(|on| !passed.contains(on));
            node.service.record.passed.extend(passed);
            self.moved.insert(id);
            self.tell_changed(id);
        }
    }

    fn forget_if_gone(&mut self, id: ServiceId) {
        self.propagate();
        if !self
            .nodes
            .get(&id)
            .is_some_and(|node| node.is_forgettable())
        {
            return;
        }
        let Some(node) = self.nodes.remove(&id) else {
            return;
        };
        self.drop_indexes(id, &node);
        for on in node.edges.keys() {
            if let Some(dependency) = self.nodes.get_mut(on) {
                dependency.dependents.remove(&id);
            }
        }
        for dependent in &node.dependents {
            if let Some(it) = self.nodes.get_mut(dependent) {
                let edge = it.edges.remove(&id);
                it.unmet.remove(&id);
                it.service.record.passed.remove(&id);
                it.stuck_on.remove(&id);
                if node.must_be_down && edge.is_some_and(|edge| edge.strong) {
                    bump(&mut it.requirements_down, false);
                }
                self.moved.insert(*dependent);
            }
        }
        self.forget(id);
    }
}

fn bump(count: &mut usize, up: bool) {
    *count = if up { *count + 1 } else { *count - 1 };
}

fn set(ids: &mut BTreeSet<ServiceId>, id: ServiceId, member: bool) {
    if member {
        ids.insert(id);
    } else {
        ids.remove(&id);
    }
}
