//! Cron expressions of five fields: what they are, and when they next come true.
//!
//! As `crontab(5)` has it: lists, ranges, steps, names of months and days, `@daily` and its like.
//! Where both days of the month and days of the week are restricted (neither begins with `*`), a
//! day counts that is either. As `cron(8)` has it: a time of day that a change of the clock skips
//! comes true at the change, once, and one that the change repeats comes true the first time only.
//! What is true in every hour goes by time that really passes.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time},
    tz::{Offset, TimeZone},
};

/// No expression that can come true at all takes longer: 29 February on one certain day of the
/// week comes after at most 40 years.
const MAX_DAYS: u32 = 41 * 366;
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const SHORTHANDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// One field: its name, its least and greatest number, and its words for numbers from the least.
struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    words: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        low: 0,
        high: 59,
        words: &[],
    },
    Field {
        name: "hour",
        low: 0,
        high: 23,
        words: &[],
    },
    Field {
        name: "day of the month",
        low: 1,
        high: 31,
        words: &[],
    },
    Field {
        name: "month",
        low: 1,
        high: 12,
        words: &MONTHS,
    },
    // 7 is Sunday too.
    Field {
        name: "day of the week",
        low: 0,
        high: 7,
        words: &DAYS,
    },
];

/// A parsed expression. Sets of numbers are bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// A day counts that is in either set of days; else it must be in both.
    either_day: bool,
}

impl Cron {
    /// Reads an expression. An error says what is wrong, and where it can what was meant.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with('@') {
            let long = SHORTHANDS.iter().find(|(short, _)| *short == text);
            return match long {
                Some((_, long)) => Self::parse(long),
                None if text == "@reboot" => Err(
                    "a oneshot without schedule runs when the daemon starts: leave it out instead of @reboot".to_owned(),
                ),
                None => Err(format!(
                    "there is no `{text}`, only {}",
                    SHORTHANDS.map(|(short, _)| short).join(", ")
                )),
            };
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        let Ok(parts) = <[&str; 5]>::try_from(parts) else {
            let n = text.split_whitespace().count();
            return Err(format!(
                "has {n} fields, but a cron expression has five: minute hour day-of-month month day-of-week"
            ));
        };
        let mut sets = [0_u64; 5];
        for ((set, part), field) in sets.iter_mut().zip(parts).zip(&FIELDS) {
            *set = field.parse(part)?;
        }
        let [minutes, hours, days, months, weekdays] = sets;
        let cron = Self {
            minutes,
            hours,
            days,
            months,
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either_day: !parts[2].starts_with('*') && !parts[4].starts_with('*'),
        };
        if cron.next(Timestamp::UNIX_EPOCH, &TimeZone::UTC).is_none() {
            return Err("never comes true: there is no such day in any of these months".to_owned());
        }
        Ok(cron)
    }

    /// The first time after `after`, in the local time of `zone`.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        // Between two changes of the clock local time is UTC and a fixed offset, so each such
        // span is searched by itself.
        let every_hour = self.hours == (1 << 24) - 1;
        let mut offset = zone.to_offset(after);
        let mut from = offset
            .to_datetime(after)
            .checked_add(SignedDuration::from_mins(1))
            .ok()?;
        from = from.with().second(0).subsec_nanosecond(0).build().ok()?;
        // What the change before this span repeats has been.
        // What is given may be the moment of the change itself, which is not before itself.
        let mut floor = repeated(zone, after).or_else(|| {
            let before = zone.preceding(after).next()?.timestamp();
            repeated(zone, before)
        });
        let mut changes = zone.following(after);
        loop {
            if !every_hour && let Some(floor) = floor {
                from = from.max(floor);
            }
            let change = changes.next().map(|change| change.timestamp());
            let found = self.next_civil(from);
            let at = found.and_then(|civil| offset.to_timestamp(civil).ok());
            let Some(change) = change else {
                return at;
            };
            if let Some(at) = at.filter(|at| *at < change) {
                return Some(at);
            }
            found?;
            let next_offset = zone.to_offset(change);
            let old_end = offset.to_datetime(change);
            from = next_offset.to_datetime(change);
            if !every_hour && found.is_some_and(|civil| civil < from) && from > old_end {
                return Some(change);
            }
            floor = (old_end > from).then_some(old_end);
            offset = next_offset;
        }
    }

    /// The first local time not before `from`.
    fn next_civil(&self, from: DateTime) -> Option<DateTime> {
        let mut date = from.date();
        let mut time = from.time();
        for _ in 0..MAX_DAYS {
            if self.has_day(date)
                && let Some(time) = self.next_time(time)
            {
                return Some(date.to_datetime(time));
            }
            date = date.tomorrow().ok()?;
            time = Time::midnight();
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset();
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, weekday);
        let right = if self.either_day {
            day || weekday
        } else {
            day && weekday
        };
        right && has(self.months, date.month())
    }

    fn next_time(&self, from: Time) -> Option<Time> {
        for hour in from.hour()..24 {
            let first = if hour == from.hour() {
                from.minute()
            } else {
                0
            };
            if has(self.hours, hour)
                && let Some(minute) = (first..60).find(|minute| has(self.minutes, *minute))
            {
                return Time::new(hour, minute, 0, 0).ok();
            }
        }
        None
    }
}

/// The end of the local times that a change of the clock at `change` repeats, if it does.
fn repeated(zone: &TimeZone, change: Timestamp) -> Option<DateTime> {
    let before: Offset = zone.to_offset(change.checked_sub(SignedDuration::from_secs(1)).ok()?);
    let after = zone.to_offset(change);
    (before > after).then(|| before.to_datetime(change))
}

fn has(set: u64, number: i8) -> bool {
    set >> number & 1 == 1
}

impl Field {
    fn parse(&self, text: &str) -> Result<u64, String> {
        let mut set = 0;
        for part in text.split(',') {
            set |= self.part(part)?;
        }
        Ok(set)
    }

    /// `*`, `3`, `1-5`, each perhaps with `/2`.
    fn part(&self, part: &str) -> Result<u64, String> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let good = step
                    .parse::<u32>()
                    .ok()
                    .filter(|step| (1..=1000).contains(step));
                let step = good.ok_or_else(|| self.wrong(part, "a step is a number from 1"))?;
                (range, Some(step))
            }
            None => (part, None),
        };
        let (first, last) = if range == "*" {
            // Not 7 as well as 0.
            (self.low, if self.high == 7 { 6 } else { self.high })
        } else if let Some((first, last)) = range.split_once('-') {
            (self.number(first, part)?, self.number(last, part)?)
        } else {
            let first = self.number(range, part)?;
            if step.is_some() {
                let whole = format!("write {first}-{}/…", self.high);
                return Err(self.wrong(part, &format!("a step needs a range: {whole}")));
            }
            (first, first)
        };
        if first > last {
            return Err(self.wrong(part, "a range must not end before it begins"));
        }
        let step = usize::try_from(step.unwrap_or(1)).unwrap_or(1);
        Ok((first..=last).step_by(step).fold(0, |set, n| set | 1 << n))
    }

    fn number(&self, text: &str, part: &str) -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(index) = self.words.iter().position(|word| *word == lower) {
            return Ok(self.low + u32::try_from(index).unwrap_or_default());
        }
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        let number = text.parse::<u32>().ok().filter(|_| digits);
        number
            .filter(|n| (self.low..=self.high).contains(n))
            .ok_or_else(|| {
                let words = match self.words {
                    [first, .., last] => format!(" or {first} to {last}"),
                    _ => String::new(),
                };
                self.wrong(
                    part,
                    &format!("it goes from {} to {}{words}", self.low, self.high),
                )
            })
    }

    fn wrong(&self, part: &str, why: &str) -> String {
        format!("`{part}` is no {}: {why}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Zoned, civil::date};
    use proptest::prelude::*;

    use super::*;

    /// The times that follow a moment, in a zone, as people write them.
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

    /// Germany's rule: one hour forward on the last Sunday of March, back on that of October.
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
        // Friday the 13th is not what this says (crontab(5)).
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
        // 02:10 the second time.
        let again: Timestamp = "2026-10-25T01:10:00Z".parse().unwrap();
        let next = cron.next(again, &zone).unwrap();
        assert_eq!(next.to_string(), "2026-10-26T01:30:00Z");
        // The very moment of the change.
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

    /// Minute by minute, with no idea of how it is done faster.
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
                // Local time never goes back nor stands still.
                let civil = zone.to_datetime(next);
                prop_assert!(last.is_none_or(|last| last < civil));
                last = Some(civil);
                at = next;
            }
        }
    }
}
