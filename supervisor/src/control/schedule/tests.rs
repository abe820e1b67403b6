//! Next times of scheduled services, on a test clock.

use super::*;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// 2026-11-23 00:00 UTC.
const MIDNIGHT: u64 = 1_795_392_000_000;

fn at(unix_ms: u64) -> Now {
    Now {
        moment: Moment(unix_ms - MIDNIGHT + HOUR),
        unix_ms,
    }
}

/// A schedule with one service `job` whose times were handled up to `last`.
fn schedule(cron: &str, last: Option<u64>, change: impl FnOnce(&mut plan::Schedule)) -> Schedule {
    let mut plan = plan::Schedule {
        arguments: std::collections::BTreeMap::new(),
        cron: cron.to_owned(),
        jitter_ms: 0,
        catch_up: false,
        at_start: false,
        overdue_after_ms: None,
    };
    change(&mut plan);
    let handled = last.map(|last| ("job".to_owned(), last)).into_iter();
    let mut schedule = Schedule::new(
        7,
        Handled {
            until: handled.collect(),
            ..Handled::default()
        },
    );
    schedule.zone = Some(TimeZone::UTC);
    let cron = Cron::parse(&plan.cron).unwrap();
    let entry = Entry {
        plan,
        cron,
        due: None,
        owed: None,
    };
    schedule.entries.insert("job".to_owned(), entry);
    schedule
}

fn due(mut schedule: Schedule, now: Now, grace_ms: u64) -> u64 {
    schedule.work_out("job", now, grace_ms);
    schedule.due_of("job").unwrap()
}

#[test]
fn the_next_time_is_a_deadline_of_the_monotonic_clock() {
    let mut schedule = schedule("0 3 * * *", None, |_| {});
    let now = at(MIDNIGHT + HOUR);
    schedule.work_out("job", now, GRACE_MS);
    assert_eq!(schedule.due_of("job"), Some(MIDNIGHT + 3 * HOUR));
    let expected = Moment(now.moment.0 + 2 * HOUR);
    assert_eq!(schedule.poll_timeout(now), Some(expected));
}

#[test]
fn what_was_missed_is_made_up_for_once_and_only_if_asked_for() {
    let last = Some(MIDNIGHT - 100 * HOUR);
    let now = at(MIDNIGHT + 12 * HOUR);
    let without = schedule("0 3 * * *", last, |_| {});
    assert_eq!(due(without, now, GRACE_MS), MIDNIGHT + 27 * HOUR);
    let with = schedule("0 3 * * *", last, |it| it.catch_up = true);
    assert_eq!(due(with, now, GRACE_MS), now.unix_ms);
    // The missed time is handled then.
    let after = schedule("0 3 * * *", Some(now.unix_ms), |it| it.catch_up = true);
    assert_eq!(
        due(after, at(now.unix_ms + 1), GRACE_MS),
        MIDNIGHT + 27 * HOUR
    );
}

#[test]
fn one_that_was_never_seen_owes_nothing() {
    let new = schedule("0 3 * * *", None, |it| it.catch_up = true);
    assert_eq!(
        due(new, at(MIDNIGHT + 12 * HOUR), GRACE_MS),
        MIDNIGHT + 27 * HOUR
    );
}

#[test]
fn a_restart_of_the_daemon_over_the_time_skips_nothing() {
    let last = Some(MIDNIGHT);
    let now = at(MIDNIGHT + 3 * HOUR + 5_000);
    assert_eq!(
        due(schedule("0 3 * * *", last, |_| {}), now, GRACE_MS),
        now.unix_ms
    );
}

#[test]
fn jitter_puts_off_and_never_skips() {
    let mut seen = std::collections::BTreeSet::new();
    let mut schedule = schedule("0 3 * * *", Some(MIDNIGHT), |it| it.jitter_ms = HOUR);
    for _ in 0..50 {
        schedule.work_out("job", at(MIDNIGHT + 1), GRACE_MS);
        let due = schedule.due_of("job").unwrap();
        assert!((MIDNIGHT + 3 * HOUR..=MIDNIGHT + 4 * HOUR).contains(&due));
        seen.insert(due);
    }
    assert!(seen.len() > 40);
    // A new control process in the middle of the hour.
    let now = at(MIDNIGHT + 3 * HOUR + 50 * MINUTE);
    schedule.work_out("job", now, GRACE_MS);
    let due = schedule.due_of("job").unwrap();
    assert!((now.unix_ms..=MIDNIGHT + 4 * HOUR).contains(&due));
}

#[test]
fn a_clock_that_is_set_back_a_little_repeats_nothing() {
    let ran = MIDNIGHT + 3 * HOUR;
    let now = at(ran - 30 * MINUTE);
    assert_eq!(
        due(schedule("0 3 * * *", Some(ran), |_| {}), now, JUMP_MS),
        ran + 24 * HOUR
    );
}

#[test]
fn a_clock_that_was_far_ahead_blocks_nothing() {
    let now = at(MIDNIGHT);
    let last = Some(MIDNIGHT + 1000 * 24 * HOUR);
    assert_eq!(
        due(schedule("0 3 * * *", last, |_| {}), now, GRACE_MS),
        MIDNIGHT + 3 * HOUR
    );
}

#[test]
fn a_clock_that_is_set_forward_over_a_time_runs_it_if_the_jump_is_small() {
    let last = Some(MIDNIGHT);
    let small = at(MIDNIGHT + 5 * HOUR);
    assert_eq!(
        due(schedule("0 3 * * *", last, |_| {}), small, JUMP_MS),
        small.unix_ms
    );
    let large = at(MIDNIGHT + 9 * HOUR);
    assert_eq!(
        due(schedule("0 3 * * *", last, |_| {}), large, JUMP_MS),
        MIDNIGHT + 27 * HOUR
    );
}

#[test]
fn a_jump_is_told_from_time_that_passes() {
    let mut schedule = Schedule::new(0, Handled::default());
    assert!(schedule.has_jumped(at(MIDNIGHT)));
    assert!(!schedule.has_jumped(at(MIDNIGHT + 100 * HOUR)));
    let mut slept = at(MIDNIGHT + 200 * HOUR);
    slept.moment.0 -= 50 * HOUR;
    assert!(schedule.has_jumped(slept));
    assert!(!schedule.has_jumped(slept));
}
