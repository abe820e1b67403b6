//! The work of jobs: from a client's request to the result, and what a job keeps stopped meanwhile.
//!
//! A request goes to the disk first (`request.json` in the job's directory, `requests.rs`), then to
//! the engine; from there on the job runs as any service, again and again, until it is over. What
//! the job leaves as its result is read then (`result.rs`), and ends the operation. The keeper
//! remembers a request until the engine has it, and the engine's record names the request, so a job
//! is begun once though control dies at any point. `routing.rs` lends [`Work`] what it reads of
//! other components.
//!
//! Limits: one job at a time is on its way, until its result is read; a progress has
//! [`api::JOB_PROGRESS_BYTES_MAX`], a result [`api::JOB_RESULT_BYTES_MAX`] bytes.

mod leases;
mod progress;
mod requests;
mod result;
mod routing;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use api::JobResult;
use engine::{ServiceId, View};

use requests::Pending;

pub(super) use result::{read, store, unread};

/// The state of jobs beside the engine's part.
#[derive(Debug, Default)]
pub(super) struct Work {
    pending: Option<Pending>,
    progress: progress::Said,
    /// The last results of jobs, without their reports.
    results: BTreeMap<ServiceId, JobResult>,
}

impl Work {
    /// The result of a job's last request.
    pub(super) fn result_of(&self, job: ServiceId, view: &View) -> Option<&JobResult> {
        let result = self.results.get(&job)?;
        (view.request.as_ref() == Some(&result.id)).then_some(result)
    }
}

/// The directory that a job works in.
pub(super) fn job_dir(state_dir: &Path, service: &str) -> PathBuf {
    state_dir.join("jobs").join(service)
}
