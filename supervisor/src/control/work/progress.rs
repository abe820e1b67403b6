//! How far jobs say that they are. Each word is shown by status; of many in a short time the last one
//! is passed on.

use std::collections::BTreeMap;

use api::{JobProgress, JobStatus, Progress};
use engine::{Moment, RunId, ServiceId, View};

use crate::control::{Context, Control, Purpose, work::Work};

/// From one word that is passed on to the next, in milliseconds: five a second.
const PAUSE_MS: u64 = 200;

/// What jobs have said last.
#[derive(Debug, Default)]
pub(in crate::control) struct Said {
    jobs: BTreeMap<ServiceId, Last>,
}

#[derive(Debug)]
struct Last {
    progress: JobProgress,
    /// When it may be passed on; none: it has been.
    tell_at: Option<Moment>,
    told_at: Option<Moment>,
    /// The step that events have told of.
    step: String,
}

impl Said {
    fn poll_timeout(&self) -> Option<Moment> {
        self.jobs.values().filter_map(|last| last.tell_at).min()
    }
}

impl Control {
    /// When a word is to be passed on.
    pub(in crate::control) fn progress_due(&self) -> Option<Moment> {
        self.work.progress.poll_timeout()
    }

    /// A job says how far it is.
    pub(in crate::control) fn job_said(&mut self, run: RunId, value: &str) {
        let Some(known) = self.cx.runs.get(&run) else {
            return;
        };
        let planned = self.cx.service_of(run);
        let is_job = known.purpose == Purpose::Main && planned.is_some_and(|it| it.job);
        let id = known.service.filter(|_| is_job);
        let (Some(id), Ok(mut progress)) = (id, serde_json::from_str::<JobProgress>(value)) else {
            return;
        };
        progress.step = text::one_line(&progress.step);
        let now = self.cx.now.moment;
        let last = self.work.progress.jobs.remove(&id);
        let told_at = last.as_ref().and_then(|last| last.told_at);
        let last = Last {
            progress,
            tell_at: Some(told_at.map_or(now, |at| at.after(PAUSE_MS))),
            told_at,
            step: last.map(|last| last.step).unwrap_or_default(),
        };
        self.work.progress.jobs.insert(id, last);
        self.pass_progress_on();
    }

    /// Passes on what is due.
    pub(in crate::control) fn pass_progress_on(&mut self) {
        let now = self.cx.now.moment;
        let mut due = Vec::new();
        for (id, last) in &mut self.work.progress.jobs {
            if last.tell_at.is_some_and(|at| at <= now) {
                last.tell_at = None;
                last.told_at = Some(now);
                let new = last.step != last.progress.step;
                last.step.clone_from(&last.progress.step);
                due.push((*id, last.progress.clone(), new));
            }
        }
        for (id, at, new) in due {
            let Some(service) = self.cx.names.name(id).map(str::to_owned) else {
                continue;
            };
            if new {
                self.cx.publish(&service, "progress", &at.step, None);
            }
            let view = self.cx.engine.view(id);
            if let Some(change) = view.and_then(|view| view.request) {
                let line = Progress::Job { service, at };
                self.cx
                    .answers
                    .extend(self.operations.progress(&change, line));
            }
        }
    }
}

impl Work {
    /// How far a job last said it is.
    pub(in crate::control) fn progress_of(&self, job: ServiceId) -> Option<&JobProgress> {
        self.progress.jobs.get(&job).map(|last| &last.progress)
    }

    /// What is shown of a service that is a job.
    pub(in crate::control) fn status(&self, cx: &Context, id: ServiceId, view: &View) -> JobStatus {
        let active = !cx.engine.is_over(id);
        let said = self.progress.jobs.get(&id).filter(|_| active);
        let leases = cx.engine.leases_of(id).into_iter();
        let mut leases: Vec<String> = leases.map(|id| cx.name(id).to_owned()).collect();
        leases.sort_unstable();
        JobStatus {
            id: view.request.clone(),
            active,
            progress: said.map(|last| last.progress.clone()),
            leases,
        }
    }
}

impl Control {
    /// What it said counts no more.
    pub(super) fn forget_progress(&mut self, service: &str) {
        if let Some(id) = self.cx.names.id(service) {
            self.work.progress.jobs.remove(&id);
        }
    }
}
