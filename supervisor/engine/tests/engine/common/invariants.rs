//! Invariants of every engine state, checked after every event and at every spawn, stop and end.

use engine::{
    Effect, Goal, Probing, RunId, ServiceId, Settled, State, StopCause, StopReason, Up, View,
};

use super::{Phase, Proc, Rig, Role};

impl Rig {
    /// The view of each service, without the running counts of its probes.
    pub(super) fn seen(&self) -> Vec<(ServiceId, Option<View>)> {
        let each = self.specs.keys().map(|service| {
            let mut view = self.engine.view(*service);
            if let Some(view) = &mut view {
                calm_probes(&mut view.state);
            }
            (*service, view)
        });
        each.collect()
    }

    pub(super) fn check(&self, before: &[(ServiceId, Option<View>)]) {
        self.check_jobs();
        for (service, now) in self.seen() {
            let changed = Effect::Changed { service };
            let told = self
                .last
                .iter()
                .filter(|effect| **effect == changed)
                .count();
            assert!(told <= 1, "{changed:?} twice");
            let was = before.iter().find(|(id, _)| *id == service);
            if now.is_some() && was.is_none_or(|(_, was)| *was != now) {
                assert_eq!(told, 1, "{service:?} changed unsaid to {now:?}");
            }
            if let Some(State::Waiting { on }) = now.map(|it| it.state) {
                assert!(!on.is_empty(), "{service:?} waits for nothing");
            }
        }
    }

    /// At most one job is active, and a lease ends with its job.
    pub(super) fn check_jobs(&self) {
        let jobs = self.specs.iter().filter(|(_, spec)| spec.job);
        let active = jobs.filter(|(id, _)| !self.engine.is_over(**id)).count();
        let planned = self.engine.active_job().is_some();
        assert!(
            active <= 1 && planned == (active == 1),
            "{active} jobs at a time"
        );
        for service in self.specs.keys() {
            if let Some(lease) = self.engine.view(*service).and_then(|view| view.lease) {
                let job = lease.job;
                assert!(
                    !self.engine.is_over(job),
                    "{service:?} is kept by {job:?}, which is over"
                );
                assert!(self.engine.leases_of(job).contains(service));
            }
        }
    }

    /// The engine reports the end of a main run once, and not before its process is gone.
    pub(super) fn check_end(&mut self, ended: &engine::Ended) {
        assert!(self.ended.insert(ended.run), "{:?} ends twice", ended.run);
        let proc = self.procs.get(&ended.run);
        let lives = proc.is_some_and(|it| it.phase == Phase::Alive);
        assert!(!lives, "{ended:?}, and it lives");
    }

    pub(super) fn check_spawn(&self, service: ServiceId, role: Role) {
        // The keeper refuses a start beside leftovers, and so finds out whether they are gone.
        let left = |run: &RunId, it: &Proc| {
            (it.killed || it.phase == Phase::Dead) && self.engine.main_run(service) != Some(*run)
        };
        let mut others = self
            .procs
            .iter()
            .filter(|(run, it)| it.service == service && !left(run, it));
        let reload =
            role == Role::Validator && matches!(self.state(service.0), State::Reloading { .. });
        assert!(
            reload || others.next().is_none(),
            "{service:?} would run twice"
        );
        let view = self.engine.view(service).expect("known");
        assert!(
            view.hold.is_none() && view.goal == Goal::Up,
            "{service:?} is held"
        );
        assert!(view.lease.is_none() || reload, "{service:?} is leased");
        let spec = &self.specs[&service];
        for on in spec.requires.iter().chain(&spec.binds_to) {
            if !reload && let Some(view) = self.engine.view(*on) {
                assert!(
                    view.ready,
                    "{service:?} starts before {on:?}, which it requires: {view:?}"
                );
            }
        }
    }

    /// The reason for which a run is told to stop is true.
    pub(super) fn check_order(&self, service: ServiceId) {
        let State::Stopping {
            cause: StopCause::Asked(order),
            ..
        } = self.state(service.0)
        else {
            return;
        };
        let view = self.engine.view(service).expect("known");
        let spec = self.specs.get(&service);
        let is_so = match order {
            StopReason::Stop => view.goal == Goal::Down && view.hold.is_some(),
            StopReason::Lease(job) => view.lease.is_some_and(|lease| lease.job == job),
            StopReason::Restart | StopReason::Plan => view.goal == Goal::Up && view.hold.is_none(),
            StopReason::Removed => view.goal == Goal::Up || view.hold.is_some(),
            StopReason::Shutdown => self.engine.settled(service) != Some(Settled::Ready),
            StopReason::Requirement(on) => {
                spec.is_some_and(|spec| spec.requires.contains(&on) || spec.binds_to.contains(&on))
            }
            StopReason::Binding(on) => {
                let up = self.engine.view(on).is_some_and(|on| on.ready);
                !up && spec.is_some_and(|spec| spec.binds_to.contains(&on))
            }
        };
        assert!(is_so, "{service:?} goes down for {order:?}: {view:?}");
    }

    /// The requirers of a service are down before the service is asked to stop.
    pub(super) fn check_stop_order(&self, service: ServiceId) {
        let State::Stopping { cause, .. } = self.state(service.0) else {
            return;
        };
        let bound = self
            .specs
            .get(&service)
            .is_none_or(|spec| !spec.binds_to.is_empty());
        if !matches!(cause, StopCause::Asked(_)) || bound {
            return;
        }
        for (id, spec) in &self.specs {
            if spec.requires.contains(&service) || spec.binds_to.contains(&service) {
                let runs = self
                    .mains(*id)
                    .any(|it| it.phase != Phase::Dead && !it.killed);
                assert!(!runs, "{service:?} stops before {id:?}, which requires it");
            }
        }
    }
}

/// Blanks the running counts of a probe.
pub(crate) fn calm_probes(state: &mut State) {
    let probes = match state {
        State::Starting { probe, .. } => [probe.as_mut(), None, None],
        State::Running { up, .. } => calm_up(up, None),
        State::Reloading { up, confirm, .. } => {
            calm_up(up, confirm.as_mut().map(|it| &mut it.probing))
        }
        _ => [None, None, None],
    };
    for probe in probes.into_iter().flatten() {
        probe.next_at = None;
        probe.failures = 0;
        probe.successes = 0;
    }
}

fn calm_up<'a>(up: &'a mut Up, confirm: Option<&'a mut Probing>) -> [Option<&'a mut Probing>; 3] {
    if let Some(watchdog) = &mut up.watchdog {
        watchdog.by = None;
    }
    let health = up.health.as_mut().map(|it| &mut it.probing);
    [up.liveness.as_mut(), health, confirm]
}
