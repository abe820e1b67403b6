//! What every component reads, and by which it says what is to be done.
//!
//! Owner: [`super::Control`], who lends it to one component at a time. It holds what has no single owner: the
//! engine's view of the services, the plan that runs, the ids of services, the time. A component reads these, queues
//! what is to be done outside ([`Context::job`], [`Context::tell`]), and never waits for it.
//!
//! Invariant: outputs leave in the order in which they were said, so whoever has the keeper remember something before
//! he asks for a job that rests on it can rely on that order (`in_order.rs`).

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use engine::{Engine, RunId, ServiceId};
use keeper::message::Request;
use plan::Plan;

use super::{
    input::{Job, Now, Output},
    memory::Key,
    names::Names,
};

/// Shared by all components, lent to one at a time.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) engine: Engine,
    /// The plan that runs.
    pub(super) plan: Arc<Plan>,
    pub(super) names: Names,
    pub(super) now: Now,
    pub(super) outputs: VecDeque<Output>,
    /// Services changed by the input that is being handled.
    pub(super) touched: BTreeSet<ServiceId>,
}

impl Context {
    pub(super) fn new(now: Now, engine: Engine, plan: Plan) -> Self {
        Self {
            engine,
            plan: Arc::new(plan),
            names: Names::default(),
            now,
            outputs: VecDeque::new(),
            touched: BTreeSet::new(),
        }
    }

    /// The service of the plan with this id.
    pub(super) fn service(&self, id: ServiceId) -> Option<&plan::Service> {
        let name = self.names.name(id)?;
        self.plan.services.get(name).map(AsRef::as_ref)
    }

    /// The main run of a service, by name.
    pub(super) fn main_run_of(&self, service: &str) -> Option<RunId> {
        self.engine.main_run(self.names.id(service)?)
    }

    /// Tells the keeper.
    pub(super) fn tell(&mut self, request: Request) {
        self.outputs.push_back(Output::Keeper(request));
    }

    /// Has this done off the control thread.
    pub(super) fn job(&mut self, job: Job) {
        self.outputs.push_back(Output::Job(job));
    }

    /// Has the keeper hold a record; the last one of a key counts.
    pub(super) fn remember(&mut self, key: Key, record: String) {
        self.tell(Request::Remember {
            service: key.name().to_owned(),
            record,
        });
    }
}
