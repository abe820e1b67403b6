//! A little model world for the engine: processes that fork, live, die and are swept, and the
//! rules that no engine may ever break, checked at every effect.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};

use engine::{
    Accepted, Command, Effect, Engine, Escalation, Event, Exit, ExitSet, Fact, Goal, Hold, Kind,
    Moment, Notification, Order, Policy, ProbeKind, ProbeSpec, Probing, ProcessImpact, Ready,
    Refusal, Reload, ReloadHow, Restart, RunId, ServiceId, Settled, SignalPurpose, Spec,
    StartLimit, State, Stop, StopCause, Up, View, Watchdog, WatchdogAction,
};

pub(crate) const TERM: i32 = 15;
pub(crate) const STOP_MS: u64 = 50;

pub(crate) const fn id(n: u32) -> ServiceId {
    ServiceId(n)
}

pub(crate) fn set(ids: &[u32]) -> BTreeSet<ServiceId> {
    ids.iter().copied().map(ServiceId).collect()
}

pub(crate) fn hold() -> Hold {
    Hold {
        by: "alice (uid 1000)".into(),
        at_unix_ms: 1,
    }
}

pub(crate) fn daemon() -> Spec {
    Spec {
        kind: Kind::Daemon,
        requires: BTreeSet::new(),
        wants: BTreeSet::new(),
        binds_to: BTreeSet::new(),
        after: BTreeSet::new(),
        validated: false,
        ready: Ready::Exec,
        ready_timeout_ms: Some(100),
        liveness: None,
        health: None,
        watchdog: None,
        scheduled: false,
        job: false,
        restart: Restart {
            policy: Policy::Always,
            success: ExitSet::default(),
            prevent: ExitSet::default(),
            delay_ms: 10,
            factor_milli: 2000,
            max_delay_ms: 40,
            jitter_milli: 0,
            reset_after_ms: 1000,
            limit: None,
        },
        stop: Stop {
            signal: TERM,
            escalation: None,
            timeout_ms: STOP_MS,
        },
        reload: None,
    }
}

pub(crate) fn requiring(ids: &[u32]) -> Spec {
    Spec {
        requires: set(ids),
        ..daemon()
    }
}

/// Reloads by a signal.
pub(crate) const fn hup() -> Reload {
    told(ReloadHow::Signal(1))
}

/// Reloads by a command.
pub(crate) const fn by_command() -> Reload {
    told(ReloadHow::Command)
}

const fn told(how: ReloadHow) -> Reload {
    Reload {
        how,
        timeout_ms: 100,
        confirm: None,
    }
}

/// The same, and is asked whether it has the new configuration.
pub(crate) fn confirmed(mut reload: Reload) -> Reload {
    reload.confirm = Some(probe(1));
    reload
}

/// What a validator or reload command says that fails.
pub(crate) fn refused() -> Result<(), String> {
    Err("no".to_owned())
}

pub(crate) fn oneshot() -> Spec {
    let restart = Restart {
        policy: Policy::OnFailure,
        ..daemon().restart
    };
    Spec {
        kind: Kind::Oneshot,
        ready_timeout_ms: None,
        restart,
        ..daemon()
    }
}

/// A job that is tried again but after exit code 1, and not for ever.
pub(crate) fn job() -> Spec {
    let mut spec = Spec {
        scheduled: true,
        job: true,
        ..oneshot()
    };
    spec.restart.prevent.codes.insert(1);
    spec.restart.limit = Some(StartLimit {
        starts: 2,
        within_ms: 1_000_000,
    });
    spec
}

pub(crate) const ABRT: i32 = 6;
pub(crate) const QUIT: i32 = 3;
/// From QUIT to TERM.
pub(crate) const SECOND_MS: u64 = 30;

/// QUIT, then TERM, then SIGKILL.
pub(crate) const fn in_two_steps() -> Stop {
    Stop {
        signal: QUIT,
        escalation: Some(Escalation {
            signal: TERM,
            after_ms: SECOND_MS,
        }),
        timeout_ms: STOP_MS,
    }
}

/// A watchdog with the timeout of a stop.
pub(crate) const fn watchdog(action: WatchdogAction) -> Watchdog {
    Watchdog {
        timeout_ms: STOP_MS,
        action,
        signal: ABRT,
    }
}

pub(crate) fn probe(failures: u32) -> ProbeSpec {
    ProbeSpec {
        delay_ms: 0,
        interval_ms: 10,
        failures,
        successes: 1,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Main,
    Validator,
    Reload(RunId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Forking,
    Alive,
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Proc {
    pub(crate) service: ServiceId,
    pub(crate) role: Role,
    pub(crate) phase: Phase,
    pub(crate) asked: bool,
    pub(crate) killed: bool,
    /// The keeper makes no process for it: something of an earlier run is left.
    pub(crate) refused: bool,
}

impl Proc {
    /// What becomes of it that is asked for.
    pub(crate) const fn born(&self, run: RunId) -> Fact {
        if self.refused {
            Fact::SpawnRefused { run, left: 1 }
        } else {
            Fact::Spawned { run }
        }
    }

    /// What becomes of a validator or reload command.
    fn outcome(&self) -> Result<(), String> {
        if self.killed { refused() } else { Ok(()) }
    }
}

/// The next word is the run's own.
const fn awaits_ready(state: &State) -> bool {
    matches!(
        state,
        State::Reloading {
            helper: None,
            awaits_ready: true,
            ..
        }
    )
}

/// How a fair world behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Obedient,
    Stubborn,
    DiesAtOnce,
    NeverReady,
    /// Obeys no signal, SIGKILL neither.
    Immortal,
}

impl Mood {
    const fn ignores_signals(self) -> bool {
        matches!(self, Self::Stubborn | Self::Immortal)
    }
}

pub(crate) const MOODS: [Mood; 5] = [
    Mood::Obedient,
    Mood::Stubborn,
    Mood::DiesAtOnce,
    Mood::NeverReady,
    Mood::Immortal,
];

#[derive(Clone, Debug)]
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) now: Moment,
    pub(crate) specs: BTreeMap<ServiceId, Spec>,
    pub(crate) procs: BTreeMap<RunId, Proc>,
    pub(crate) probes: BTreeSet<(RunId, ProbeKind)>,
    pub(crate) last: Vec<Effect>,
    /// Main runs whose end was told.
    pub(crate) ended: BTreeSet<RunId>,
    pub(crate) complete: Option<bool>,
    /// A new control process says again what the old one may not have said.
    pub(crate) reborn: bool,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self {
            engine: Engine::new(42, RunId(1)),
            now: Moment(1000),
            specs: BTreeMap::new(),
            procs: BTreeMap::new(),
            probes: BTreeSet::new(),
            last: Vec::new(),
            ended: BTreeSet::new(),
            complete: None,
            reborn: false,
        }
    }

    /// An engine that has taken this plan, numbered from 0, and has asked for what it wants.
    pub(crate) fn with(specs: &[Spec]) -> Self {
        let mut rig = Self::new();
        rig.apply(specs, ProcessImpact::Keep)
            .expect("the plan has no loop");
        rig
    }

    /// The same, and an obedient world has come to rest.
    pub(crate) fn up(specs: &[Spec]) -> Self {
        let mut rig = Self::with(specs);
        rig.calm(Mood::Obedient);
        rig
    }

    /// A new control process with the same world, before it takes a plan.
    pub(crate) fn reborn(&self) -> Self {
        let mut rig = Self::new();
        rig.now = self.now;
        for id in self.specs.keys() {
            let record = self.engine.record(*id).expect("a record");
            let record = serde_json::to_string(&record).expect("a record");
            let record = serde_json::from_str(&record).expect("a record");
            rig.engine.restore(*id, record);
        }
        rig.specs = self.specs.clone();
        rig.procs = self.procs.clone();
        rig.reborn = true;
        rig
    }

    pub(crate) fn apply(
        &mut self,
        specs: &[Spec],
        impact: ProcessImpact,
    ) -> Result<Accepted, Refusal> {
        let plan = (0..)
            .zip(specs)
            .map(|(n, spec)| (id(n), Box::new(spec.clone()), impact));
        let plan: Vec<_> = plan.collect();
        self.apply_plan(plan)
    }

    pub(crate) fn apply_plan(
        &mut self,
        plan: Vec<(ServiceId, Box<Spec>, ProcessImpact)>,
    ) -> Result<Accepted, Refusal> {
        for (id, spec, _) in &plan {
            self.specs.insert(*id, (**spec).clone());
        }
        self.command(Command::Apply(plan))
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<Accepted, Refusal> {
        self.send(Event::Command(command))
    }

    pub(crate) fn start(&mut self, n: u32) -> Accepted {
        self.command(Command::Start(set(&[n])))
            .expect("it can be started")
    }

    pub(crate) fn stop(&mut self, n: u32) -> Accepted {
        self.command(Command::Stop(set(&[n]), hold()))
            .expect("it can be stopped")
    }

    pub(crate) fn ask_job(&mut self, n: u32) -> Result<Accepted, Refusal> {
        self.command(Command::Job {
            job: id(n),
            request: format!("request of {n}"),
        })
    }

    pub(crate) fn lease(&mut self, job: u32, services: &[u32]) -> Result<Accepted, Refusal> {
        self.command(Command::Lease {
            job: id(job),
            services: set(services),
        })
    }

    pub(crate) fn release(&mut self, job: u32) -> Result<Accepted, Refusal> {
        self.command(Command::Release { job: id(job) })
    }

    pub(crate) fn restart(&mut self, n: u32) -> Accepted {
        self.command(Command::Restart(set(&[n])))
            .expect("it can be restarted")
    }

    /// Feeds one event and carries out what it asks for.
    pub(crate) fn send(&mut self, event: Event) -> Result<Accepted, Refusal> {
        let before = self.seen();
        let outcome = self.engine.handle(self.now, event);
        let effects: Vec<Effect> = core::iter::from_fn(|| self.engine.poll_effect()).collect();
        for (at, effect) in effects.iter().enumerate() {
            self.carry_out(effect, &effects[at..]);
        }
        self.last = effects;
        // Nobody waits any more for a validator that would not go.
        let engine = &self.engine;
        self.procs.retain(|run, it| {
            it.role != Role::Validator || !it.killed || engine.service_of(*run).is_some()
        });
        if outcome.is_err() {
            assert!(self.last.is_empty(), "a refusal changes nothing");
        }
        self.check(&before);
        outcome
    }

    /// What is shown of each service, but for what its probes count by the way.
    fn seen(&self) -> Vec<(ServiceId, Option<View>)> {
        let each = self.specs.keys().map(|service| {
            let mut view = self.engine.view(*service);
            if let Some(view) = &mut view {
                calm_probes(&mut view.state);
            }
            (*service, view)
        });
        each.collect()
    }

    fn check(&self, before: &[(ServiceId, Option<View>)]) {
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

    /// One job at a time is on its way, and a lease ends with its job.
    fn check_jobs(&self) {
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

    #[expect(clippy::too_many_lines, reason = "one arm an effect")]
    fn carry_out(&mut self, effect: &Effect, rest: &[Effect]) {
        match effect {
            Effect::Changed { service } => {
                assert!(
                    self.engine.record(*service).is_some(),
                    "no record of {service:?}"
                );
            }
            Effect::Spawn { service, run } | Effect::Validate { service, run } => {
                let main = matches!(effect, Effect::Spawn { .. });
                let role = if main { Role::Main } else { Role::Validator };
                // What time took back within the same event was for the state before that.
                let kill = Effect::Kill {
                    service: *service,
                    run: *run,
                };
                if main || !rest.contains(&kill) {
                    self.check_spawn(*service, role);
                }
                let refused = main && self.mains(*service).next().is_some();
                assert_eq!(self.engine.service_of(*run), Some(*service));
                let proc = Proc {
                    service: *service,
                    role,
                    phase: if main { Phase::Forking } else { Phase::Alive },
                    asked: false,
                    killed: false,
                    refused,
                };
                assert!(
                    self.procs.insert(*run, proc).is_none(),
                    "{run:?} is used twice"
                );
            }
            Effect::ReloadCommand { service, run, of } => {
                assert_eq!(self.procs[of].phase, Phase::Alive, "a reload of a dead run");
                let proc = Proc {
                    service: *service,
                    role: Role::Reload(*of),
                    phase: Phase::Alive,
                    asked: false,
                    killed: false,
                    refused: false,
                };
                assert!(
                    self.procs.insert(*run, proc).is_none(),
                    "{run:?} is used twice"
                );
            }
            Effect::Signal {
                service,
                run,
                purpose,
                ..
            } => {
                // A successor only says again what was right to ask when it was first said.
                let stop = *purpose == SignalPurpose::Stop;
                if stop && self.procs.get(run).is_some_and(|it| !it.asked) {
                    self.check_order(*service);
                    self.check_stop_order(*service);
                }
                let proc = self
                    .procs
                    .get_mut(run)
                    .expect("a signal to a run that exists");
                assert_eq!(proc.phase, Phase::Alive, "a signal to a dead run");
                proc.asked |= stop;
            }
            Effect::Kill { run, .. } => {
                let proc = self
                    .procs
                    .get_mut(run)
                    .expect("a kill of a run that exists");
                assert_ne!(proc.phase, Phase::Dead, "a kill of a dead run");
                assert!(!proc.killed || self.reborn, "killed twice");
                proc.killed = true;
                if proc.role != Role::Main && self.engine.service_of(*run).is_none() {
                    self.procs.remove(run); // Nobody waits for what is left of a reload.
                }
            }
            Effect::Probe { run, probe, .. } => {
                assert_eq!(self.procs[run].phase, Phase::Alive, "a probe of a dead run");
                assert!(self.probes.insert((*run, *probe)), "probes overlap");
            }
            Effect::Ended(ended) => self.check_end(ended),
            Effect::Forget { service } => {
                assert!(self.engine.view(*service).is_none());
                assert!(
                    !self.mains(*service).any(|_| true),
                    "forgotten while it runs"
                );
                self.specs.remove(service);
            }
            Effect::ShutdownComplete { clean } => {
                assert!(self.complete.is_none(), "complete twice");
                let lives = |it: &Proc| it.role == Role::Main && it.phase == Phase::Alive;
                assert!(
                    !clean || !self.procs.values().any(lives),
                    "said to be clean while something runs"
                );
                self.complete = Some(*clean);
            }
        }
    }

    /// The end of a main run is told once, and not before its process is gone.
    fn check_end(&mut self, ended: &engine::Ended) {
        assert!(self.ended.insert(ended.run), "{:?} ends twice", ended.run);
        let proc = self.procs.get(&ended.run);
        let lives = proc.is_some_and(|it| it.phase == Phase::Alive);
        assert!(!lives, "{ended:?}, and it lives");
    }

    fn check_spawn(&self, service: ServiceId, role: Role) {
        // A start over what will not go is refused by the keeper, and finds out whether it has gone.
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

    /// What a run is told to go down for is so.
    fn check_order(&self, service: ServiceId) {
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
            Order::Stop => view.goal == Goal::Down && view.hold.is_some(),
            Order::Lease(job) => view.lease.is_some_and(|lease| lease.job == job),
            Order::Restart | Order::Plan => view.goal == Goal::Up && view.hold.is_none(),
            Order::Removed => view.goal == Goal::Up || view.hold.is_some(),
            Order::Shutdown => self.engine.settled(service) != Some(Settled::Ready),
            Order::Requirement(on) => {
                spec.is_some_and(|spec| spec.requires.contains(&on) || spec.binds_to.contains(&on))
            }
            Order::Binding(on) => {
                let up = self.engine.view(on).is_some_and(|on| on.ready);
                !up && spec.is_some_and(|spec| spec.binds_to.contains(&on))
            }
        };
        assert!(is_so, "{service:?} goes down for {order:?}: {view:?}");
    }

    /// What requires a service is down before that is asked to stop.
    fn check_stop_order(&self, service: ServiceId) {
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

    fn mains(&self, service: ServiceId) -> impl Iterator<Item = &Proc> {
        self.procs
            .values()
            .filter(move |it| it.service == service && it.role == Role::Main)
    }

    pub(crate) fn run(&self, n: u32) -> RunId {
        self.engine.main_run(id(n)).expect("it has a main run")
    }

    pub(crate) fn state(&self, n: u32) -> State {
        self.engine.view(id(n)).expect("it is known").state
    }

    pub(crate) fn name(&self, n: u32) -> &'static str {
        self.state(n).name()
    }

    pub(crate) fn settled(&self, n: u32) -> Settled {
        self.engine.settled(id(n)).expect("it is known")
    }

    /// Tells a fact and keeps the world in step with it.
    pub(crate) fn fact(&mut self, fact: Fact) {
        match &fact {
            Fact::Spawned { run } => {
                if let Some(proc) = self.procs.get_mut(run) {
                    proc.phase = Phase::Alive;
                }
            }
            Fact::Exited { run, .. } => {
                if let Some(proc) = self.procs.get_mut(run) {
                    proc.phase = Phase::Dead;
                }
                self.probes.retain(|(of, _)| of != run);
            }
            Fact::Swept { run, left: 0 }
            | Fact::SpawnFailed { run, .. }
            | Fact::SpawnRefused { run, .. }
            | Fact::Validated { run, .. }
            | Fact::Reloaded { run, .. } => {
                self.procs.remove(run);
            }
            Fact::Probed { run, probe, .. } => {
                self.probes.remove(&(*run, *probe));
            }
            Fact::Swept { .. } | Fact::Notified { .. } => {}
        }
        self.send(Event::Fact(fact))
            .expect("a fact is never refused");
    }

    pub(crate) fn spawned(&mut self, n: u32) {
        let run = self.run(n);
        self.fact(Fact::Spawned { run });
    }

    pub(crate) fn ready(&mut self, n: u32) {
        let run = self.run(n);
        self.fact(Fact::Notified {
            run,
            what: Notification::Ready,
        });
    }

    /// Its main process ends and is swept.
    pub(crate) fn exit(&mut self, n: u32, exit: Exit) {
        let run = self.run(n);
        self.fact(Fact::Exited { run, exit });
        self.fact(Fact::Swept { run, left: 0 });
    }

    pub(crate) fn probed(&mut self, n: u32, probe: ProbeKind, ok: bool) {
        let run = self.run(n);
        assert!(
            self.probes.contains(&(run, probe)),
            "nobody asked for {probe:?}"
        );
        self.fact(Fact::Probed {
            run,
            probe,
            ok,
            detail: if ok { "" } else { "no" }.into(),
        });
    }

    /// Lets time pass, deadline by deadline.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now.after(ms);
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.send(Event::Timeout { heard: self.now })
                .expect("a timeout is never refused");
        }
        self.now = end;
    }

    pub(crate) fn next_deadline(&mut self) -> bool {
        let Some(at) = self.engine.poll_timeout() else {
            return false;
        };
        self.now = at.max(self.now);
        self.send(Event::Timeout { heard: self.now })
            .expect("a timeout is never refused");
        true
    }

    /// The same, but whoever has to say by then that it is alive does so in time.
    pub(crate) fn next_deadline_of_the_living(&mut self) -> bool {
        let Some(at) = self.engine.poll_timeout() else {
            return false;
        };
        self.now = at.max(self.now);
        let watched = |(run, it): (&RunId, &Proc)| {
            let speaks = it.role == Role::Main && it.phase == Phase::Alive && !it.killed;
            let spec = self.specs.get(&it.service)?;
            (speaks && spec.watchdog.is_some()).then_some(*run)
        };
        for run in self.procs.iter().filter_map(watched).collect::<Vec<_>>() {
            self.fact(Fact::Notified {
                run,
                what: Notification::Alive,
            });
        }
        self.send(Event::Timeout { heard: self.now })
            .expect("a timeout is never refused");
        true
    }

    /// The keeper tells in order: of a start that it refused before the end of what stood against it.
    pub(crate) fn comes_later(&self, run: RunId) -> bool {
        let Some(proc) = self.procs.get(&run) else {
            return false;
        };
        let refused = |it: &Proc| it.service == proc.service && it.refused;
        !proc.refused && self.procs.values().any(refused)
    }

    /// What a world of this mood does next by itself.
    pub(crate) fn next_fact(&self, mood: Mood) -> Option<Fact> {
        for (run, proc) in &self.procs {
            let run = *run;
            if self.comes_later(run) {
                continue;
            }
            let spec = self.specs.get(&proc.service);
            let oneshot = spec.is_some_and(|spec| spec.kind == Kind::Oneshot);
            let ready = spec.map(|spec| &spec.ready);
            let state = self.engine.view(proc.service).map(|view| view.state);
            let starting = matches!(state, Some(State::Starting { .. }));
            let reloading = state.as_ref().is_some_and(awaits_ready);
            let fact = match (proc.role, proc.phase) {
                (Role::Main | Role::Validator, Phase::Alive)
                    if proc.killed && mood == Mood::Immortal =>
                {
                    None
                }
                (Role::Validator, _) => Some(Fact::Validated {
                    run,
                    verdict: proc.outcome(),
                }),
                (Role::Reload(_), _) => Some(Fact::Reloaded {
                    run,
                    outcome: proc.outcome(),
                }),
                (Role::Main, Phase::Forking) => Some(proc.born(run)),
                (Role::Main, Phase::Dead) => Some(Fact::Swept { run, left: 0 }),
                (Role::Main, Phase::Alive) => {
                    if proc.killed {
                        Some(Fact::Exited {
                            run,
                            exit: Exit::Signal(9),
                        })
                    } else if (proc.asked && !mood.ignores_signals()) || mood == Mood::DiesAtOnce {
                        let code = i32::from(!proc.asked);
                        Some(Fact::Exited {
                            run,
                            exit: Exit::Code(code),
                        })
                    } else if proc.asked || mood == Mood::NeverReady {
                        None
                    } else if oneshot {
                        Some(Fact::Exited {
                            run,
                            exit: Exit::Code(0),
                        })
                    } else if reloading || (starting && ready == Some(&Ready::Notify)) {
                        Some(Fact::Notified {
                            run,
                            what: Notification::Ready,
                        })
                    } else if starting && ready == Some(&Ready::ReadySignal) {
                        Some(Fact::Notified {
                            run,
                            what: Notification::ReadySignal,
                        })
                    } else {
                        None
                    }
                }
            };
            if fact.is_some() {
                return fact;
            }
        }
        let (run, probe) = *self.probes.first()?;
        let asks = matches!(probe, ProbeKind::Ready | ProbeKind::Confirm(_));
        let ok = mood != Mood::NeverReady || !asks;
        Some(Fact::Probed {
            run,
            probe,
            ok,
            detail: String::new(),
        })
    }

    /// Lets a fair world act until it has nothing more to say; no time passes.
    pub(crate) fn calm(&mut self, mood: Mood) {
        for _ in 0..10_000 {
            match self.next_fact(mood) {
                Some(fact) => self.fact(fact),
                None => return,
            }
        }
        panic!("the world does not calm down");
    }
}

/// Blanks what a probe counts by the way.
pub(crate) fn calm_probes(state: &mut State) {
    let probes = match state {
        State::Starting { probe, .. } => [probe.as_mut(), None, None],
        State::Running { up } => calm_up(up, None),
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
    [up.liveness.as_mut(), up.health.as_mut(), confirm]
}
