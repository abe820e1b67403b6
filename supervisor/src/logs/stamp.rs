//! When a line was written: read off its front, or wherever programs put it.
//!
//! Our own stamps are compared as they are. What programs write themselves is brought into the same
//! form: JSON with a time, RFC 3339 and its relatives, the formats of PostgreSQL, nginx and Go.

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{Offset, TimeZone},
};
use keeper::log::STAMP_BYTES;
use memchr::{memchr, memmem};

use super::filter::Moment;

/// A stamp is looked for in so many bytes of a line.
const LOOK_BYTES: usize = 512;
/// Keys of JSON objects under which a time may be.
const KEYS: [&[u8]; 4] = [
    b"\"timestamp\":",
    b"\"time\":",
    b"\"ts\":",
    b"\"@timestamp\":",
];
/// A larger number counts milliseconds.
const SECONDS_MAX: i64 = 100_000_000_000;
const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// How the lines of a file are stamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// The keeper stamps each line.
    Ours,
    /// The program that writes the file stamps its lines.
    Theirs,
}

impl Style {
    /// The line's stamp in our form. Leaves what is there if it has none.
    pub(super) fn stamp_into(self, line: &[u8], stamp: &mut Vec<u8>) {
        match self {
            Style::Ours => {
                if let Some((own, _)) = split(line) {
                    stamp.clear();
                    stamp.extend_from_slice(own);
                }
            }
            Style::Theirs => {
                if let Some(at) = guess(line) {
                    stamp.clear();
                    stamp.extend_from_slice(Moment::at(at).text.as_bytes());
                }
            }
        }
    }
}

/// Stamp and text of a line that the keeper has written; none if it was not.
pub(super) fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (stamp, text) = line.split_at_checked(STAMP_BYTES)?;
    let ours = stamp.is_ascii()
        && stamp[10] == b'T'
        && stamp.ends_with(b"Z ")
        && stamp[0].is_ascii_digit();
    ours.then(|| (&stamp[..STAMP_BYTES - 1], text))
}

/// The line without our stamp.
pub(super) fn text_of(line: &[u8], style: Style) -> &[u8] {
    match style {
        Style::Ours => split(line).map_or(line, |(_, text)| text),
        Style::Theirs => line,
    }
}

/// The time that a program has put into this line.
fn guess(line: &[u8]) -> Option<Timestamp> {
    let line = &line[..line.len().min(LOOK_BYTES)];
    if line.first() == Some(&b'{') {
        return KEYS.iter().find_map(|key| {
            let at = memmem::find(line, key)?;
            let value = line[at + key.len()..].trim_ascii_start();
            match value.strip_prefix(b"\"") {
                Some(text) => date_time(text),
                None => seconds(value),
            }
        });
    }
    let front = line.strip_prefix(b"[").unwrap_or(line);
    date_time(front).or_else(|| {
        let at = memchr(b'[', line)?;
        day_month(&line[at + 1..])
    })
}

/// Seconds since 1970, as some write them into JSON.
fn seconds(value: &[u8]) -> Option<Timestamp> {
    let end = value.iter().position(|byte| !byte.is_ascii_digit())?;
    let whole: i64 = std::str::from_utf8(&value[..end]).ok()?.parse().ok()?;
    if whole > SECONDS_MAX {
        return Timestamp::from_millisecond(whole).ok();
    }
    let (nanos, _) = fraction(&value[end..]);
    Timestamp::new(whole, nanos).ok()
}

/// `2026-11-22T23:04:05.123Z` and its relatives: with a blank for the `T`, `/` for `-`, a comma for
/// the point, an offset, a zone after a blank, or no zone, which is the local one.
fn date_time(text: &[u8]) -> Option<Timestamp> {
    let separators =
        |at: usize, allowed: &[u8]| text.get(at).is_some_and(|it| allowed.contains(it));
    if !separators(4, b"-/") || !separators(10, b"T ") || !separators(13, b":") {
        return None;
    }
    let date = [
        number(text, 0, 4)?,
        number(text, 5, 2)?,
        number(text, 8, 2)?,
    ];
    let time = [
        number(text, 11, 2)?,
        number(text, 14, 2)?,
        number(text, 17, 2)?,
    ];
    let (nanos, rest) = fraction(&text[19..]);
    let at = civil(date, time, nanos)?;
    zoned(at, rest.strip_prefix(b" ").unwrap_or(rest))
}

/// `22/Nov/2026:23:04:05 +0000`, as in access logs.
fn day_month(text: &[u8]) -> Option<Timestamp> {
    if text.get(2) != Some(&b'/') || text.get(6) != Some(&b'/') || text.get(11) != Some(&b':') {
        return None;
    }
    let month = MONTHS.chunks(3).position(|name| name == &text[3..6])?;
    let date = [
        number(text, 7, 4)?,
        i32::try_from(month + 1).ok()?,
        number(text, 0, 2)?,
    ];
    let time = [
        number(text, 12, 2)?,
        number(text, 15, 2)?,
        number(text, 18, 2)?,
    ];
    zoned(civil(date, time, 0)?, text.get(21..)?)
}

fn number(text: &[u8], at: usize, digits: usize) -> Option<i32> {
    let digits = text.get(at..at + digits)?;
    digits.iter().try_fold(0, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i32::from(digit - b'0'))
    })
}

/// Nanoseconds behind a point or comma, and what follows.
fn fraction(text: &[u8]) -> (i32, &[u8]) {
    let Some((b'.' | b',', rest)) = text.split_first() else {
        return (0, text);
    };
    let end = rest
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(rest.len());
    let mut nanos = 0;
    for place in 0..9 {
        let digit = rest[..end]
            .get(place)
            .map_or(0, |digit| i32::from(digit - b'0'));
        nanos = nanos * 10 + digit;
    }
    (nanos, &rest[end..])
}

fn civil(date: [i32; 3], time: [i32; 3], nanos: i32) -> Option<DateTime> {
    let small = |number: i32| i8::try_from(number).ok();
    DateTime::new(
        i16::try_from(date[0]).ok()?,
        small(date[1])?,
        small(date[2])?,
        small(time[0])?,
        small(time[1])?,
        // A leap second is that second's end.
        small(time[2].min(59))?,
        nanos,
    )
    .ok()
}

fn zoned(at: DateTime, zone: &[u8]) -> Option<Timestamp> {
    let utc = [&b"Z"[..], b"UTC", b"GMT"].iter().any(|name| {
        zone.strip_prefix(*name)
            .is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphanumeric))
    });
    let offset = match zone.first() {
        _ if utc => Some(0),
        Some(sign @ (b'+' | b'-')) => {
            let hours = number(zone, 1, 2)?;
            let colon = usize::from(zone.get(3) == Some(&b':'));
            let minutes = number(zone, 3 + colon, 2).unwrap_or(0);
            let seconds = hours * 3600 + minutes * 60;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    };
    let zone = match offset {
        Some(seconds) => Offset::from_seconds(seconds).ok()?.to_time_zone(),
        None => TimeZone::system(),
    };
    zone.to_ambiguous_timestamp(at).compatible().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: &str) -> Option<String> {
        guess(line.as_bytes()).map(|at| Moment::at(at).text)
    }

    #[test]
    fn stamps_of_programs_are_read() {
        let whole = "2026-11-22T23:04:05.000000Z";
        let milli = "2026-11-22T23:04:05.123000Z";
        for (line, wanted) in [
            (
                r#"{"timestamp":"2026-11-22 23:04:05.123 Z","level":"info"}"#,
                milli,
            ),
            (r#"{"level":"info","ts":1795388645.123,"msg":"x"}"#, milli),
            (r#"{"time": 1795388645123}"#, milli),
            (r#"{"@timestamp":"2026-11-23T00:04:05.123+01:00"}"#, milli),
            ("2026-11-22 23:04:05.123 UTC [12] LOG:  ready", milli),
            ("2026-11-22T23:04:05Z hello", whole),
            ("2026-11-22T23:04:05,123Z hello", milli),
            ("2026-11-22T18:04:05-05:00 hello", whole),
            ("2026/11/22 23:04:05 GMT [error] 1#1: x", whole),
            ("[2026-11-22 23:04:05 +0000] x", whole),
            (
                r#"127.0.0.1 - - [23/Nov/2026:04:34:05 +0530] "GET / HTTP/1.1""#,
                whole,
            ),
        ] {
            assert_eq!(at(line).as_deref(), Some(wanted), "{line}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_local() {
        let local = TimeZone::system();
        let wanted = "2026-11-22T23:04:05".parse::<DateTime>().unwrap();
        let wanted = local.to_timestamp(wanted).unwrap();
        assert_eq!(guess(b"2026/11/22 23:04:05 [notice] x"), Some(wanted));
        assert_eq!(guess(b"2026-11-22 23:04:05.0 CET [1] LOG"), Some(wanted));
    }

    #[test]
    fn what_is_no_stamp_is_not_taken_for_one() {
        for line in [
            "",
            "hello",
            "2026",
            "2026-13-22 23:04:05 x",
            "2026-11-22 23:04",
            r#"{"time":"soon"}"#,
            r#"{"ts":"#,
            "[12345678901234567890123456]",
            "[22/Xyz/2026:23:04:05 +0000]",
            "\u{fc}\u{fc}\u{fc}\u{fc}-\u{fc}\u{fc}\u{fc}",
        ] {
            assert_eq!(at(line), None, "{line}");
        }
    }

    #[test]
    fn our_own_stamps_are_split_off() {
        let line = b"2026-11-22T23:04:05.123456Z text";
        assert_eq!(split(line), Some((&line[..27], &b"text"[..])));
        assert_eq!(split(b"2026-11-22 23:04:05.123456Z text"), None);
        assert_eq!(text_of(b"by hand", Style::Ours), b"by hand");
    }
}
