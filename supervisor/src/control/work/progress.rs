//! Progress messages of jobs. Status shows each message; clients get at most one in [`PAUSE_MS`],
//! the last one.

use std::collections::BTreeMap;

use api::{EventKind, JobProgress, JobStatus, Progress};
use engine::{Moment, RunId, ServiceId, View};

use crate::control::{Context, Purpose, work::Work};

/// Least time between two messages to clients, in milliseconds: five a second.
const PAUSE_MS: u64 = 200;

/// The last messages of jobs.
#[derive(Debug, Default)]
pub(in crate::control) struct Said {
    jobs: BTreeMap<ServiceId, Last>,
}

#[derive(Debug)]
struct Last {
    progress: JobProgress,
    /// When the message may go to clients. None: it has gone.
    tell_at: Option<Moment>,
    told_at: Option<Moment>,
    /// The last step published as an event.
    step: String,
}

/// A message to pass on.
#[derive(Debug)]
struct Word {
    job: ServiceId,
    at: JobProgress,
    /// Whether no event has named the step yet.
    is_new: bool,
}

impl Said {
    fn take(&mut self, job: ServiceId, progress: JobProgress, now: Moment) {
        let last = self.jobs.remove(&job);
        let told_at = last.as_ref().and_then(|last| last.told_at);
        let last = Last {
            progress,
            tell_at: Some(told_at.map_or(now, |at| at.after(PAUSE_MS))),
            told_at,
            step: last.map(|last| last.step).unwrap_or_default(),
        };
        self.jobs.insert(job, last);
    }

    /// The messages to pass on now.
    fn due(&mut self, now: Moment) -> Vec<Word> {
        let mut due = Vec::new();
        for (job, last) in &mut self.jobs {
            if last.tell_at.is_some_and(|at| at <= now) {
                last.tell_at = None;
                last.told_at = Some(now);
                let is_new = last.step != last.progress.step;
                last.step.clone_from(&last.progress.step);
                due.push(Word {
                    job: *job,
                    at: last.progress.clone(),
                    is_new,
                });
            }
        }
        due
    }

    /// Drops the last message of a job.
    pub(super) fn forget(&mut self, job: ServiceId) {
        self.jobs.remove(&job);
    }

    fn poll_timeout(&self) -> Option<Moment> {
        self.jobs.values().filter_map(|last| last.tell_at).min()
    }
}

impl Work {
    /// When the next message is due for clients.
    pub(in crate::control) fn poll_timeout(&self) -> Option<Moment> {
        self.progress.poll_timeout()
    }

    /// Takes a progress message of a run, if the run is a job's.
    pub(in crate::control) fn job_said(&mut self, cx: &Context, run: RunId, value: &str) {
        let Some(known) = cx.run(run) else {
            return;
        };
        let planned = cx.service_of(run);
        let is_job = known.purpose == Purpose::Main && planned.is_some_and(|it| it.job);
        let id = known.service.filter(|_| is_job);
        let (Some(id), Ok(mut progress)) = (id, serde_json::from_str::<JobProgress>(value)) else {
            return;
        };
        progress.step = text::one_line(&progress.step);
        self.progress.take(id, progress, cx.now.moment);
    }

    /// Lines that are due for clients, with the operations that they are for. New steps are told as
    /// events.
    pub(super) fn progress_due(&mut self, cx: &mut Context) -> Vec<(String, Progress)> {
        let mut lines = Vec::new();
        for Word { job, at, is_new } in self.progress.due(cx.now.moment) {
            let service = cx.name(job).to_owned();
            if is_new {
                cx.publish(&service, EventKind::Progress, &at.step, None);
            }
            let view = cx.engine.view(job);
            if let Some(operation) = view.and_then(|view| view.request) {
                lines.push((operation, Progress::Job { service, at }));
            }
        }
        lines
    }
}

impl Work {
    /// The last progress message of a job.
    pub(in crate::control) fn progress_of(&self, job: ServiceId) -> Option<&JobProgress> {
        self.progress.jobs.get(&job).map(|last| &last.progress)
    }

    /// The status of a service that is a job.
    pub(in crate::control) fn status(
        &self,
        cx: &Context,
        job: ServiceId,
        view: &View,
    ) -> JobStatus {
        let active = !cx.engine.is_over(job);
        let leases = cx.engine.leases_of(job).into_iter();
        let mut leases: Vec<String> = leases.map(|id| cx.name(id).to_owned()).collect();
        leases.sort_unstable();
        JobStatus {
            id: view.request.clone(),
            active,
            progress: self.progress_of(job).filter(|_| active).cloned(),
            leases,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: ServiceId = ServiceId(0);

    fn at(step: &str) -> JobProgress {
        JobProgress {
            step: step.to_owned(),
            done: None,
            total: None,
            unit: None,
        }
    }

    #[test]
    fn of_many_words_in_a_short_time_the_last_one_is_passed_on() {
        let mut said = Said::default();
        let begin = Moment(1_000);
        said.take(JOB, at("one"), begin);
        assert!(matches!(&said.due(begin)[..], [Word { is_new: true, .. }]));
        for step in ["one", "two", "three"] {
            said.take(JOB, at(step), begin);
            assert!(said.due(begin).is_empty(), "it is too early");
        }
        let pause = begin.after(PAUSE_MS);
        assert_eq!(said.poll_timeout(), Some(pause));
        let due = said.due(pause);
        let [
            Word {
                at, is_new: true, ..
            },
        ] = &due[..]
        else {
            panic!("{due:?}");
        };
        assert_eq!(at.step, "three");
        assert_eq!(said.poll_timeout(), None);
    }
}
