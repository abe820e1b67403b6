//! Requests (systemd's jobs): whether the engine can do a request, and what the request starts.
//!
//! Invariant: all checks of a request come before its first change, so a refused request has
//! changed nothing. The targets are one set, handled dependencies before dependents.

use alloc::vec::Vec;

use crate::{
    effect::{Effect, SignalPurpose},
    engine::Engine,
    event::{Accepted, Command, Refusal},
    graph,
    ids::{Ids, Moment, ServiceId},
    input::Input,
    spec::Kind,
    state::{Goal, Hold, State, StopPhase},
    up::Up,
};

impl Engine {
    pub(crate) fn command(&mut self, now: Moment, command: Command) -> Result<Accepted, Refusal> {
        if self.shutdown.is_some() {
            match command {
                Command::Shutdown { deadline_ms } => return Ok(self.shut_down(now, deadline_ms)),
                // A control process that starts during a shutdown still has to learn which runs
                // exist.
                Command::Apply(plan) if !self.restored.is_empty() => return self.apply(now, plan),
                _ => return Err(Refusal::ShuttingDown),
            }
        }
        match command {
            Command::Start(targets) => self
                .may_start(&targets)
                .map(|()| self.start(now, &targets, false)),
            Command::Once(targets) => self
                .may_start(&targets)
                .map(|()| self.start(now, &targets, true)),
            Command::Run(targets) => self.run(now, &targets),
            Command::Job { job, request } => self.ask_job(now, job, request),
            Command::Lease { job, services } => self.take_leases(now, job, &services),
            Command::Release { job } => self.is_job(job).map(|()| self.give_back(job)),
            Command::Stop(targets, hold) => {
                self.known(&targets).map(|()| self.stop(&targets, &hold))
            }
            Command::Restart(targets) => {
                self.may_start(&targets)?;
                self.no_jobs(&targets)?;
                self.requirements_free(&targets)?;
                Ok(self.restart(now, &targets))
            }
            Command::Reload(targets) => self.reload(now, &targets),
            Command::Signal(targets, signal) => self.signal(&targets, signal),
            Command::Apply(plan) => self.apply(now, plan),
            Command::Shutdown { deadline_ms } => Ok(self.shut_down(now, deadline_ms)),
        }
    }

    fn may_start(&self, targets: &Ids) -> Result<(), Refusal> {
        self.known(targets)?;
        self.unleased(targets)
    }

    pub(crate) fn known(&self, targets: &Ids) -> Result<(), Refusal> {
        let known = |id: &ServiceId| {
            self.nodes
                .get(id)
                .is_some_and(|node| !node.service.record.removing)
        };
        match targets.iter().find(|id| !known(id)) {
            Some(id) => Err(Refusal::Unknown(*id)),
            None => Ok(()),
        }
    }

    /// The targets and all that they require, directly or not.
    pub(crate) fn with_requirements(&self, targets: &Ids) -> Ids {
        Self::closure(targets, |id| {
            let edges = self.nodes.get(&id).map(|node| &node.edges);
            edges
                .into_iter()
                .flatten()
                .filter(|(_, e)| e.strong)
                .map(|(on, _)| *on)
                .collect()
        })
    }

    /// Services outside the targets that require a target, directly or not.
    pub(crate) fn requirers(&self, targets: &Ids) -> Ids {
        let mut all = Self::closure(targets, |id| {
            let requires = |from: &&ServiceId| {
                self.nodes
                    .get(*from)
                    .is_some_and(|it| it.edges.get(&id).is_some_and(|e| e.strong))
            };
            let dependents = self.nodes.get(&id).map(|node| &node.dependents);
            dependents
                .into_iter()
                .flatten()
                .filter(requires)
                .copied()
                .collect()
        });
        all.retain(|id| !targets.contains(id));
        all
    }

    /// Sorts services so that dependencies come first. A service that is idle until triggered looks
    /// ready until the command starts that service: its dependents must not start before that.
    fn in_start_order(&self, ids: &Ids) -> Vec<ServiceId> {
        let among = |id: &ServiceId| {
            let mut edges = self.nodes.get(id)?.edges.clone();
            edges.retain(|on, _| ids.contains(on));
            Some((*id, edges))
        };
        graph::start_order(&ids.iter().filter_map(among).collect())
    }

    fn closure(targets: &Ids, next: impl Fn(ServiceId) -> Vec<ServiceId>) -> Ids {
        let mut all = targets.clone();
        let mut todo: Vec<ServiceId> = targets.iter().copied().collect();
        while let Some(id) = todo.pop() {
            todo.extend(next(id).into_iter().filter(|id| all.insert(*id)));
        }
        all
    }

    fn start(&mut self, now: Moment, targets: &Ids, once: bool) -> Accepted {
        let mut accepted = Accepted::default();
        let all = self.with_requirements(targets);
        for id in &all {
            self.lift(*id, &mut accepted);
        }
        for id in targets {
            self.set_once(*id, once, &mut accepted);
        }
        self.propagate();
        for id in self.in_start_order(&all) {
            let Some(node) = self.nodes.get(&id) else {
                continue;
            };
            if node.service.spec.scheduled {
                self.start_scheduled(now, id, targets, &mut accepted);
                continue;
            }
            let daemon = node.service.spec.kind == Kind::Daemon;
            match &node.service.record.state {
                State::Stopped
                | State::Waiting { .. }
                | State::Backoff { .. }
                | State::Failed { .. }
                | State::Stopping { .. } => {
                    if !matches!(node.service.record.state, State::Waiting { .. }) {
                        accepted.affected.insert(id);
                    }
                    self.step(now, id, Input::Start);
                    self.stop_what_lost_its_binding(now);
                }
                // To its dependents, a completed daemon is as good as up.
                State::Completed if daemon && targets.contains(&id) => {
                    accepted.affected.insert(id);
                    self.step(now, id, Input::Start);
                    self.stop_what_lost_its_binding(now);
                }
                State::Validating { .. }
                | State::Spawning { .. }
                | State::Starting { .. }
                | State::Running { .. }
                | State::Reloading { .. }
                | State::Completed => {}
            }
        }
        accepted
    }

    /// Starts a scheduled service: a stopped service waits for its next time, an idle target runs
    /// now.
    fn start_scheduled(&mut self, now: Moment, id: ServiceId, targets: &Ids, to: &mut Accepted) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        let state = &node.service.record.state;
        let by_hand = targets.contains(&id) && !node.service.spec.job;
        let lifted = to.lifted.iter().any(|(of, _)| *of == id);
        if lifted && matches!(state, State::Stopped | State::Stopping { .. }) {
            self.set_idle_until_triggered(id, true);
        } else if by_hand && is_runnable(state) {
            to.affected.insert(id);
            self.step(now, id, Input::Start);
        }
        self.stop_what_lost_its_binding(now);
    }

    /// Runs these oneshots now, since their time has come.
    fn run(&mut self, now: Moment, targets: &Ids) -> Result<Accepted, Refusal> {
        self.known(targets)?;
        self.no_jobs(targets)?;
        for id in targets {
            let Some(node) = self.nodes.get(id) else {
                continue;
            };
            let record = &node.service.record;
            if node.service.spec.kind != Kind::Oneshot {
                return Err(Refusal::NotOneshot(*id));
            }
            if let Some(hold) = record.hold.clone() {
                return Err(Refusal::Held { service: *id, hold });
            }
            if let Some(lease) = record.lease {
                return Err(Refusal::Leased {
                    service: *id,
                    requirement: *id,
                    lease,
                });
            }
            if record.goal == Goal::Down || !is_runnable(&record.state) {
                return Err(Refusal::AlreadyRunning(*id));
            }
        }
        for id in self.in_start_order(targets) {
            self.step(now, id, Input::Start);
            self.stop_what_lost_its_binding(now);
        }
        Ok(Accepted {
            affected: targets.clone(),
            ..Accepted::default()
        })
    }

    /// Sets whether the service stays down when its run ends by itself.
    pub(crate) fn set_once(&mut self, id: ServiceId, once: bool, accepted: &mut Accepted) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if node.service.record.once != once {
            node.service.record.once = once;
            accepted.affected.insert(id);
            self.tell_changed(id);
        }
    }

    /// Sets whether the service stays idle until a command or its schedule triggers a run.
    pub(crate) fn set_idle_until_triggered(&mut self, id: ServiceId, idle: bool) {
        if let Some(node) = self.nodes.get_mut(&id)
            && node.service.record.idle_until_triggered != idle
        {
            node.service.record.idle_until_triggered = idle;
            self.moved.insert(id);
            self.tell_changed(id);
        }
    }

    /// Sets the goal to up and lifts the hold.
    pub(crate) fn lift(&mut self, id: ServiceId, accepted: &mut Accepted) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let record = &mut node.service.record;
        let hold = record.hold.take();
        if hold.is_none() && record.goal == Goal::Up {
            return;
        }
        record.goal = Goal::Up;
        accepted.affected.insert(id);
        accepted.lifted.extend(hold.map(|hold| (id, hold)));
        self.moved.insert(id);
        self.tell_changed(id);
    }

    fn stop(&mut self, targets: &Ids, hold: &Hold) -> Accepted {
        let mut accepted = Accepted::default();
        self.note_stopped_too(targets, &mut accepted);
        for id in targets {
            let Some(node) = self.nodes.get_mut(id) else {
                continue;
            };
            let record = &mut node.service.record;
            if record.goal == Goal::Up || record.hold.is_none() {
                record.goal = Goal::Down;
                record.hold = Some(hold.clone());
                record.once = false;
                accepted.affected.insert(*id);
                self.moved.insert(*id);
                self.tell_changed(*id);
            }
        }
        self.note_reruns(targets, &mut accepted);
        accepted
    }

    /// Notes the services that stop with the targets because they require a target.
    pub(crate) fn note_stopped_too(&self, targets: &Ids, accepted: &mut Accepted) {
        let goes = |id: &ServiceId| {
            self.nodes.get(id).is_some_and(|node| {
                let state = &node.service.record.state;
                !node.must_be_down && (state.is_live() || matches!(state, State::Backoff { .. }))
            })
        };
        let too = self.requirers(targets).into_iter().filter(goes);
        accepted.dependents.extend(too);
    }

    fn reload(&mut self, now: Moment, targets: &Ids) -> Result<Accepted, Refusal> {
        self.known(targets)?;
        for id in targets {
            let Some(node) = self.nodes.get(id) else {
                continue;
            };
            if node.service.spec.reload.is_none() {
                return Err(Refusal::CannotReload(*id));
            }
            let state = &node.service.record.state;
            if node.must_be_down || !state.is_live() || matches!(state, State::Stopping { .. }) {
                return Err(Refusal::NotRunning(*id));
            }
        }
        for id in targets {
            self.step(now, *id, Input::Reload);
        }
        Ok(Accepted {
            affected: targets.clone(),
            ..Accepted::default()
        })
    }

    fn signal(&mut self, targets: &Ids, signal: i32) -> Result<Accepted, Refusal> {
        self.known(targets)?;
        let mut effects = Vec::new();
        for service in targets {
            let state = self
                .nodes
                .get(service)
                .map(|node| &node.service.record.state);
            let run = match state {
                Some(
                    State::Starting { run, .. }
                    | State::Running {
                        up: Up { run, .. }, ..
                    }
                    | State::Reloading {
                        up: Up { run, .. }, ..
                    }
                    | State::Stopping {
                        run,
                        phase: StopPhase::Asked { .. },
                        ..
                    },
                ) => *run,
                _ => return Err(Refusal::NotRunning(*service)),
            };
            effects.push(Effect::Signal {
                service: *service,
                run,
                signal,
                purpose: SignalPurpose::Asked,
            });
        }
        for effect in effects {
            self.push_effect(effect);
        }
        Ok(Accepted {
            affected: targets.clone(),
            ..Accepted::default()
        })
    }
}

/// Whether a oneshot in this state can run: no run is under way and none is about to start.
const fn is_runnable(state: &State) -> bool {
    match state {
        State::Stopped | State::Failed { .. } | State::Completed => true,
        State::Waiting { .. }
        | State::Validating { .. }
        | State::Spawning { .. }
        | State::Starting { .. }
        | State::Running { .. }
        | State::Reloading { .. }
        | State::Stopping { .. }
        | State::Backoff { .. } => false,
    }
}
