//! One probe of one run: when the next attempt is due, and what the attempts so far mean.
//! Invariant: the second attempt never begins before the first attempt's answer.

use alloc::string::String;

use crate::{
    ids::Moment,
    spec::ProbeSpec,
    up::{Probing, ReportedProbe},
};

impl From<Probing> for ReportedProbe {
    fn from(probing: Probing) -> Self {
        Self {
            probing,
            said: String::new(),
        }
    }
}

impl Probing {
    /// A fresh run's probe; the counts start at zero.
    pub(crate) const fn begin(spec: &ProbeSpec, now: Moment) -> Self {
        Self {
            next_at: Some(now.after(spec.delay_ms)),
            failures: 0,
            successes: 0,
            verdict: None,
        }
    }

    /// Whether an attempt is due now; if so, marks the attempt as under way.
    pub(crate) fn take_due(&mut self, now: Moment) -> bool {
        let due = self.next_at.is_some_and(|at| at <= now);
        if due {
            self.next_at = None;
        }
        due
    }

    /// Takes the answer of the attempt under way and returns the verdict if a threshold is reached.
    /// `None`: no threshold is reached, or no attempt was under way.
    pub(crate) fn answer(&mut self, spec: &ProbeSpec, now: Moment, ok: bool) -> Option<bool> {
        if self.next_at.is_some() {
            return None;
        }
        self.next_at = Some(now.after(spec.interval_ms.max(1)));
        let (count, threshold) = if ok {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            (self.successes, spec.successes)
        } else {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
            (self.failures, spec.failures)
        };
        if count < threshold.max(1) {
            return None;
        }
        self.verdict = Some(ok);
        self.verdict
    }
}

/// Takes over a changed probe for a run that goes on: a new probe starts, a dropped probe ends.
pub(crate) fn take_over<P: From<Probing>>(
    probe: &mut Option<P>,
    spec: Option<&ProbeSpec>,
    now: Moment,
) {
    match (probe.is_some(), spec) {
        (false, Some(spec)) => *probe = Some(Probing::begin(spec, now).into()),
        (true, None) => *probe = None,
        (true, Some(_)) | (false, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: ProbeSpec = ProbeSpec {
        delay_ms: 5,
        interval_ms: 10,
        failures: 3,
        successes: 2,
    };

    /// peers' behaviour 36
    #[test]
    fn probe_fails_only_after_so_many_failures_in_a_row_and_a_success_resets() {
        let mut probe = Probing::begin(&SPEC, Moment(0));
        assert!(!probe.take_due(Moment(4)));
        let mut ask = |ok| {
            assert!(probe.take_due(Moment(100)));
            let verdict = probe.answer(&SPEC, Moment(50), ok);
            assert_eq!(probe.next_at, Some(Moment(60)));
            verdict
        };
        assert_eq!([ask(false), ask(false), ask(true), ask(false)], [None; 4]);
        assert_eq!([ask(false), ask(false)], [None, Some(false)]);
        assert_eq!([ask(true), ask(true)], [None, Some(true)]);
    }

    #[test]
    fn probes_never_overlap_and_an_answer_nobody_asked_for_is_dropped() {
        let mut probe = Probing::begin(&SPEC, Moment(0));
        assert_eq!(probe.answer(&SPEC, Moment(1), false), None);
        assert_eq!(probe.failures, 0);
        assert!(probe.take_due(Moment(5)));
        assert!(!probe.take_due(Moment(500)));
    }
}
