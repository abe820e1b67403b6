//! How one service's change reaches its neighbours: first every summary is brought up to date
//! along the edges, then machines run, one at a time, until nothing is left to do.

use alloc::{collections::BTreeSet, vec::Vec};

use crate::{
    engine::Engine,
    graph::Edges,
    ids::{Moment, ServiceId},
    machine::Input,
    service::Service,
    state::{Goal, State, StopPhase},
};

/// How a service looks to those that depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// On its way somewhere.
    Unsettled,
    /// At rest without being ready.
    Stuck,
    /// Ready or completed, and meant to stay so.
    Ready,
}

/// A service in the graph, with the summaries that make an event cost only what it touches.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) service: Service,
    pub(crate) edges: Edges,
    pub(crate) dependents: BTreeSet<ServiceId>,
    /// Dependencies that a start would wait for.
    pub(crate) unmet: BTreeSet<ServiceId>,
    /// Those of them that are required and at rest without being ready.
    pub(crate) stuck_on: BTreeSet<ServiceId>,
    /// Required services that are to go down.
    pub(crate) pulled_requirements: usize,
    /// Dependents that have to be down before this is stopped.
    pub(crate) blocking: usize,
    /// It must not run now.
    pub(crate) pulled: bool,
    /// It holds up the stop of its dependencies.
    pub(crate) blocks: bool,
    pub(crate) class: Class,
    pub(crate) live: bool,
    pub(crate) deadline: Option<Moment>,
}

impl Node {
    pub(crate) fn new(service: Service) -> Self {
        Self {
            service,
            edges: Edges::new(),
            dependents: BTreeSet::new(),
            unmet: BTreeSet::new(),
            stuck_on: BTreeSet::new(),
            pulled_requirements: 0,
            blocking: 0,
            pulled: false,
            blocks: false,
            class: Class::Unsettled,
            live: false,
            deadline: None,
        }
    }

    /// Whether it is to run as soon as it can.
    pub(crate) fn up_wanted(&self, stopping_all: bool) -> bool {
        let rec = &self.service.rec;
        let kept_down = rec.hold.is_some() || rec.lease.is_some() || rec.removing;
        rec.goal == Goal::Up && !kept_down && !stopping_all
    }

    /// A dependency waits for this one's end; not for the kernel's, though. A completed one that is to run again
    /// has to have noticed that, before what it requires is back.
    fn holds_up(&self) -> bool {
        let state = &self.service.rec.state;
        let completed = matches!(state, State::Completed) && !self.service.rec.rests;
        let killed = matches!(
            state,
            State::Stopping {
                phase: StopPhase::Killed { .. },
                ..
            }
        );
        self.pulled && ((state.is_live() && !killed) || completed || self.blocking > 0)
    }

    /// It can do without, and nobody has asked for an order.
    fn merely_wants(&self, on: ServiceId) -> bool {
        let spec = &self.service.spec;
        let strong = self.edges.get(&on).is_none_or(|edge| edge.strong);
        !strong && spec.wants.contains(&on) && !spec.after.contains(&on)
    }

    /// Nothing of it is left and nothing needs it.
    fn is_forgettable(&self) -> bool {
        let rec = &self.service.rec;
        rec.removing && self.blocking == 0 && matches!(rec.state, State::Stopped)
    }

    /// As if nothing were known of the neighbours yet.
    pub(crate) fn reset(&mut self, edges: Edges) {
        self.edges = edges;
        let mut passed = core::mem::take(&mut self.service.rec.passed);
        passed.retain(|on| self.merely_wants(*on));
        self.unmet = self.edges.keys().copied().collect();
        self.unmet.retain(|on| !passed.contains(on));
        self.service.rec.passed = passed;
        self.stuck_on.clear();
        self.dependents.clear();
        self.pulled_requirements = 0;
        self.blocking = 0;
        self.pulled = false;
        self.blocks = false;
        self.class = Class::Unsettled;
    }
}

impl Engine {
    /// Propagates, then executes, until both have nothing left to do.
    pub(crate) fn settle(&mut self, now: Moment) {
        loop {
            self.unbind(now);
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

    /// Takes down what is bound to what has gone, before anything starts on top of that.
    pub(crate) fn unbind(&mut self, now: Moment) {
        self.propagate();
        while let Some(id) = self.unbound.pop_first() {
            self.step(now, id, Input::Unbound);
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
        let live = node.service.rec.state.is_live();
        if live != node.live {
            node.live = live;
            self.live = if live { self.live + 1 } else { self.live - 1 };
        }
        let pulled = !node.up_wanted(stopping_all)
            || node.service.rec.bounce.is_some()
            || node.pulled_requirements > 0;
        let pulled_changed = pulled != node.pulled;
        node.pulled = pulled;
        let blocks = node.holds_up();
        let blocks_changed = blocks != node.blocks;
        node.blocks = blocks;
        let class = Class::of(node, stopping_all);
        let class_changed = class != node.class;
        node.class = class;
        self.dirty.insert(id);
        if pulled_changed || class_changed {
            let dependents: Vec<ServiceId> = node.dependents.iter().copied().collect();
            for dependent in dependents {
                self.tell_dependent(dependent, id, pulled_changed.then_some(pulled), class);
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
        pulled: Option<bool>,
        class: Class,
    ) {
        let Some(node) = self.nodes.get_mut(&dependent) else {
            return;
        };
        let Some(edge) = node.edges.get(&on).copied() else {
            return;
        };
        if edge.strong
            && let Some(pulled) = pulled
        {
            bump(&mut node.pulled_requirements, pulled);
        }
        let met = class == Class::Ready || (!edge.strong && class == Class::Stuck);
        let forgotten = met && node.service.rec.passed.remove(&on);
        let passed = node.service.rec.passed.contains(&on);
        set(&mut node.unmet, on, !met && !passed);
        set(&mut node.stuck_on, on, edge.strong && class == Class::Stuck);
        self.moved.insert(dependent);
        if forgotten {
            self.tell_changed(dependent);
        }
    }

    /// It was up and goes down: what it merely wants and is on its way up is not waited for again. What
    /// goes down with it is.
    pub(crate) fn pass_wanted(&mut self, id: ServiceId) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        let starts = |on: &ServiceId| self.nodes.get(on).is_some_and(|it| !it.pulled);
        let unmet = node.unmet.iter().copied();
        let passed: Vec<ServiceId> = unmet
            .filter(|on| node.merely_wants(*on) && starts(on))
            .collect();
        if passed.is_empty() {
            return;
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.unmet.retain(|on| !passed.contains(on));
            node.service.rec.passed.extend(passed);
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
                it.service.rec.passed.remove(&id);
                it.stuck_on.remove(&id);
                if node.pulled && edge.is_some_and(|edge| edge.strong) {
                    bump(&mut it.pulled_requirements, false);
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
