//! One service's place in the graph: the summaries of its neighbours, and the summary that the
//! neighbours have of the service.
//!
//! An event costs what it touches because each node keeps counts and sets of its neighbours instead
//! of asking them. `propagate` alone changes them, in one order: a neighbour's summary first, then
//! the machines.

use alloc::collections::BTreeSet;

use crate::{
    graph::Edges,
    ids::{Moment, ServiceId},
    service::Service,
    state::{Goal, State, StopPhase},
};

/// How a service looks to its dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// On its way to another state.
    Unsettled,
    /// At rest without being ready.
    Stuck,
    /// Ready or completed, and meant to stay so.
    Ready,
}

impl Class {
    pub(crate) fn of(node: &Node, stopping_all: bool) -> Self {
        match &node.service.record.state {
            // A service that is idle until triggered satisfies its dependents, unless what it
            // requires is to go down: then its dependents are to go down too.
            State::Completed
                if node.service.record.idle_until_triggered && node.up_wanted(stopping_all) =>
            {
                if node.requirements_down > 0 {
                    Self::Stuck
                } else {
                    Self::Ready
                }
            }
            State::Running { .. } | State::Reloading { .. } | State::Completed => {
                if node.must_be_down {
                    Self::Unsettled
                } else {
                    Self::Ready
                }
            }
            State::Failed { .. } | State::Backoff { .. } => Self::Stuck,
            State::Stopped if !node.up_wanted(stopping_all) => Self::Stuck,
            State::Waiting { .. } if !node.stuck_on.is_empty() => Self::Stuck,
            State::Stopped
            | State::Waiting { .. }
            | State::Validating { .. }
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Stopping { .. } => Self::Unsettled,
        }
    }
}

/// A service in the graph, with the summaries that make an event cost only what it touches.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) service: Service,
    pub(crate) edges: Edges,
    pub(crate) dependents: BTreeSet<ServiceId>,
    /// Dependencies that a start would wait for.
    pub(crate) unmet: BTreeSet<ServiceId>,
    /// The members of `unmet` that are required and at rest without being ready.
    pub(crate) stuck_on: BTreeSet<ServiceId>,
    /// Required services that are to go down.
    pub(crate) requirements_down: usize,
    /// Dependents that have to be down before this service is stopped.
    pub(crate) blocking: usize,
    /// The service must not run now.
    pub(crate) must_be_down: bool,
    /// The service delays the stop of its dependencies.
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
            requirements_down: 0,
            blocking: 0,
            must_be_down: false,
            blocks: false,
            class: Class::Unsettled,
            live: false,
            deadline: None,
        }
    }

    /// Whether the service is to run as soon as it can.
    pub(crate) fn up_wanted(&self, stopping_all: bool) -> bool {
        let record = &self.service.record;
        let kept_down = record.hold.is_some() || record.lease.is_some() || record.removing;
        record.goal == Goal::Up && !kept_down && !stopping_all
    }

    /// Whether the stop of its dependencies waits for this service. A service that has been sent
    /// SIGKILL does not hold them up: only the kernel can delay its end. A completed service that
    /// is to run again has to notice so before its requirement is back.
    pub(crate) fn holds_up(&self) -> bool {
        let state = &self.service.record.state;
        let completed =
            matches!(state, State::Completed) && !self.service.record.idle_until_triggered;
        let killed = matches!(
            state,
            State::Stopping {
                phase: StopPhase::Killed { .. },
                ..
            }
        );
        self.must_be_down && ((state.is_live() && !killed) || completed || self.blocking > 0)
    }

    /// Whether the service only wants the dependency: the edge neither requires nor orders.
    pub(crate) fn merely_wants(&self, on: ServiceId) -> bool {
        let spec = &self.service.spec;
        let strong = self.edges.get(&on).is_none_or(|edge| edge.strong);
        !strong && spec.wants.contains(&on) && !spec.after.contains(&on)
    }

    /// Whether the service has left the plan, is down, and delays no other service.
    pub(crate) fn is_forgettable(&self) -> bool {
        let record = &self.service.record;
        record.removing && self.blocking == 0 && matches!(record.state, State::Stopped)
    }

    /// Takes new edges, and drops all summaries of neighbours.
    pub(crate) fn reset(&mut self, edges: Edges) {
        self.edges = edges;
        let mut passed = core::mem::take(&mut self.service.record.passed);
        passed.retain(|on| self.merely_wants(*on));
        self.unmet = self.edges.keys().copied().collect();
        self.unmet.retain(|on| !passed.contains(on));
        self.service.record.passed = passed;
        self.stuck_on.clear();
        self.dependents.clear();
        self.requirements_down = 0;
        self.blocking = 0;
        self.must_be_down = false;
        self.blocks = false;
        self.class = Class::Unsettled;
    }
}
