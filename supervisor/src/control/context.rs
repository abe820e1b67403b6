//! What every component reads, and by which it says what is to be done.
//!
//! Owner: [`super::Control`], who lends it to one component at a time. It holds what has no single
//! owner: the engine's view of the services, the plan that runs, the ids of services, runs, the
//! time. A component reads these, queues what is to be done outside ([`Context::job`],
//! [`Context::tell`]), and never waits for it.
//!
//! Invariant: outputs leave in the order in which they were said, and answers to clients after
//! them. So a component that has the keeper remember something before it asks for a job that rests
//! on it can rely on that order (`in_order.rs`), and a client on all that it hears of being with
//! the keeper.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use engine::{Engine, Goal, RunId, ServiceId, State};
use keeper::message::{Hello, Request};
use nix::unistd::Uid;
use plan::{NotifyOn, Plan};

use crate::control::{
    alerts::Alert,
    api::{answers::Answer, event_stream::EventStream},
    boot::Boot,
    input::{Job, Now, Output},
    record_keys::Key,
    runs::run::{Purpose, Run},
    service_ids::Names,
};

/// A queue that a boot or shutdown has made longer than this gives its memory back.
const OUTPUTS_KEPT: usize = 64;

/// Shared by all components, lent to one at a time.
pub(super) struct Context {
    pub(super) engine: Engine,
    /// The plan that runs.
    pub(super) plan: Arc<Plan>,
    pub(super) names: Names,
    pub(super) now: Now,
    pub(super) keeper: KeeperInfo,
    pub(super) own: Own,
    /// What followers are told.
    pub(super) events: EventStream,
    /// Runs that live, or have ended and are not swept.
    runs: BTreeMap<RunId, Run>,
    outputs: VecDeque<Output>,
    /// What clients are told once the outputs of this input are said.
    answers: Vec<Answer>,
    /// What people are told at the end of this input who want to know it.
    alerts: Vec<Alert>,
    /// Services changed by the input that is being handled.
    touched: BTreeSet<ServiceId>,
}

/// Who the supervisor itself is.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// Name of its user.
    pub(super) user: String,
    /// It may run services as other users.
    pub(super) is_root: bool,
}

/// What the keeper said of itself.
#[derive(Clone, Debug)]
pub(super) struct KeeperInfo {
    pub(super) pid: i32,
    pub(super) started_ms: u64,
    pub(super) control_deaths: u32,
    pub(super) went_back: bool,
    /// Highest fact taken in and not acknowledged yet.
    unacknowledged: Option<u64>,
}

impl Context {
    pub(super) fn new(now: Now, hello: &Hello, boot: &Boot, plan: Plan) -> Self {
        Self {
            engine: Engine::new(boot.seed, RunId(hello.next_run)),
            keeper: KeeperInfo {
                pid: hello.keeper_pid,
                started_ms: hello.started_ms,
                control_deaths: hello.control_deaths,
                went_back: hello.went_back,
                unacknowledged: None,
            },
            own: Own {
                user: boot.own_user.clone(),
                is_root: Uid::effective().is_root(),
            },
            runs: BTreeMap::new(),
            plan: Arc::new(plan),
            names: Names::default(),
            now,
            outputs: VecDeque::new(),
            answers: Vec::new(),
            alerts: Vec::new(),
            events: EventStream::default(),
            touched: BTreeSet::new(),
        }
    }

    /// The service of the plan with this id.
    pub(super) fn service(&self, id: ServiceId) -> Option<&plan::Service> {
        let name = self.names.name(id)?;
        self.plan.services.get(name).map(AsRef::as_ref)
    }

    /// The name of a service. Every id was given out for one.
    pub(super) fn name(&self, id: ServiceId) -> &str {
        self.names.name(id).unwrap_or("?")
    }

    /// The service of the plan whose run this is.
    pub(super) fn service_of(&self, run: RunId) -> Option<&plan::Service> {
        self.service(self.runs.get(&run)?.service?)
    }

    /// Somebody wants this run. A probe is wanted as long as the run that it asks about.
    pub(super) fn is_wanted(&self, run: RunId) -> bool {
        match self.runs.get(&run).map(|known| &known.purpose) {
            Some(Purpose::Probe(of, _)) => self.engine.service_of(*of).is_some(),
            Some(_) => self.engine.is_wanted(run),
            None => false,
        }
    }

    /// The run lives, or what is left of it does, and is on its way down.
    pub(super) fn is_ending(&self, run: RunId) -> bool {
        let Some(known) = self.runs.get(&run) else {
            return false;
        };
        let view = known.service.and_then(|id| self.engine.view(id));
        view.is_none_or(|view| match view.state {
            // Nobody knows when: what SIGKILL has not ended has no deadline.
            State::Failed { .. } => false,
            State::Stopping { .. } => true,
            _ => view.goal == Goal::Down,
        })
    }

    /// The main run of a service, by name.
    pub(super) fn main_run_of(&self, service: &str) -> Option<RunId> {
        self.engine.main_run(self.names.id(service)?)
    }

    /// A run, from the moment at which it is asked for until all of it is swept.
    pub(super) fn run(&self, run: RunId) -> Option<&Run> {
        self.runs.get(&run)
    }

    /// Mutable version of [`Self::run`].
    pub(super) fn run_mut(&mut self, run: RunId) -> Option<&mut Run> {
        self.runs.get_mut(&run)
    }

    /// All runs, by number.
    pub(super) const fn runs(&self) -> &BTreeMap<RunId, Run> {
        &self.runs
    }

    /// A run is asked for.
    pub(super) fn add_run(&mut self, run: RunId, known: Run) {
        self.runs.insert(run, known);
    }

    /// A run is over, and nothing is left of it.
    pub(super) fn remove_run(&mut self, run: RunId) -> Option<Run> {
        self.runs.remove(&run)
    }

    /// The input that is being handled changes this service.
    pub(super) fn touch(&mut self, id: ServiceId) {
        self.touched.insert(id);
    }

    /// Services that the input has changed so far.
    pub(super) const fn touched(&self) -> &BTreeSet<ServiceId> {
        &self.touched
    }

    /// The same, for the steps that follow the input. Who touches a service from here on has it
    /// looked at after the next input.
    pub(super) fn take_touched(&mut self) -> BTreeSet<ServiceId> {
        std::mem::take(&mut self.touched)
    }

    /// What is to be told to people.
    pub(super) fn take_alerts(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.alerts)
    }

    /// Has this done outside, after all that was said before.
    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// The next thing to do outside.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        let next = self.outputs.pop_front();
        if self.outputs.is_empty() && self.outputs.capacity() > OUTPUTS_KEPT {
            self.outputs = VecDeque::new();
        }
        next
    }

    /// Tells a client, if there is one: once this input is handled.
    pub(super) fn answer(&mut self, answer: impl Into<Option<Answer>>) {
        self.answers.extend(answer.into());
    }

    /// The input is handled: what is said to clients follows all that they may rely on.
    pub(super) fn release_answers(&mut self) {
        let answers = std::mem::take(&mut self.answers);
        self.outputs.extend(answers.into_iter().map(Output::Answer));
    }

    /// The main process of a service, while it has one.
    pub(super) fn pid(&self, id: ServiceId) -> Option<i32> {
        let run = self.engine.main_run(id)?;
        self.runs.get(&run)?.pid
    }

    /// Everything is being stopped, or is.
    pub(super) const fn is_stopping(&self) -> bool {
        self.engine.is_shutting_down()
    }

    /// Tells the keeper.
    pub(super) fn tell(&mut self, request: Request) {
        self.outputs.push_back(Output::Keeper(request));
    }

    /// A fact of the keeper's has been taken in.
    pub(super) const fn taken_in(&mut self, seq: u64) {
        self.keeper.unacknowledged = Some(seq);
    }

    /// The keeper may forget the facts that were taken in: all that rests on them has been said.
    pub(super) fn acknowledge(&mut self) {
        if let Some(seq) = self.keeper.unacknowledged.take() {
            self.tell(Request::Ack { seq });
        }
    }

    /// Has this done off the control thread.
    pub(super) fn job(&mut self, job: Job) {
        self.outputs.push_back(Output::Job(job));
    }

    /// Has the keeper hold a record; the last one of a key counts.
    pub(super) fn remember(&mut self, key: Key, record: String) {
        self.remember_as(key.name().to_owned(), record);
    }

    /// The same under a key that has the name of a service.
    pub(super) fn remember_as(&mut self, service: String, record: String) {
        // A record may have numbers of services: what they stand for is known before it.
        if let Some(names) = self.names.take_unremembered() {
            let service = Key::Names.name().to_owned();
            self.tell(Request::Remember {
                service,
                record: names,
            });
        }
        self.tell(Request::Remember { service, record });
    }

    /// Somebody wants to be told of this.
    pub(super) fn is_wanted_by_anybody(&self, cause: NotifyOn) -> bool {
        self.plan.notify.iter().any(|it| it.on.contains(&cause))
    }

    /// Has those told who want to know it, at the end of this step. `service`: whom it is about;
    /// empty: the machine.
    pub(super) fn alert(&mut self, service: &str, cause: NotifyOn, text: String) {
        self.alerts.push(Alert {
            service: service.to_owned(),
            cause,
            also: None,
            text,
        });
    }

    /// The same for those alone who want to know of `also` too.
    pub(super) fn alert_who_want_both(
        &mut self,
        service: &str,
        [cause, also]: [NotifyOn; 2],
        text: String,
    ) {
        self.alerts.push(Alert {
            service: service.to_owned(),
            cause,
            also: Some(also),
            text,
        });
    }
}
