//! The engine itself: takes events, runs the machines of the services concerned, emits effects.
//!
//! Invariant: after each event nothing is left to do before the next event or deadline
//! (`propagate::settle`). The order within one event: the event, then its consequences, then
//! deadlines that had not passed before (deadlines that passed unheard wait for `Timeout`), then
//! the end of a shutdown. The cost of an event depends on the services that it touches, never on
//! their total number: hence the indexes of runs, deadlines and services that have something to do.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use crate::{
    backoff::Jitter,
    effect::Effect,
    event::{Accepted, Command, Event, Refusal},
    graph::{self, Edges},
    ids::{Moment, RunId, ServiceId},
    input::Input,
    node::Node,
    record::Record,
    shutdown::{Shutdown, ShutdownPhase},
    state::{Helper, State},
    view::{Settled, View},
};

/// Decides what happens to every service.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Boxed, since a B-tree node reserves room for eleven values.
    pub(crate) nodes: BTreeMap<ServiceId, Box<Node>>,
    /// Records of services that no plan has mentioned yet.
    pub(crate) restored: BTreeMap<ServiceId, Record>,
    pub(crate) runs: BTreeMap<RunId, ServiceId>,
    pub(crate) deadlines: BTreeSet<(Moment, ServiceId)>,
    pub(crate) next_run: u64,
    /// The engine has taken in everything that runs had said and done by this moment.
    pub(crate) heard: Moment,
    pub(crate) jitter: Jitter,
    pub(crate) effects: VecDeque<Effect>,
    /// Services whose `Changed` this event has already queued.
    pub(crate) changed: BTreeSet<ServiceId>,
    /// Services whose summary the engine must recompute and pass on to their neighbours.
    pub(crate) moved: BTreeSet<ServiceId>,
    /// Services whose machine has to look at [`Input::Reconcile`].
    pub(crate) dirty: BTreeSet<ServiceId>,
    /// Services bound to a service that has just gone down.
    pub(crate) binding_lost: BTreeSet<ServiceId>,
    /// Services that jobs keep stopped.
    pub(crate) leased: BTreeSet<ServiceId>,
    /// Jobs in [`State::Waiting`].
    pub(crate) waiting_jobs: BTreeSet<ServiceId>,
    /// How many services have a process, or may have remains of a process.
    pub(crate) live: usize,
    pub(crate) shutdown: Option<Shutdown>,
}

/// Deadlines that had passed before the event came. Only [`Event::Timeout`] acts on them.
#[derive(Debug, Default)]
struct Overdue {
    services: BTreeSet<ServiceId>,
    shutdown: bool,
}

impl Engine {
    /// An engine without services. `seed` feeds the jitter; `next_run` comes from the keeper.
    pub const fn new(seed: u64, next_run: RunId) -> Self {
        Self {
            nodes: BTreeMap::new(),
            restored: BTreeMap::new(),
            runs: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next_run: next_run.0,
            heard: Moment(0),
            jitter: Jitter::new(seed),
            effects: VecDeque::new(),
            changed: BTreeSet::new(),
            moved: BTreeSet::new(),
            dirty: BTreeSet::new(),
            binding_lost: BTreeSet::new(),
            leased: BTreeSet::new(),
            waiting_jobs: BTreeSet::new(),
            live: 0,
            shutdown: None,
        }
    }

    /// The one function that changes a service's state. A fact or a timeout is never refused;
    /// after a refused command nothing has changed.
    pub fn handle(&mut self, now: Moment, event: Event) -> Result<Accepted, Refusal> {
        self.changed.clear();
        let (heard, left) = match event {
            Event::Timeout { heard } => (heard.min(now), Overdue::default()),
            Event::Command(_) | Event::Fact(_) => (now, self.overdue(now)),
        };
        self.heard = heard;
        // A plan brings restored services back. Their deadlines passed while no control process
        // took facts in.
        let restores = matches!(event, Event::Command(Command::Apply(_)));
        let outcome = match event {
            Event::Command(command) => self.command(now, command),
            Event::Fact(fact) => {
                self.fact(now, &fact);
                Ok(Accepted::default())
            }
            Event::Timeout { .. } => Ok(Accepted::default()),
        };
        self.settle(now);
        if !restores {
            self.pass_time(now, &left);
            self.settle(now);
        }
        self.end_shutdown();
        outcome
    }

    /// Returns the next effect, in order; drain the effects after every [`Engine::handle`].
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Event::Timeout`] is due, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Moment> {
        let shutdown = self
            .shutdown
            .as_ref()
            .filter(|it| it.phase != ShutdownPhase::Done)
            .map(|it| it.deadline);
        let first = self.deadlines.first().map(|(at, _)| *at);
        first.into_iter().chain(shutdown).min()
    }

    /// Whether a shutdown has begun. A shutdown cannot be cancelled.
    pub const fn is_shutting_down(&self) -> bool {
        self.shutdown.is_some()
    }

    /// Returns a run number for a run that the engine does not manage (an exec probe).
    pub fn allocate_run(&mut self) -> RunId {
        let run = RunId(self.next_run);
        self.next_run += 1;
        run
    }

    /// The state of a service as people may see it.
    pub fn view(&self, service: ServiceId) -> Option<View> {
        Some(self.nodes.get(&service)?.service.view())
    }

    /// Whether a service has come to rest, and how.
    pub fn settled(&self, service: ServiceId) -> Option<Settled> {
        let node = self.nodes.get(&service)?;
        let record = &node.service.record;
        let down = !node.up_wanted(self.shutdown.is_some());
        Some(match &record.state {
            State::Running { .. } | State::Reloading { .. } if !node.must_be_down => Settled::Ready,
            State::Completed if !node.must_be_down || (record.idle_until_triggered && !down) => {
                Settled::Completed
            }
            State::Failed { .. } => Settled::Failed,
            State::Stopped if down => Settled::Held,
            State::Backoff { .. } => Settled::Backoff,
            State::Waiting { .. } => node
                .stuck_on
                .first()
                .map_or(Settled::No, |on| Settled::WaitingOn(*on)),
            State::Stopped
            | State::Validating { .. }
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reloading { .. }
            | State::Stopping { .. }
            | State::Completed => Settled::No,
        })
    }

    /// The run of a service's main process, until the process has ended and is swept.
    pub fn main_run(&self, service: ServiceId) -> Option<RunId> {
        self.nodes.get(&service)?.service.record.main_run()
    }

    /// The run whose leftovers keep a service from starting. If an earlier daemon's run left them:
    /// the run that could not start because of them.
    pub fn unswept_run(&self, service: ServiceId) -> Option<RunId> {
        let leftovers = self.nodes.get(&service)?.service.record.leftovers;
        leftovers.map(|it| it.run)
    }

    /// The service that a run belongs to (main run, validator or reload command), while the run
    /// still matters to the engine.
    pub fn service_of(&self, run: RunId) -> Option<ServiceId> {
        self.runs.get(&run).copied()
    }

    /// The main run that a reload command is for, if the run is that of a reload command.
    pub fn reloaded_by(&self, run: RunId) -> Option<RunId> {
        let record = &self.nodes.get(self.runs.get(&run)?)?.service.record;
        (record.reload_run() == Some(run)).then(|| record.main_run())?
    }

    /// Whether a run that the engine has decided on, and that is not spawned yet, is still wanted:
    /// no stop has withdrawn the run, and all that its service requires is still ready.
    pub fn is_wanted(&self, run: RunId) -> bool {
        let node = self.runs.get(&run).and_then(|id| self.nodes.get(id));
        node.is_some_and(|node| match &node.service.record.state {
            State::Validating { run: its, .. } | State::Spawning { run: its, .. } => {
                *its == run && !node.must_be_down && node.unmet.is_empty()
            }
            State::Reloading { helper, .. } => helper.map(Helper::run) == Some(run),
            State::Stopped
            | State::Waiting { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Failed { .. }
            | State::Completed => false,
        })
    }

    /// Whether a record of the service waits for the first plan.
    pub fn is_restored(&self, service: ServiceId) -> bool {
        self.restored.contains_key(&service)
    }

    /// The record of a service, with all that must survive the control process: goal, hold, state,
    /// counters.
    pub fn record(&self, service: ServiceId) -> Option<Record> {
        Some(self.nodes.get(&service)?.service.record.clone())
    }

    /// Restores what an earlier control process knew of a service. Call before the first `Apply`.
    pub fn restore(&mut self, service: ServiceId, record: Record) {
        let last = record.runs().into_iter().flatten().max();
        self.next_run = self.next_run.max(last.map_or(0, |run| run.0 + 1));
        self.restored.insert(service, record);
    }

    /// Services in reverse start order, for the stop without a keeper.
    pub fn stop_order(&self) -> Vec<ServiceId> {
        let graph: BTreeMap<ServiceId, Edges> = self
            .nodes
            .iter()
            .map(|(id, node)| (*id, node.edges.clone()))
            .collect();
        let mut order = graph::start_order(&graph);
        order.reverse();
        order
    }

    /// Deadlines that passed before this event. When several facts come late, the first fact must
    /// not judge a run for something that the next fact says was done in time.
    fn overdue(&self, now: Moment) -> Overdue {
        Overdue {
            services: self.due(now).collect(),
            shutdown: self.shutdown_due(now),
        }
    }

    /// Services with a deadline that has passed.
    pub(crate) fn due(&self, now: Moment) -> impl Iterator<Item = ServiceId> + '_ {
        let passed = self.deadlines.iter().take_while(move |(at, _)| *at <= now);
        passed.map(|(_, id)| *id)
    }

    /// Runs each service with a passed deadline once, except those in `left`; then the shutdown.
    fn pass_time(&mut self, now: Moment, left: &Overdue) {
        let due = self.due(now).filter(|id| !left.services.contains(id));
        for id in due.collect::<Vec<ServiceId>>() {
            self.step(now, id, Input::Tick);
            self.settle(now);
        }
        if !left.shutdown {
            self.press_shutdown(now);
        }
    }
}
