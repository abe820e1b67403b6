//! Families of what runs by the clock, and of jobs.

use std::{collections::BTreeMap, time::Duration};

use api::JobProgress;

use super::exposition::Text;
use crate::metrics_snapshot::{Scrape, ServiceSchedule};

/// Outcomes and times of what runs by the clock.
pub(super) fn schedules(text: &mut Text, schedules: &BTreeMap<String, ServiceSchedule>) {
    let mut times = |name, help, value: fn(&ServiceSchedule) -> Option<u64>| {
        text.family(name, "gauge", "seconds", help);
        for (service, schedule) in schedules {
            if let Some(at_ms) = value(schedule) {
                let seconds = Duration::from_millis(at_ms).as_secs_f64();
                text.sample(name, &[("service", service)], seconds);
            }
        }
    };
    let help = "When the last good run of what runs by the clock ended, in Unix time; missing before the first.";
    times("service_last_success_timestamp_seconds", help, |it| it.good);
    let help = "When what runs by the clock runs next, in Unix time.";
    times("service_next_run_timestamp_seconds", help, |it| it.next_run);
    let mut flags = |name, help, value: fn(&ServiceSchedule) -> bool| {
        text.family(name, "gauge", "", help);
        for (service, schedule) in schedules {
            text.sample(name, &[("service", service)], u8::from(value(schedule)));
        }
    };
    let help = "1 if a good run of what runs by the clock should have ended by now.";
    flags("service_overdue", help, |it| it.overdue);
    let help = "1 if the last run of what runs by the clock failed.";
    flags("service_last_run_failed", help, |it| it.failed);
}

/// The work of jobs.
pub(super) fn jobs(text: &mut Text, scrape: &Scrape) {
    let tallies = || {
        let each = scrape.tallies.iter();
        each.filter_map(|(name, it)| Some((name.as_str(), it.work.as_ref()?)))
    };
    let help = "Requests of a job that have come to their end: done, or failed.";
    text.family("job_requests", "counter", "", help);
    for (name, work) in tallies() {
        for (outcome, count) in [("done", work.done), ("failed", work.failed)] {
            let labels = [("service", name), ("outcome", outcome)];
            text.sample("job_requests_total", &labels, count);
        }
    }
    let help = "Time from the request of a job's work to its end.";
    text.family("job_duration_seconds", "summary", "seconds", help);
    for (name, work) in tallies() {
        let labels = [("service", name)];
        text.sample("job_duration_seconds_sum", &labels, work.sum.as_secs_f64());
        let count = work.done + work.failed;
        text.sample("job_duration_seconds_count", &labels, count);
    }
    let help = "The same, of the last request.";
    text.family("job_last_duration_seconds", "gauge", "seconds", help);
    for (name, work) in tallies() {
        let seconds = work.last.as_secs_f64();
        text.sample("job_last_duration_seconds", &[("service", name)], seconds);
    }
    let all = scrape.status.services.iter();
    let all = all.filter_map(|it| Some((it.name.as_str(), it.job.as_ref()?)));
    let all: Vec<_> = all.collect();
    let help = "1 while a job is on its way.";
    text.family("job_active", "gauge", "", help);
    for (name, job) in &all {
        text.sample("job_active", &[("service", name)], u8::from(job.active));
    }
    let help =
        "How much of its present step a job has done, from 0 to 1; missing where it does not say.";
    text.family("job_progress_ratio", "gauge", "ratio", help);
    for (name, job) in &all {
        if let Some(ratio) = job.progress.as_ref().and_then(ratio) {
            text.sample("job_progress_ratio", &[("service", name)], ratio);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share is told, not a number")]
fn ratio(progress: &JobProgress) -> Option<f64> {
    let (done, total) = (progress.done?, progress.total.filter(|it| *it > 0)?);
    Some((done as f64 / total as f64).min(1.0))
}
