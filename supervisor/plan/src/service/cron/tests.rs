//! Times of cron expressions, compared with examples and with a search minute by minute.

use jiff::{Zoned, civil::date};
use proptest::prelude::*;

use super::*;

/// The next `n` times after a moment, in a zone, as people write them.
fn times(expression: &str, zone: &TimeZone, from: DateTime, n: usize) -> Vec<String> {
    let cron = Cron::parse(expression).unwrap();
    let mut at = from.to_zoned(zone.clone()).unwrap().timestamp();
    (0..n)
        .map(|_| {
            at = cron.next(at, zone).unwrap();
            Zoned::new(at, zone.clone())
                .strftime("%F %H:%M %:z")
                .to_string()
        })
        .collect()
}

/// Germany's rule: one hour forward on the last Sunday of March, and back on the last Sunday of
/// October.
fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn utc(expression: &str, n: usize) -> Vec<String> {
    let times = times(
        expression,
        &TimeZone::UTC,
        date(2026, 1, 1).at(0, 0, 0, 0),
        n,
    );
    times.iter().map(|time| time[..16].to_owned()).collect()
}

#[test]
fn each_form_of_a_field() {
    assert_eq!(
        utc("* * * * *", 2),
        ["2026-01-01 00:01", "2026-01-01 00:02"]
    );
    assert_eq!(
        utc("*/20 3 * * *", 3),
        ["2026-01-01 03:00", "2026-01-01 03:20", "2026-01-01 03:40"]
    );
    assert_eq!(
        utc("5,10-12/2 0 * * *", 3),
        ["2026-01-01 00:05", "2026-01-01 00:10", "2026-01-01 00:12"]
    );
    assert_eq!(
        utc("0 0 * feb-mar sun", 2),
        ["2026-02-01 00:00", "2026-02-08 00:00"]
    );
    assert_eq!(utc("0 0 * * 7", 1), utc("0 0 * * 0", 1));
    assert_eq!(
        utc("0 0 * * 5-7", 3),
        ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]
    );
    assert_eq!(utc("@monthly", 2), ["2026-02-01 00:00", "2026-03-01 00:00"]);
    assert_eq!(
        utc("0 0 29 2 *", 2),
        ["2028-02-29 00:00", "2032-02-29 00:00"]
    );
}

#[test]
fn two_sets_of_days_mean_either_and_a_star_means_both() {
    // The expression does not mean Friday the 13th (crontab(5)).
    assert_eq!(
        utc("0 0 13 * fri", 4),
        [
            "2026-01-02 00:00",
            "2026-01-09 00:00",
            "2026-01-13 00:00",
            "2026-01-16 00:00"
        ]
    );
    assert_eq!(
        utc("0 0 */100,1-7 * mon", 2),
        ["2026-01-05 00:00", "2026-02-02 00:00"]
    );
}

#[test]
fn a_skipped_time_comes_true_at_the_change_and_once() {
    let night = date(2026, 3, 28).at(12, 0, 0, 0);
    assert_eq!(
        times("*/30 2 * * *", &berlin(), night, 3),
        [
            "2026-03-29 03:00 +02:00",
            "2026-03-30 02:00 +02:00",
            "2026-03-30 02:30 +02:00"
        ]
    );
    assert_eq!(
        times("0 3 * * *", &berlin(), night, 2),
        ["2026-03-29 03:00 +02:00", "2026-03-30 03:00 +02:00"]
    );
    assert_eq!(
        times("30 * * * *", &berlin(), date(2026, 3, 29).at(1, 0, 0, 0), 2),
        ["2026-03-29 01:30 +01:00", "2026-03-29 03:30 +02:00"]
    );
}

#[test]
fn a_repeated_time_comes_true_once_but_every_hour_is_every_hour() {
    let night = date(2026, 10, 24).at(12, 0, 0, 0);
    assert_eq!(
        times("30 2 * * *", &berlin(), night, 2),
        ["2026-10-25 02:30 +02:00", "2026-10-26 02:30 +01:00"]
    );
    assert_eq!(
        times("0 2,3 * * *", &berlin(), night, 3),
        [
            "2026-10-25 02:00 +02:00",
            "2026-10-25 03:00 +01:00",
            "2026-10-26 02:00 +01:00"
        ]
    );
    assert_eq!(
        times(
            "30 * * * *",
            &berlin(),
            date(2026, 10, 25).at(1, 45, 0, 0),
            3
        ),
        [
            "2026-10-25 02:30 +02:00",
            "2026-10-25 02:30 +01:00",
            "2026-10-25 03:30 +01:00"
        ]
    );
}

#[test]
fn a_moment_inside_the_repeated_hour_does_not_repeat_it() {
    let zone = berlin();
    let cron = Cron::parse("30 2 * * *").unwrap();
    // 02:10 for the second time.
    let again: Timestamp = "2026-10-25T01:10:00Z".parse().unwrap();
    let next = cron.next(again, &zone).unwrap();
    assert_eq!(next.to_string(), "2026-10-26T01:30:00Z");
    // The moment of the change itself.
    let change: Timestamp = "2026-10-25T01:00:00Z".parse().unwrap();
    assert_eq!(
        cron.next(change, &zone).unwrap().to_string(),
        "2026-10-26T01:30:00Z"
    );
}

fn part(low: u32, high: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => (low..=high).prop_map(|n| n.to_string()),
        1 => (1_u32..=high).prop_map(|n| format!("*/{n}")),
        1 => (low..=high, low..=high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
    ]
}

fn expressions() -> impl Strategy<Value = String> {
    (
        part(0, 59),
        part(0, 23),
        part(1, 31),
        part(1, 12),
        part(0, 7),
    )
        .prop_map(|(m, h, d, mo, w)| format!("{m} {h} {d} {mo} {w}"))
}

/// The next time by a search minute by minute, independent of the faster algorithm.
fn slowly(cron: &Cron, after: Timestamp, minutes: i64) -> Option<Timestamp> {
    let first = after.as_second().div_euclid(60) + 1;
    (first..first + minutes).find_map(|minute| {
        let at = Timestamp::from_second(minute * 60).unwrap();
        let civil = TimeZone::UTC.to_datetime(at);
        let right = cron.has_day(civil.date())
            && has(cron.hours, civil.hour())
            && has(cron.minutes, civil.minute());
        right.then_some(at)
    })
}

proptest! {
    #[test]
    fn nothing_between_is_left_out(text in expressions(), second in 1_500_000_000_i64..2_000_000_000) {
        let Ok(cron) = Cron::parse(&text) else { return Ok(()); };
        let after = Timestamp::from_second(second).unwrap();
        let next = cron.next(after, &TimeZone::UTC).unwrap();
        prop_assert!(next > after);
        let minutes = 3 * 1440;
        match slowly(&cron, after, minutes) {
            Some(slow) => prop_assert_eq!(next, slow),
            None => prop_assert!(next.as_second() > second + (minutes - 1) * 60),
        }
    }

    #[test]
    fn a_day_of_changes_has_each_fixed_time_once(text in (part(0, 59), 0_u32..=23), second in 1_500_000_000_i64..2_000_000_000) {
        let cron = Cron::parse(&format!("{} {} * * *", text.0, text.1)).unwrap();
        let zone = berlin();
        let mut at = Timestamp::from_second(second).unwrap();
        let mut last = None;
        for _ in 0..200 {
            let next = cron.next(at, &zone).unwrap();
            prop_assert!(next > at);
            prop_assert!(next.as_second() - at.as_second() <= 25 * 3600 + 60);
            // Local time always increases.
            let civil = zone.to_datetime(next);
            prop_assert!(last.is_none_or(|last| last < civil));
            last = Some(civil);
            at = next;
        }
    }
}
