//! Services that run, without a control process: for tests of one component alone.

use std::collections::BTreeMap;

use engine::{Command, Effect, Event, Exit, Fact, Moment, RunId, ServiceId};
use plan::{Plan, RealHost};

use crate::control::{
    Context, Output, Task,
    boot::Boot,
    harness::{MIDNIGHT, files, hello},
    input::Now,
    monitors::listening::Listening,
    reconfigure::{Verdicts, specs},
};

const START: Moment = Moment(5_000);

pub(super) struct Fixture {
    pub(super) cx: Context,
    pub(super) listening: Listening,
    _root: tempfile::TempDir,
}

impl Fixture {
    /// A context in which all of these services are up, each with its file.
    pub(super) fn new(services: &[(&str, &str)]) -> Self {
        let (root, options) = files(services);
        let plan = plan::load(&RealHost, &options).unwrap();
        let now = Now {
            moment: START,
            unix_ms: MIDNIGHT,
        };
        let mut fixture = Self {
            cx: Context::new(now, &hello(), &Boot::default(), plan.clone()),
            listening: Listening::default(),
            _root: root,
        };
        let specs = specs(&mut fixture.cx, &plan, &BTreeMap::new());
        fixture.command(Command::Apply(specs));
        fixture
    }

    pub(super) fn id(&self, name: &str) -> ServiceId {
        self.cx.names.id(name).unwrap()
    }

    pub(super) fn verdicts(listening: &Listening) -> Verdicts<'_> {
        Verdicts {
            listening,
            stopping: false,
        }
    }

    /// The context, and what is read to judge services.
    pub(super) fn parts(&mut self) -> (&mut Context, Verdicts<'_>) {
        (&mut self.cx, Self::verdicts(&self.listening))
    }

    pub(super) fn command(&mut self, command: Command) {
        self.handle(Event::Command(command));
    }

    /// The main run of a service ends by itself.
    pub(super) fn crash(&mut self, service: ServiceId) {
        let run = self.cx.engine.main_run(service).unwrap();
        let exit = Exit::Code(1);
        self.handle(Event::Fact(Fact::Exited { run, exit }));
    }

    /// The keeper reports that nothing is left of the service's last run.
    pub(super) fn swept(&mut self, service: ServiceId) {
        let run = self.cx.engine.main_run(service).unwrap();
        self.handle(Event::Fact(Fact::Swept { run, left: 0 }));
    }

    /// Feeds the engine; every process that it wants spawned executes at once.
    fn handle(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            self.cx.engine.handle(self.cx.now.moment, event).unwrap();
            while let Some(effect) = self.cx.engine.poll_effect() {
                if let Effect::Spawn { run, .. } = effect {
                    events.push(spawned(run));
                }
            }
        }
    }

    pub(super) const fn pass(&mut self, ms: u64) -> Moment {
        self.cx.now.moment = self.cx.now.moment.after(ms);
        self.cx.now.moment
    }

    /// Number of kept plans since the last call.
    pub(super) fn kept(&mut self) -> usize {
        let outputs = std::iter::from_fn(|| self.cx.poll_output());
        outputs
            .filter(|it| matches!(it, Output::Task(Task::Keep { .. })))
            .count()
    }

    /// The plan that runs, with this change.
    pub(super) fn changed(&self, change: impl FnOnce(&mut Plan)) -> Plan {
        let mut plan = Plan::clone(&self.cx.plan);
        change(&mut plan);
        plan
    }
}

const fn spawned(run: RunId) -> Event {
    Event::Fact(Fact::Spawned { run })
}
