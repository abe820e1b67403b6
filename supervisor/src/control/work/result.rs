//! How the work of a job ends: its result is read from its directory once it is over, and goes to who
//! has asked.

use std::{io, path::Path};

use api::{JOB_REQUEST_FILE, JOB_RESULT_BYTES_MAX, JOB_RESULT_FILE, JobOrder, JobResult};
use engine::{State, View};
use safe_path::Dir;

use super::job_dir;
use crate::{
    aside,
    control::{Control, Job, input::Done},
    store,
};

/// Writes what a job is asked to do to its directory.
pub(in crate::control) fn store(state_dir: &Path, service: &str, order: &JobOrder) -> Done {
    let stored = store_order(state_dir, service, order);
    Done::OrderStored(stored.map_err(|error| error.to_string()))
}

/// Reads what it has left as its result.
pub(in crate::control) fn read(state_dir: &Path, service: &str, id: String) -> Done {
    let result = read_result(state_dir, service, &id).map(Box::new);
    Done::ResultRead { id, result }
}

/// Durably: it may be all that is known of a request.
fn store_order(state_dir: &Path, service: &str, order: &JobOrder) -> io::Result<()> {
    let dir = job_dir(state_dir, service);
    Dir::make(&dir, 0o700)?;
    let text = serde_json::to_string(order)?;
    store::write_atomically(&dir.join(JOB_REQUEST_FILE), text.as_bytes())
}

/// None: it has left none of this request.
fn read_result(state_dir: &Path, service: &str, id: &str) -> Option<JobResult> {
    let path = job_dir(state_dir, service).join(JOB_RESULT_FILE);
    // What is none of ours has been told and put aside.
    let result = aside::read_json::<JobResult>(&path, JOB_RESULT_BYTES_MAX as u64).ok()??;
    (result.id == id).then(|| JobResult {
        message: api::one_line(&result.message),
        ..result
    })
}

impl Control {
    /// Has the results read of jobs that are over.
    pub(in crate::control) fn look_for_results(&mut self) {
        // What would not go may be tried again once it has gone; nobody waits for that.
        let given_up = |id| {
            let view = self.cx.engine.view(id);
            view.is_some_and(|it| matches!(it.state, State::Failed { .. }))
        };
        let over = |service: &str| {
            let id = self.cx.names.id(service);
            id.is_none_or(|id| self.cx.engine.is_over(id) || given_up(id))
        };
        for (service, id) in self.changes.results_to_read(over) {
            self.forget_progress(&service);
            self.cx.job(Job::ReadResult { service, id });
        }
    }

    /// The result of a job, or that it has left none.
    pub(in crate::control) fn result_read(&mut self, id: &str, result: Option<JobResult>) {
        let service = self.changes.result_read(id, result.clone());
        if let Some(job) = service.and_then(|name| self.cx.names.id(&name)) {
            if let Some(result) = result {
                let report = serde_json::Value::Null;
                let result = JobResult { report, ..result };
                self.work.results.insert(job, result);
            }
            self.cx.touched.insert(job);
        }
        self.evaluate_change(id);
    }

    /// What a job has said of its last failure.
    pub(in crate::control) fn job_message(&self, name: &str, view: &View) -> Option<&str> {
        let result = self.work.result_of(self.cx.names.id(name)?, view)?;
        Some(result.message.as_str()).filter(|it| !result.ok && !it.is_empty())
    }
}
