//! The state that every component reads, and the queue of their outputs.
//!
//! Owner: [`super::Control`], which lends the context to one component at a time. The context holds
//! what has no single owner: the engine's view of the services, the current plan, the ids of
//! services, the runs, the time. A component reads these, queues what is to be done outside
//! ([`Context::queue_task`], [`Context::tell`]), and never waits for the result.
//!
//! Invariant: outputs leave in the order in which components queue them, and answers to clients
//! after them. So a component that has the keeper remember something before it asks for a dependent
//! job can rely on that order (`in_order.rs`), and the keeper knows of everything that a client
//! hears.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use engine::{Engine, Goal, RunId, ServiceId, State};
use keeper::message::{Hello, KeeperRefusal, Request};
use nix::unistd::Uid;
use plan::{NotifyOn, Plan};

use crate::control::{
    alerts::Alert,
    api::{answers::Answer, event_stream::EventStream},
    boot::Boot,
    input::{Now, Output, Task},
    record_keys::Key,
    runs::run::{Purpose, Run},
    service_ids::Names,
};

/// The queue shrinks if a boot or shutdown has made it longer than this.
const OUTPUTS_KEPT: usize = 64;

/// Shared by all components, lent to one at a time.
pub(super) struct Context {
    pub(super) engine: Engine,
    /// The current plan.
    pub(super) plan: Arc<Plan>,
    pub(super) names: Names,
    pub(super) now: Now,
    pub(super) keeper: KeeperInfo,
    pub(super) own: Own,
    /// The event stream for followers.
    pub(super) events: EventStream,
    /// Runs that are alive, or have ended and are not swept.
    runs: BTreeMap<RunId, Run>,
    outputs: VecDeque<Output>,
    /// Answers that leave after the outputs of this input.
    answers: Vec<Answer>,
    /// Alerts that leave at the end of this input.
    alerts: Vec<Alert>,
    /// Services changed by the current input.
    touched: BTreeSet<ServiceId>,
}

/// The supervisor's own account.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// Name of the supervisor's user.
    pub(super) user: String,
    /// Whether the supervisor may run services as other users.
    pub(super) is_root: bool,
}

/// What the keeper has said about itself.
#[derive(Clone, Debug)]
pub(super) struct KeeperInfo {
    pub(super) pid: i32,
    pub(super) started_ms: u64,
    pub(super) control_deaths: u32,
    pub(super) went_back: bool,
    /// Version of its program.
    pub(super) version: String,
    /// Times that it has become another program.
    pub(super) execs: u32,
    /// Why the installed program did not become its own, the last time.
    pub(super) refusal: Option<KeeperRefusal>,
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
                version: hello.keeper_version.clone(),
                execs: hello.keeper_execs,
                refusal: hello.keeper_refusal.clone(),
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

    /// The name of a service. Every id belongs to a name.
    pub(super) fn name(&self, id: ServiceId) -> &str {
        self.names.name(id).unwrap_or("?")
    }

    /// The service of the plan whose run this is.
    pub(super) fn service_of(&self, run: RunId) -> Option<&plan::Service> {
        self.service(self.runs.get(&run)?.service?)
    }

    /// Whether a run is still wanted. A probe is wanted as long as the run that it probes.
    pub(super) fn is_wanted(&self, run: RunId) -> bool {
        match self.runs.get(&run).map(|known| &known.purpose) {
            Some(Purpose::Probe(of, _)) => self.engine.service_of(*of).is_some(),
            Some(_) => self.engine.is_wanted(run),
            None => false,
        }
    }

    /// Whether the run, or what is left of it, is on its way down.
    pub(super) fn is_ending(&self, run: RunId) -> bool {
        let Some(known) = self.runs.get(&run) else {
            return false;
        };
        let view = known.service.and_then(|id| self.engine.view(id));
        view.is_none_or(|view| match view.state {
            // The end is unknown: leftovers of SIGKILL have no deadline.
            State::Failed { .. } => false,
            State::Stopping { .. } => true,
            _ => view.goal == Goal::Down,
        })
    }

    /// The main run of a service, by name.
    pub(super) fn main_run_of(&self, service: &str) -> Option<RunId> {
        self.engine.main_run(self.names.id(service)?)
    }

    /// A run, from the request for it until the run is swept.
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

    /// Adds a run that is asked for.
    pub(super) fn add_run(&mut self, run: RunId, known: Run) {
        self.runs.insert(run, known);
    }

    /// Removes a run that is over and has nothing left.
    pub(super) fn remove_run(&mut self, run: RunId) -> Option<Run> {
        self.runs.remove(&run)
    }

    /// Marks a service as changed by the current input.
    pub(super) fn touch(&mut self, id: ServiceId) {
        self.touched.insert(id);
    }

    /// Services that the current input has changed so far.
    pub(super) const fn touched(&self) -> &BTreeSet<ServiceId> {
        &self.touched
    }

    /// Takes the changed services for the steps after the input. A service that such a step touches
    /// is looked at after the next input.
    pub(super) fn take_touched(&mut self) -> BTreeSet<ServiceId> {
        std::mem::take(&mut self.touched)
    }

    /// Takes the queued alerts.
    pub(super) fn take_alerts(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.alerts)
    }

    /// Queues an output after all earlier outputs.
    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// The next output.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        let next = self.outputs.pop_front();
        if self.outputs.is_empty() && self.outputs.capacity() > OUTPUTS_KEPT {
            self.outputs = VecDeque::new();
        }
        next
    }

    /// Queues an answer for a client, if there is a client, until this input is handled.
    pub(super) fn answer(&mut self, answer: impl Into<Option<Answer>>) {
        self.answers.extend(answer.into());
    }

    /// Releases the answers at the end of an input, after all outputs that they rest on.
    pub(super) fn release_answers(&mut self) {
        let answers = std::mem::take(&mut self.answers);
        self.outputs.extend(answers.into_iter().map(Output::Answer));
    }

    /// The main process of a service, while it has one.
    pub(super) fn pid(&self, id: ServiceId) -> Option<i32> {
        let run = self.engine.main_run(id)?;
        self.runs.get(&run)?.pid
    }

    /// Whether a shutdown is under way or complete.
    pub(super) const fn is_stopping(&self) -> bool {
        self.engine.is_shutting_down()
    }

    /// Sends a request to the keeper.
    pub(super) fn tell(&mut self, request: Request) {
        self.outputs.push_back(Output::Keeper(request));
    }

    /// Notes that a fact of the keeper has been taken in.
    pub(super) const fn taken_in(&mut self, seq: u64) {
        self.keeper.unacknowledged = Some(seq);
    }

    /// Lets the keeper forget the facts taken in: all outputs that rest on them are queued.
    pub(super) fn acknowledge(&mut self) {
        if let Some(seq) = self.keeper.unacknowledged.take() {
            self.tell(Request::Ack { seq });
        }
    }

    /// Queues a job off the control thread.
    pub(super) fn queue_task(&mut self, task: Task) {
        self.outputs.push_back(Output::Task(task));
    }

    /// Has the keeper hold a record; a later record replaces an earlier record of the same key.
    pub(super) fn remember(&mut self, key: Key, record: String) {
        self.remember_as(key.name().to_owned(), record);
    }

    /// Has the keeper hold a record under the name of a service.
    pub(super) fn remember_as(&mut self, service: String, record: String) {
        // A record may contain ids of services: the keeper learns their names first.
        if let Some(names) = self.names.take_unremembered() {
            let service = Key::Names.name().to_owned();
            self.tell(Request::Remember {
                service,
                record: names,
            });
        }
        self.tell(Request::Remember { service, record });
    }

    /// Whether any target wants alerts of this cause.
    pub(super) fn is_wanted_by_anybody(&self, cause: NotifyOn) -> bool {
        self.plan.notify.iter().any(|it| it.on.contains(&cause))
    }

    /// Alerts targets that want this cause, at the end of this step. `service`: the service that
    /// the alert is about; empty: the machine.
    pub(super) fn alert(&mut self, service: &str, cause: NotifyOn, text: String) {
        self.alerts.push(Alert {
            service: service.to_owned(),
            cause,
            also: None,
            text,
        });
    }

    /// Alerts only targets that want `also` too.
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
