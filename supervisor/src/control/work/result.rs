//! How the work of a job ends: its result is read from its directory once the job is over, and goes
//! to the client that asked.

use std::{io, path::Path, time::Duration};

use api::{JOB_REQUEST_FILE, JOB_RESULT_BYTES_MAX, JOB_RESULT_FILE, JobOrder, JobResult};
use engine::{ServiceId, State, View};
use safe_path::Dir;

use crate::{
    aside,
    control::{
        Context, Task,
        api::metrics::Metrics,
        input::Done,
        operations::{
            Operations,
            result::{Due, Read},
        },
        work::{Work, job_dir},
    },
    store,
};

/// Writes a request into the directory of its job.
pub(in crate::control) fn store(state_dir: &Path, service: &str, order: &JobOrder) -> Done {
    let stored = store_order(state_dir, service, order);
    Done::OrderStored(stored.map_err(|error| error.to_string()))
}

/// Reads the result that a job has left.
pub(in crate::control) fn read(state_dir: &Path, service: &str, id: String) -> Done {
    let result = match read_result(state_dir, service) {
        Ok(result) => Ok(result.map(Box::new)),
        Err(why) => return unread(state_dir, service, id, &why),
    };
    Done::ResultRead { id, result }
}

/// The result cannot be read, or not in time: the client hears why, and where it is.
pub(in crate::control) fn unread(state_dir: &Path, service: &str, id: String, why: &str) -> Done {
    let path = job_dir(state_dir, service).join(JOB_RESULT_FILE);
    let result = Err(format!("its result is in {}: {why}", path.display()));
    Done::ResultRead { id, result }
}

/// Durable on return: the file may be all that is known of a request.
fn store_order(state_dir: &Path, service: &str, order: &JobOrder) -> io::Result<()> {
    let dir = job_dir(state_dir, service);
    Dir::make(&dir, 0o700)?;
    let text = serde_json::to_string(order)?;
    store::write_atomically(&dir.join(JOB_REQUEST_FILE), text.as_bytes())
}

/// None: the job has left no result. `Err` says why that is not known.
fn read_result(state_dir: &Path, service: &str) -> Result<Option<JobResult>, String> {
    let path = job_dir(state_dir, service).join(JOB_RESULT_FILE);
    match aside::read_json_later::<JobResult>(&path, JOB_RESULT_BYTES_MAX as u64) {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(aside)) => Err(aside.to_string()),
        Err(error) => Err(format!("cannot read it: {error}")),
    }
}

impl Work {
    /// Has the results read of jobs that are over.
    pub(super) fn read_results(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        metrics: &mut Metrics,
    ) {
        // What would not go may be tried again once it has gone; nobody waits for that.
        let given_up = |id| {
            let view = cx.engine.view(id);
            view.is_some_and(|it| matches!(it.state, State::Failed { .. }))
        };
        let over = |id| cx.engine.is_over(id) || given_up(id);
        for due in operations.results_to_read(over) {
            let Due {
                service: job,
                id,
                ended,
            } = due;
            self.progress.forget(job);
            if let Some(began) = ended {
                let view = cx.engine.view(job);
                let done = view.is_some_and(|it| matches!(it.state, State::Completed));
                let took = Duration::from_millis(cx.now.moment.since(began));
                metrics.work_ends(job, done, took);
            }
            let service = cx.name(job).to_owned();
            cx.queue_task(Task::ReadResult { service, id });
        }
    }

    /// What was read as the result of a job: it may be of an earlier request, or none.
    pub(super) fn result_read(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        id: &str,
        read: Read,
    ) {
        let result = read.map(|it| {
            let own = it.filter(|it| it.id == id);
            own.map(|it| JobResult {
                message: text::one_line(&it.message),
                ..*it
            })
        });
        if let Err(why) = &result {
            tracing::error!("a job has ended, and {why}");
        }
        let Some(job) = operations.result_read(id, result.clone()) else {
            return;
        };
        if let Ok(Some(result)) = result {
            let report = serde_json::Value::Null;
            self.results.insert(job, JobResult { report, ..result });
        }
        cx.touch(job);
    }
}

impl Work {
    /// What a job has said of its last failure.
    pub(in crate::control) fn message(&self, job: ServiceId, view: &View) -> Option<&str> {
        let result = self.result_of(job, view)?;
        Some(result.message.as_str()).filter(|it| !result.ok && !it.is_empty())
    }
}
