//! Scheduled oneshots.
//!
//! Each service has its next due time, by the wall clock; the earliest is the one deadline. A time
//! counts as handled once acted upon, also when the service could not run (still running, held):
//! the event stream reports that, and no time runs twice. The keeper and the state directory hold
//! the last handled time, so that a time that passes while no daemon runs is known.
//!
//! Wall-clock time that jumps (a clock that is set, a machine that slept) is noticed by the
//! difference to the monotonic clock: all times are worked out again.

mod outcomes;

use std::collections::BTreeMap;

use engine::Moment;
use jiff::{Timestamp, tz::TimeZone};
use plan::cron::Cron;

use self::outcomes::Owed;
pub(super) use self::outcomes::RunEnd;

use crate::{
    control::{
        Context, Now, Task,
        on_disk::{Durability, News, OnDisk},
        record_keys::Key,
        text,
    },
    store::{Handled, Outcome},
};

/// A due time that passed during a restart of the daemon still counts within this time.
const GRACE_MS: u64 = 60_000;
/// Jumps of the clock up to this neither skip a time nor repeat it (as cron(8) has it).
const JUMP_MS: u64 = 3 * 3_600_000;
/// Largest drift between the clocks that does not count as a jump.
const DRIFT_MS: u64 = 1_000;

/// Scheduled services, and which of their times were handled.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Entries by service.
    entries: BTreeMap<String, Entry>,
    handled: Handled,
    /// The time zone of the host; none: unknown so far.
    zone: Option<TimeZone>,
    /// Wall clock minus monotonic clock, when the times were worked out.
    offset: i128,
    /// Since when nothing kept us from running what is due, wall clock.
    up_since: u64,
    /// State of the jitter's generator.
    random: u64,
    /// The handled times, on their way to the disk.
    disk: OnDisk<Handled>,
}

#[derive(Debug)]
struct Entry {
    plan: plan::Schedule,
    cron: Cron,
    /// The next due time, wall clock; none: never again.
    due: Option<u64>,
    /// The run that is owed next; none: the service file does not ask whether one is overdue.
    owed: Option<Owed>,
}

impl Schedule {
    pub(super) fn new(seed: u64, handled: Handled) -> Self {
        Self {
            entries: BTreeMap::new(),
            disk: OnDisk::new(handled.clone(), Some(handled.clone())),
            handled,
            zone: None,
            offset: 0,
            up_since: 0,
            random: seed,
        }
    }

    /// Whether an attempt under way will tell if the handled times are stored.
    pub(super) fn is_awaited(&self) -> bool {
        self.disk.standing() == Durability::Awaited
    }

    /// Retries an unfinished write at once, before the end.
    pub(super) fn write_again(&mut self) {
        if self.disk.standing() != Durability::Stored {
            self.disk.doubt();
        }
    }

    /// The present trouble with the disk, if any.
    pub(super) fn warning(&self) -> Option<String> {
        match self.disk.standing() {
            Durability::Unstored(why) => Some(format!(
                "which schedules have run is not stored, so they may run once more after a restart of the supervisor: {why}"
            )),
            Durability::Stored | Durability::Awaited => None,
        }
    }

    /// Whether any service is scheduled, so that a set clock matters.
    pub(super) fn is_used(&self) -> bool {
        !self.entries.is_empty()
    }

    pub(super) fn poll_timeout(&self, now: Now) -> Option<Moment> {
        let entries = self.entries.iter();
        let due = entries.flat_map(|(name, entry)| [entry.due, self.tell_at(name)]);
        let due = due.flatten().min();
        let due = due.map(|due| now.moment.after(due.saturating_sub(now.unix_ms)));
        due.into_iter().chain(self.disk.poll_timeout()).min()
    }

    fn due_of(&self, service: &str) -> Option<u64> {
        self.entries.get(service)?.due
    }

    /// Up to one whole `most`, evenly (splitmix64).
    fn jitter(&mut self, most: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most.saturating_add(1)
    }

    /// Works out when a service runs next. `grace_ms`: a time that passed no longer ago still
    /// counts.
    fn work_out(&mut self, name: &str, now: Now, grace_ms: u64) {
        let Some(zone) = self.zone.clone() else {
            return;
        };
        let Some(Entry { plan, cron, .. }) = self.entries.get(name) else {
            return;
        };
        let (cron, jitter_ms, catch_up) = (*cron, plan.jitter_ms, plan.catch_up);
        let mut last = self.handled.until.get(name).copied().unwrap_or(now.unix_ms);
        if last > now.unix_ms.saturating_add(JUMP_MS) {
            // The clock was far ahead when it was stored.
            last = now.unix_ms;
        }
        let next = |after| next_ms(&cron, after, &zone);
        let window = jitter_ms.saturating_add(grace_ms);
        let mut nominal = next(last);
        if let Some(at) = nominal
            && at.saturating_add(window) < now.unix_ms
        {
            nominal = if catch_up {
                Some(now.unix_ms)
            } else {
                next(now.unix_ms.saturating_sub(window))
            };
        }
        let late = self.jitter(jitter_ms);
        let due = nominal.map(|at| at.saturating_add(late).max(now.unix_ms));
        self.handled.until.insert(name.to_owned(), last);
        if let Some(entry) = self.entries.get_mut(name) {
            entry.due = due;
        }
        self.work_out_owed(name, now);
    }

    /// Whether the wall clock has jumped since times were last worked out.
    fn has_jumped(&mut self, now: Now) -> bool {
        let offset = i128::from(now.unix_ms) - i128::from(now.moment.0);
        let jumped = (offset - self.offset).unsigned_abs() > u128::from(DRIFT_MS);
        if jumped {
            // A machine that slept could run nothing.
            if offset - self.offset > i128::from(GRACE_MS) {
                self.up_since = now.unix_ms;
            }
            self.offset = offset;
        }
        jumped
    }
}

fn next_ms(cron: &Cron, after_ms: u64, zone: &TimeZone) -> Option<u64> {
    let after = Timestamp::from_millisecond(i64::try_from(after_ms).ok()?).ok()?;
    let next = cron.next(after, zone)?;
    u64::try_from(next.as_millisecond()).ok()
}

impl Schedule {
    /// When a service runs next: milliseconds from now, and in words.
    pub(super) fn next_run(&self, cx: &Context, name: &str) -> Option<(u64, String)> {
        let due = self.due_of(name)?;
        let in_ms = due.saturating_sub(cx.now.unix_ms);
        Some((in_ms, format!("next run {}", text::time(due))))
    }

    fn remember(&mut self, cx: &mut Context) {
        let record = serde_json::to_string(&self.handled).expect("a map is plain data");
        cx.remember(Key::Schedule, record);
    }

    /// Has what was handled stored if that is due.
    pub(super) fn store(&mut self, cx: &mut Context) {
        let schedule = self;
        if *schedule.disk.wanted() != schedule.handled {
            let handled = schedule.handled.clone();
            schedule.disk.change(|it| *it = handled);
        }
        if let Some(handled) = schedule.disk.due(cx.now.moment) {
            cx.queue_task(Task::StoreSchedule { handled });
        }
    }

    pub(super) fn stored(&mut self, cx: &Context, result: Result<(), String>) {
        let error = result.clone().err().unwrap_or_default();
        match self.disk.written(cx.now.moment, result) {
            News::Fails => {
                tracing::warn!("cannot store which schedules have run, tries again: {error}");
            }
            News::Works => tracing::info!("which schedules have run is stored again"),
            News::None => {}
        }
    }
}

impl Schedule {
    /// What an earlier control process handled is known better by the keeper than by the disk.
    pub(super) fn restore(&mut self, record: Option<&String>) {
        if let Some(handled) = record.and_then(|it| serde_json::from_str(it).ok()) {
            self.handled = handled;
        }
    }

    /// The plan or the time zone may have changed.
    pub(super) fn follow_plan(&mut self, cx: &Context, zone: Option<TimeZone>) {
        let (now, started_ms) = (cx.now, cx.keeper.started_ms);
        let moved = zone.is_some() && self.zone != zone;
        if moved {
            self.zone = zone;
        }
        let wanted = cx.plan.services.values().filter(|it| it.enabled);
        let wanted: BTreeMap<String, plan::Schedule> = wanted
            .filter_map(|it| Some((it.name.clone(), it.schedule.clone()?)))
            .collect();
        let schedule = self;
        schedule.entries.retain(|name, _| wanted.contains_key(name));
        schedule
            .handled
            .until
            .retain(|name, _| wanted.contains_key(name));
        schedule
            .handled
            .outcomes
            .retain(|name, _| wanted.contains_key(name));
        let first = schedule.up_since == 0;
        let jumped = schedule.has_jumped(now);
        if first {
            let up = now.moment.since(Moment(started_ms));
            schedule.up_since = now.unix_ms.saturating_sub(up);
        }
        for (name, plan) in wanted {
            let known = schedule.entries.get(&name).map(|entry| &entry.plan);
            if known == Some(&plan) && !moved && !jumped {
                continue;
            }
            if known.is_some_and(|known| known.cron != plan.cron) {
                // What was missed of another schedule is not owed.
                schedule.handled.until.insert(name.clone(), now.unix_ms);
                if let Some(outcome) = schedule.handled.outcomes.get_mut(&name) {
                    outcome.begin_anew(now);
                }
            }
            let outcomes = &mut schedule.handled.outcomes;
            let outcome = || Outcome::new(now);
            outcomes.entry(name.clone()).or_insert_with(outcome);
            // The plan has checked it.
            let Ok(cron) = Cron::parse(&plan.cron) else {
                continue;
            };
            let entry = Entry {
                plan,
                cron,
                due: None,
                owed: None,
            };
            schedule.entries.insert(name.clone(), entry);
            schedule.work_out(&name, now, GRACE_MS);
        }
    }

    /// Returns the services that are due, since time has passed or the clock was set; their times
    /// count as handled from here on.
    pub(super) fn timeout(&mut self, cx: &mut Context) -> Vec<String> {
        let now = cx.now;
        self.disk.timeout(now.moment);
        if !self.is_used() {
            return Vec::new();
        }
        if self.has_jumped(now) {
            tracing::info!("the clock was set; schedules go by the new time");
            let names: Vec<String> = self.entries.keys().cloned().collect();
            for name in names {
                self.work_out(&name, now, JUMP_MS);
            }
        }
        if cx.is_stopping() {
            for entry in self.entries.values_mut() {
                entry.due = None;
                entry.owed = None;
            }
            return Vec::new();
        }
        let entries = self.entries.iter();
        let due = entries.filter(|(_, entry)| entry.due.is_some_and(|due| due <= now.unix_ms));
        let due: Vec<String> = due.map(|(name, _)| name.clone()).collect();
        for name in &due {
            self.handled.until.insert(name.clone(), now.unix_ms);
        }
        if !due.is_empty() {
            // Before what rests on it: a control process that dies must not run it once more.
            self.remember(cx);
        }
        due
    }

    /// Works out the next time of a service that has been run.
    pub(super) fn work_out_next(&mut self, name: &str, now: Now) {
        self.work_out(name, now, GRACE_MS);
    }
}

#[cfg(test)]
mod harness_tests;
#[cfg(test)]
mod tests;
