//! A model world for the engine: processes that fork, live, die and are swept. The world checks the
//! engine's invariants at every effect, so every test checks them.

mod effects;
mod invariants;
mod specs;
mod time;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use engine::{
    Accepted, Command, Effect, Engine, Event, Exit, Fact, Moment, Notification, ProbeKind,
    ProcessImpact, Refusal, RunId, ServiceId, Settled, Spec, State,
};

pub(crate) use specs::*;
pub(crate) use world::{MOODS, Mood, Phase, Proc, Role};

#[derive(Clone, Debug)]
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) now: Moment,
    pub(crate) specs: BTreeMap<ServiceId, Spec>,
    pub(crate) procs: BTreeMap<RunId, Proc>,
    pub(crate) probes: BTreeSet<(RunId, ProbeKind)>,
    pub(crate) last: Vec<Effect>,
    /// Main runs whose end was reported.
    pub(crate) ended: BTreeSet<RunId>,
    pub(crate) complete: Option<bool>,
    /// Whether a new control process repeats effects that the old one may not have carried out.
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

    /// An engine with this plan, whose services are numbered from 0; the engine has asked for its
    /// first effects.
    pub(crate) fn with(specs: &[Spec]) -> Self {
        let mut rig = Self::new();
        rig.apply(specs, ProcessImpact::Keep)
            .expect("the plan has no loop");
        rig
    }

    /// Like `with`, after an obedient world has come to rest.
    pub(crate) fn up(specs: &[Spec]) -> Self {
        let mut rig = Self::with(specs);
        rig.calm(Mood::Obedient);
        rig
    }

    /// A new control process in the same world, before it takes a plan.
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

    /// Feeds one event and carries out its effects.
    pub(crate) fn send(&mut self, event: Event) -> Result<Accepted, Refusal> {
        let before = self.seen();
        let outcome = self.engine.handle(self.now, event);
        let effects: Vec<Effect> = core::iter::from_fn(|| self.engine.poll_effect()).collect();
        for (at, effect) in effects.iter().enumerate() {
            self.carry_out(effect, &effects[at..]);
        }
        self.last = effects;
        // A killed validator that the engine has forgotten reports to nobody.
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

    /// The service's main process ends and is swept.
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
}

pub(crate) fn backoff_pause(rig: &Rig) -> Option<u64> {
    match rig.state(0) {
        State::Backoff { until, .. } => Some(until.since(rig.now)),
        _ => None,
    }
}

pub(crate) fn signals(rig: &Rig) -> Vec<i32> {
    rig.last
        .iter()
        .filter_map(|it| {
            if let Effect::Signal { signal, .. } = it {
                Some(*signal)
            } else {
                None
            }
        })
        .collect()
}

pub(crate) fn names(rig: &Rig) -> Vec<&'static str> {
    rig.specs.keys().map(|id| rig.name(id.0)).collect()
}
