//! The work of jobs: from a client's request to the result, and what a job keeps stopped meanwhile.
//!
//! A request goes to the disk first (`request.json` in the job's directory), then to the engine; from
//! there on the job runs as any service, again and again, until it is over. What it leaves as its result
//! is read then, and ends the change. The keeper remembers a request until the engine has it, and the
//! engine's record names the request, so a job is begun once though control dies at any point.
//!
//! Limits: one job at a time is on its way, its result being read included; a progress has
//! [`api::JOB_PROGRESS_BYTES_MAX`], a result [`api::JOB_RESULT_BYTES_MAX`] bytes.

mod ask;
mod leases;
mod progress;
mod result;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use api::{JobOrder, JobResult};
use engine::{Hold, ServiceId, View};
use serde::{Deserialize, Serialize};

use crate::history::Line;

pub(super) use result::{read, store, unread};

/// What is known of jobs beside the engine's part.
#[derive(Debug, Default)]
pub(super) struct Work {
    pending: Option<Pending>,
    progress: progress::Said,
    /// What jobs have left last, without their reports.
    results: BTreeMap<ServiceId, JobResult>,
}

impl Work {
    /// What a job has left of its last request.
    pub(super) fn result_of(&self, job: ServiceId, view: &View) -> Option<&JobResult> {
        let result = self.results.get(&job)?;
        (view.request.as_ref() == Some(&result.id)).then_some(result)
    }
}

impl Work {
    /// This request is on its way to the disk.
    pub(super) fn has_pending(&self, id: &str) -> bool {
        let pending = self.pending.as_ref();
        pending.is_some_and(|it| it.order.id == id)
    }

    /// The job that is asked for work, until the engine has taken that.
    pub(super) fn pending_job(&self) -> Option<String> {
        self.pending.as_ref().map(|it| it.service.clone())
    }
}

/// A request that is on its way to the disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pending {
    service: String,
    order: JobOrder,
    asked: Line,
    /// It was stopped meanwhile.
    stopped: Option<Hold>,
}

/// The directory that a job works in.
pub(super) fn job_dir(state_dir: &Path, service: &str) -> PathBuf {
    state_dir.join("jobs").join(service)
}
