//! Outcomes of scheduled runs: the last success, the reason of the last failure, and whether a
//! success is overdue.
//!
//! A run by hand counts like a scheduled run: any success will do. The next owed run counts from
//! the last success, or from the first sight of the schedule, and never from before the daemon
//! could have run the service. Outcomes are stored with the handled times, so they outlive the
//! machine.

use std::collections::BTreeMap;

use api::{EventKind, FailedRun, ScheduleStatus};
use engine::{Moment, State, View};
use plan::NotifyOn;

use crate::{
    control::{
        Context, Now,
        schedule::{Entry, JUMP_MS, Schedule, next_ms},
        text,
    },
    metrics_snapshot::ServiceSchedule,
    store::Outcome,
};

/// Interval of repeated alerts for a run that is still overdue.
const AGAIN_MS: u64 = 24 * 3_600_000;
/// Longest reason that is kept, in characters.
const REASON_CHARACTERS_MAX: usize = 1000;

/// The next owed run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owed {
    /// The time of the schedule.
    pub(super) due: u64,
    /// The moment from which the run is overdue.
    pub(super) overdue: u64,
}

impl Outcome {
    pub(super) fn new(now: Now) -> Self {
        Self {
            since: now.unix_ms,
            ..Self::default()
        }
    }

    /// Starts anew for another schedule: missed runs of the previous schedule are not owed.
    pub(super) const fn begin_anew(&mut self, now: Now) {
        self.since = now.unix_ms;
        self.told = None;
    }

    /// Corrects times stored while the clock was far ahead.
    fn correct(&mut self, now: Now) {
        let ahead = |at: u64| at > now.unix_ms.saturating_add(JUMP_MS);
        if ahead(self.since) {
            self.since = now.unix_ms;
        }
        self.good = self.good.map(|at| if ahead(at) { now.unix_ms } else { at });
    }
}

impl Schedule {
    /// Works out what is owed next, and from when on that is overdue.
    pub(super) fn work_out_owed(&mut self, name: &str, now: Now) {
        let owed = self.owed(name, now);
        if let Some(entry) = self.entries.get_mut(name) {
            entry.owed = owed;
        }
    }

    fn owed(&mut self, name: &str, now: Now) -> Option<Owed> {
        let Entry { plan, cron, .. } = self.entries.get(name)?;
        let allowed = plan.overdue_after_ms?.saturating_add(plan.jitter_ms);
        let outcome = self.handled.outcomes.get_mut(name)?;
        outcome.correct(now);
        let from = outcome.good.unwrap_or(0).max(outcome.since);
        let due = next_ms(cron, from, self.zone.as_ref()?)?;
        let overdue = due.max(self.up_since).saturating_add(allowed);
        Some(Owed { due, overdue })
    }

    /// When the next alert is due, wall clock.
    pub(super) fn tell_at(&self, name: &str) -> Option<u64> {
        let owed = self.entries.get(name)?.owed?;
        let told = self.handled.outcomes.get(name)?.told;
        let again = told.map_or(0, |at| at.saturating_add(AGAIN_MS));
        Some(owed.overdue.max(again))
    }

    fn overdue(&self, name: &str, now: Now) -> Option<Owed> {
        let owed = self.entries.get(name)?.owed?;
        (owed.overdue <= now.unix_ms).then_some(owed)
    }

    /// The troubles of scheduled services, as sentences.
    pub(in crate::control) fn outcome_warnings(&self, now: Now) -> Vec<String> {
        let names = self.entries.keys();
        let overdue = names.filter_map(|name| {
            let owed = self.overdue(name, now)?;
            Some(format!("{name} is {}", self.overdue_words(name, owed)))
        });
        let outcomes = self.handled.outcomes.iter();
        let failed = outcomes.filter_map(|(name, outcome)| {
            let (at, why) = outcome.failed.as_ref()?;
            let at = text::time(*at);
            Some(format!("{name}: its last run failed at {at}: {why}"))
        });
        overdue.chain(failed).collect()
    }

    /// Counts for scrapes.
    pub(in crate::control) fn counts(&self, now: Now) -> BTreeMap<String, ServiceSchedule> {
        let entries = self.entries.iter();
        let each = entries.map(|(name, entry)| {
            let outcome = self.handled.outcomes.get(name);
            let counted = ServiceSchedule {
                good: outcome.and_then(|it| it.good),
                next_run: entry.due,
                overdue: self.overdue(name, now).is_some(),
                failed: outcome.is_some_and(|it| it.failed.is_some()),
            };
            (name.clone(), counted)
        });
        each.collect()
    }

    fn overdue_words(&self, name: &str, owed: Owed) -> String {
        let good = self.handled.outcomes.get(name).and_then(|it| it.good);
        let last = good.map_or_else(
            || "there has been no good run yet".to_owned(),
            |at| format!("its last good run ended at {}", text::time(at)),
        );
        format!(
            "overdue: a run was due at {}, and {last}",
            text::time(owed.due)
        )
    }
}

/// How a run of a scheduled service has ended.
#[derive(Debug)]
pub(in crate::control) struct RunEnd {
    good: bool,
    at: Moment,
    /// A job did something else than its schedule is for.
    aside: bool,
    /// Why the run was not a success.
    reason: String,
}

impl RunEnd {
    /// None: no run has ended. `reason`: as status has it.
    pub(in crate::control) fn of(
        view: &View,
        aside: bool,
        reason: impl FnOnce() -> String,
    ) -> Option<Self> {
        let (good, at) = match (&view.state, view.last_exit) {
            (State::Completed, Some((_, at))) if !view.unrun => (true, at),
            (State::Failed { .. }, _) => (false, view.since),
            _ => return None,
        };
        let reason = if good { String::new() } else { reason() };
        Some(Self {
            good,
            at,
            aside,
            reason,
        })
    }
}

impl Schedule {
    /// Whether this service is scheduled.
    pub(in crate::control) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Takes in how a run has ended. `trouble_told`: people were told of the service's trouble, and
    /// hear anyway that it is over.
    pub(in crate::control) fn note_outcome(
        &mut self,
        cx: &mut Context,
        name: &str,
        end: &RunEnd,
        trouble_told: bool,
    ) {
        let now = cx.now;
        let Some(outcome) = self.handled.outcomes.get_mut(name) else {
            return;
        };
        if outcome.seen == Some(end.at) {
            return;
        }
        outcome.seen = Some(end.at);
        let at = now.unix_ms.saturating_sub(now.moment.since(end.at));
        let mut overdue_told = false;
        if end.good && !end.aside {
            outcome.good = Some(at);
            outcome.failed = None;
            overdue_told = outcome.told.take().is_some();
        } else if !end.good && !end.aside {
            let reason = end.reason.chars().take(REASON_CHARACTERS_MAX).collect();
            outcome.failed = Some((at, reason));
        }
        self.work_out_owed(name, now);
        self.remember(cx);
        if overdue_told {
            let detail = "is over: there was a good run";
            cx.publish(name, EventKind::Overdue, detail, None);
            if !trouble_told {
                let text = format!("{name} is no longer overdue: it has had a good run");
                let both = [NotifyOn::Recovered, NotifyOn::Overdue];
                cx.alert_who_want_both(name, both, text);
            }
        }
    }

    /// Alerts to runs that have become overdue, and to those that still are.
    pub(in crate::control) fn tell_overdue(&mut self, cx: &mut Context) {
        let now = cx.now;
        let is_due = |name: &&String| self.tell_at(name).is_some_and(|at| at <= now.unix_ms);
        let due: Vec<String> = self.entries.keys().filter(is_due).cloned().collect();
        for name in due {
            let Some(owed) = self.overdue(&name, now) else {
                continue;
            };
            let said = self.overdue_words(&name, owed);
            let outcome = self.handled.outcomes.get_mut(&name);
            let failed = outcome.and_then(|outcome| {
                outcome.told = Some(now.unix_ms);
                outcome.failed.clone()
            });
            let why = failed.map_or_else(String::new, |(_, why)| {
                format!("; the last one failed: {why}")
            });
            tracing::warn!(service = name, "{said}{why}");
            cx.publish(&name, EventKind::Overdue, &said, None);
            let text = format!("{name} is {said}{why}");
            cx.alert(&name, NotifyOn::Overdue, text);
            self.remember(cx);
        }
    }

    /// The status of a scheduled service.
    pub(in crate::control) fn status(&self, name: &str, now: Now) -> Option<ScheduleStatus> {
        let entry = self.entries.get(name)?;
        let outcome = self.handled.outcomes.get(name);
        let failed = outcome.and_then(|it| it.failed.clone());
        Some(ScheduleStatus {
            next_run: entry.due.map(text::time),
            last_good: outcome.and_then(|it| it.good).map(text::time),
            failed: failed.map(|(at, reason)| FailedRun {
                at: text::time(at),
                reason,
            }),
            overdue: self.overdue(name, now).is_some(),
        })
    }
}
