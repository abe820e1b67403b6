//! Arguments that are times: `30d`, `1h`, `today`, `10:00`, `2026-11-22 10:00`.
//!
//! The time zone of the caller applies; requests carry UTC.

use jiff::{
    Span, SpanRelativeTo, Timestamp, Zoned,
    civil::{Date, DateTime, Time},
};

/// Error for a word that is not a time.
const HINT: &str = "not a time; write 1h, 30d, today, yesterday, 10:00, 2026-11-22, \
    '2026-11-22 10:00' or 2026-11-22T10:00:00Z";

/// Reads a time argument relative to now. For clap's `value_parser`.
pub fn read(text: &str) -> Result<Timestamp, String> {
    read_at(text, &Zoned::now()).ok_or_else(|| HINT.to_owned())
}

/// The day in the system's time zone: `2026-11-23`.
pub fn day(unix_seconds: i64) -> String {
    let at = Timestamp::from_second(unix_seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let zone = jiff::tz::TimeZone::system();
    text::day(&at.to_zoned(zone))
}

/// Reads a time argument relative to `now`; `None` if it is not a time. A bare duration lies in the
/// past.
fn read_at(text: &str, now: &Zoned) -> Option<Timestamp> {
    let text = text.trim();
    let zone = || now.time_zone().clone();
    let midnight = |date: Date| Some(date.to_zoned(zone()).ok()?.timestamp());
    match text {
        "now" => return Some(now.timestamp()),
        "today" => return midnight(now.date()),
        "yesterday" => return midnight(now.date().yesterday().ok()?),
        _ => {}
    }
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return Some(stamp);
    }
    // A time without a date is today's; a date without a time is its midnight.
    if text.contains(':')
        && let Ok(time) = text.parse::<Time>()
        && !text.contains('-')
    {
        let moment = now.date().to_datetime(time).to_zoned(zone()).ok()?;
        return Some(moment.timestamp());
    }
    if let Ok(moment) = text.parse::<DateTime>() {
        return Some(moment.to_zoned(zone()).ok()?.timestamp());
    }
    back(text, now)
}

/// Reads a duration (`30d`, `1h30m`, `-1h`, `2 weeks ago`) as a time that long before now.
fn back(text: &str, now: &Zoned) -> Option<Timestamp> {
    let words = text.strip_prefix('-').unwrap_or(text);
    let words = words.strip_suffix("ago").unwrap_or(words).trim();
    if !words.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let span = words.parse::<Span>().ok()?;
    // A day of a clock change has 23 or 25 hours, so the calendar does the counting.
    span.to_duration(SpanRelativeTo::from(now)).ok()?;
    Some(now.checked_sub(span).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<String> {
        let now: Zoned = "2026-11-22T15:30:00+01:00[+01:00]".parse().unwrap();
        read_at(text, &now).map(|stamp| stamp.to_string())
    }

    #[test]
    fn durations_lie_in_the_past() {
        assert_eq!(at("1h").unwrap(), "2026-11-22T13:30:00Z");
        assert_eq!(at("-90m").unwrap(), "2026-11-22T13:00:00Z");
        assert_eq!(at("30d").unwrap(), "2026-10-23T14:30:00Z");
        assert_eq!(at("2 weeks ago").unwrap(), "2026-11-08T14:30:00Z");
        assert_eq!(at("1h30m").unwrap(), "2026-11-22T13:00:00Z");
    }

    #[test]
    fn days_and_times_are_those_of_the_clock_on_the_wall() {
        assert_eq!(at("now").unwrap(), "2026-11-22T14:30:00Z");
        assert_eq!(at("today").unwrap(), "2026-11-21T23:00:00Z");
        assert_eq!(at("yesterday").unwrap(), "2026-11-20T23:00:00Z");
        assert_eq!(at("10:00").unwrap(), "2026-11-22T09:00:00Z");
        assert_eq!(at("2026-11-22").unwrap(), "2026-11-21T23:00:00Z");
        assert_eq!(at("2026-11-22 10:00").unwrap(), "2026-11-22T09:00:00Z");
        assert_eq!(at("2026-11-22T10:00:05").unwrap(), "2026-11-22T09:00:05Z");
    }

    #[test]
    fn a_stamp_with_a_zone_is_taken_as_it_is() {
        assert_eq!(at("2026-11-22T10:00:00Z").unwrap(), "2026-11-22T10:00:00Z");
        assert_eq!(
            at("2026-11-22T10:00:00.25+05:30").unwrap(),
            "2026-11-22T04:30:00.25Z"
        );
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "soon",
            "1",
            "h",
            "2026-13-01",
            "25:00",
            "P1D",
            "10:00:00:00",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
        assert!(read("soon").unwrap_err().contains("30d"));
    }
}
