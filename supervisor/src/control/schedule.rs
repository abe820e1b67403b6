//! Oneshots that run by the clock.
//!
//! Each has a time that is due next, by the wall clock; the earliest is the one deadline. A time
//! counts as handled once it has been acted upon, also when nothing could run (still running,
//! held): that is told in the feed, and nothing runs twice. What was handled last is kept by the
//! keeper and in the state directory, so that a time that passes while nobody looks is known.
//!
//! Wall-clock time that jumps (a clock that is set, a machine that slept) is noticed by the
//! difference to the monotonic clock: all times are worked out again.

mod outcomes;

use std::collections::BTreeMap;

use engine::{Command, Moment, Refusal};
use jiff::{Timestamp, tz::TimeZone};
use plan::cron::Cron;

use self::outcomes::Owed;

use crate::{
    control::{
        Context, Control, Job, Now,
        on_disk::{Durability, News, OnDisk},
        record_keys::Key,
        text,
    },
    store::{Handled, Outcome},
};

/// A time that passed no longer ago, while the daemon was being restarted, is not missed.
const GRACE_MS: u64 = 60_000;
/// Jumps of the clock up to this neither skip a time nor repeat it (as cron(8) has it).
const JUMP_MS: u64 = 3 * 3_600_000;
/// The clocks may drift apart by so much before it counts as a jump.
const DRIFT_MS: u64 = 1_000;

/// All that is scheduled.
#[derive(Debug)]
pub(super) struct Schedule {
    /// By service.
    entries: BTreeMap<String, Entry>,
    handled: Handled,
    /// None: not known yet.
    zone: Option<TimeZone>,
    /// Wall clock less monotonic clock, when the times were worked out.
    offset: i128,
    /// Since when nothing kept us from running what is due, wall clock.
    up_since: u64,
    /// Feeds the jitter.
    random: u64,
    /// What was handled, on its way to the disk.
    disk: OnDisk<Handled>,
}

#[derive(Debug)]
struct Entry {
    plan: plan::Schedule,
    cron: Cron,
    /// Wall clock; none: never again.
    due: Option<u64>,
    /// None: nobody has to know.
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

    /// An attempt is under way that will tell.
    pub(super) fn is_awaited(&self) -> bool {
        self.disk.standing() == Durability::Awaited
    }

    /// Before the end: what is on no disk is tried at once.
    pub(super) fn write_again(&mut self) {
        if self.disk.standing() != Durability::Stored {
            self.disk.doubt();
        }
    }

    /// What is wrong, for as long as it is.
    pub(super) fn warning(&self) -> Option<String> {
        match self.disk.standing() {
            Durability::Unstored(why) => Some(format!(
                "which schedules have run is not stored, so they may run once more after a restart of the supervisor: {why}"
            )),
            Durability::Stored | Durability::Awaited => None,
        }
    }

    /// Something is scheduled, so it matters when the clock is set.
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

    /// Works out when a service runs next. `grace_ms`: a time that passed no longer ago still counts.
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

    /// The wall clock has jumped since times were last worked out.
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
            cx.job(Job::StoreSchedule { handled });
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

impl Control {
    /// What an earlier control process handled is known better by the keeper than by the disk.
    pub(super) fn restore_schedule(&mut self, record: Option<&String>) {
        if let Some(handled) = record.and_then(|it| serde_json::from_str(it).ok()) {
            self.schedule.handled = handled;
        }
    }

    /// The plan or the time zone may have changed.
    pub(super) fn schedule_follows_plan(&mut self, zone: Option<TimeZone>) {
        let (now, started_ms) = (self.cx.now, self.cx.keeper.started_ms);
        let moved = zone.is_some() && self.schedule.zone != zone;
        if moved {
            self.schedule.zone = zone;
        }
        let wanted = self.cx.plan.services.values().filter(|it| it.enabled);
        let wanted: BTreeMap<String, plan::Schedule> = wanted
            .filter_map(|it| Some((it.name.clone(), it.schedule.clone()?)))
            .collect();
        let schedule = &mut self.schedule;
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

    /// Time has passed, or the clock was set.
    pub(super) fn schedule_timeout(&mut self) {
        let now = self.cx.now;
        self.schedule.disk.timeout(now.moment);
        if !self.schedule.is_used() {
            return;
        }
        if self.schedule.has_jumped(now) {
            tracing::info!("the clock was set; schedules go by the new time");
            let names: Vec<String> = self.schedule.entries.keys().cloned().collect();
            for name in names {
                self.schedule.work_out(&name, now, JUMP_MS);
            }
        }
        if self.lifecycle.is_stopping() {
            for entry in self.schedule.entries.values_mut() {
                entry.due = None;
                entry.owed = None;
            }
            return;
        }
        let entries = self.schedule.entries.iter();
        let due = entries.filter(|(_, entry)| entry.due.is_some_and(|due| due <= now.unix_ms));
        let due: Vec<String> = due.map(|(name, _)| name.clone()).collect();
        if !due.is_empty() {
            self.run_due(due);
        }
        self.tell_overdue();
    }

    fn run_due(&mut self, due: Vec<String>) {
        let now = self.cx.now;
        for name in &due {
            let handled = &mut self.schedule.handled.until;
            handled.insert(name.clone(), now.unix_ms);
        }
        // Before what rests on it: a control process that dies must not run it once more.
        self.schedule.remember(&mut self.cx);
        for name in due {
            self.run_scheduled(&name);
            self.schedule.work_out(&name, now, GRACE_MS);
        }
    }

    fn run_scheduled(&mut self, name: &str) {
        let Some(id) = self.cx.names.id(name) else {
            return;
        };
        if self.cx.plan.services.get(name).is_some_and(|it| it.job) {
            if let Err(why) = self.run_job_by_schedule(name) {
                let detail = format!("skipped: its time has come, but {why}");
                tracing::warn!(service = name, "{detail}");
                self.cx.publish(name, "schedule", &detail, None);
            }
            return;
        }
        let detail = match self.command(Command::Run([id].into())) {
            Ok(_) => "runs: its time has come".to_owned(),
            Err(Refusal::AlreadyRunning(_)) => {
                "skipped: its time has come, but it is still under way".to_owned()
            }
            Err(refusal) => {
                let why = self.cx.refused(&refusal).message;
                format!("skipped: its time has come, but {why}")
            }
        };
        tracing::info!(service = name, "{detail}");
        self.cx.publish(name, "schedule", &detail, None);
    }
}

#[cfg(test)]
mod harness_tests;
#[cfg(test)]
mod tests;
