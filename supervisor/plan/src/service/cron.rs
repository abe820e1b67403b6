//! Cron expressions of five fields: what they are, and when they next come true.
//!
//! As `crontab(5)` has it: lists, ranges, steps, names of months and days, `@daily` and its like.
//! Where both days of the month and days of the week are restricted (neither begins with `*`), a
//! day counts that is either. As `cron(8)` has it: a time of day that a change of the clock skips
//! comes true at the change, once, and one that the change repeats comes true the first time only.
//! What is true in every hour goes by time that really passes.
//!
//! The crate `cronexpr` 1.7 fails the tests of this module that change the clock: it leaves a
//! skipped time out until the next day, lets a repeated time come true twice (also when asked from
//! inside the repeated hour), and takes a time zone by its IANA name only. It looks ahead for four
//! years only, and finds no 29 February from 2097 on.

use std::fmt;

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

/// Why a text is not a cron expression that comes true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The text is no expression: what is wrong, and what was probably meant.
    Malformed(String),
    /// The expression has this number of fields instead of five.
    Fields(usize),
    /// No month of the expression has such a day.
    Never,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "is not a cron expression: {why}"),
            Self::Fields(count) => write!(
                f,
                "has {count} fields, but a cron expression has five: minute hour day-of-month month day-of-week"
            ),
            Self::Never => {
                f.write_str("never comes true: there is no such day in any of these months")
            }
        }
    }
}

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
    /// Reads an expression.
    ///
    /// # Errors
    /// As the rest of a sentence that begins with the expression.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        if text.starts_with('@') {
            let long = SHORTHANDS.iter().find(|(short, _)| *short == text);
            return match long {
                Some((_, long)) => Self::parse(long),
                None if text == "@reboot" => Err(Refused::Malformed(
                    "a oneshot without schedule runs when the daemon starts: leave it out instead of @reboot".to_owned(),
                )),
                None => Err(Refused::Malformed(format!(
                    "there is no `{text}`, only {}",
                    SHORTHANDS.map(|(short, _)| short).join(", ")
                ))),
            };
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        let Ok(parts) = <[&str; 5]>::try_from(parts) else {
            return Err(Refused::Fields(text.split_whitespace().count()));
        };
        let mut sets = [0_u64; 5];
        for ((set, part), field) in sets.iter_mut().zip(parts).zip(&FIELDS) {
            *set = field.parse(part).map_err(Refused::Malformed)?;
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
            return Err(Refused::Never);
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
mod tests;
