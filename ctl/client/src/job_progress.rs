//! The progress line of a job: the step, how much of it is done, the rate, and the time left.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use api::{JobProgress, JobUnit};

use crate::render::shown;

/// Least time in a step before its rate is shown.
const RATE_AFTER: Duration = Duration::from_secs(1);

/// The progress line of a job, from its last report.
#[derive(Default)]
pub(crate) struct JobLine {
    at: Option<JobProgress>,
    /// When the step began, and how much of it was done then.
    begun: Option<(Instant, u64)>,
    now: Option<Instant>,
}

impl JobLine {
    /// Takes a progress report. Returns whether another step has begun.
    pub(crate) fn hear(&mut self, at: JobProgress, now: Instant) -> bool {
        let is_new = self.at.as_ref().is_none_or(|before| before.step != at.step);
        if is_new {
            self.begun = Some((now, at.done.unwrap_or(0)));
        }
        self.now = Some(now);
        self.at = Some(at);
        is_new
    }

    /// The name of the step.
    pub(crate) fn step(&self) -> String {
        let step = self.at.as_ref().map(|at| shown(&at.step).into_owned());
        step.unwrap_or_default()
    }

    /// The step, how much of it is done, its rate and the time left, as far as they are known.
    pub(crate) fn text(&self) -> String {
        let mut text = self.step();
        let Some(at) = &self.at else {
            return text;
        };
        let count = |number| counted(number, at.unit);
        let _ = match (at.done, at.total) {
            (Some(done), Some(total)) => write!(text, ": {} of {}", count(done), count(total)),
            (Some(done), None) if done > 0 => write!(text, ": {}", count(done)),
            _ => Ok(()),
        };
        if let Some(rate) = self.rate(at) {
            let _ = write!(text, ", {}/s", count(rate));
            let left = at
                .total
                .zip(at.done)
                .map(|(total, done)| total.saturating_sub(done));
            if let Some(left) = left.and_then(|left| left.checked_div(rate)) {
                let _ = write!(text, ", {} left", text::seconds(left));
            }
        }
        text
    }

    /// Units done per second since the step began; none before [`RATE_AFTER`].
    fn rate(&self, at: &JobProgress) -> Option<u64> {
        let ((begun, before), now) = (self.begun?, self.now?);
        let passed = now.saturating_duration_since(begun);
        if passed < RATE_AFTER {
            return None;
        }
        let done = at.done?.checked_sub(before).filter(|done| *done > 0)?;
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        Some(done.saturating_mul(1000) / millis)
    }
}

fn counted(number: u64, unit: Option<JobUnit>) -> String {
    match unit {
        Some(JobUnit::Bytes) => text::size(number),
        Some(JobUnit::Files) => text::counted(number, "file", "files"),
        Some(JobUnit::Rows) => text::counted(number, "row", "rows"),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: &str, done: u64) -> JobProgress {
        JobProgress {
            step: step.to_owned(),
            done: Some(done),
            total: Some(10_000_000_000),
            unit: Some(JobUnit::Bytes),
        }
    }

    #[test]
    fn rate_and_time_left_are_of_the_step() {
        let (mut line, begun) = (JobLine::default(), Instant::now());
        assert!(line.hear(at("dump", 5), begun));
        assert!(line.hear(at("copy files", 1_000_000_000), begun));
        assert_eq!(line.text(), "copy files: 1.0 GB of 10.0 GB");
        let later = begun + Duration::from_secs(10);
        assert!(!line.hear(at("copy files", 3_000_000_000), later));
        assert_eq!(
            line.text(),
            "copy files: 3.0 GB of 10.0 GB, 200.0 MB/s, 35s left"
        );
    }
}
