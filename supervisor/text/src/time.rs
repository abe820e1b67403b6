//! Times: RFC 3339 in UTC wherever a program may read them, so that texts of one precision compare
//! as the times do.

use jiff::{Timestamp, Zoned};

/// The time so many milliseconds after 1970, as events and records have it: RFC 3339 in UTC, with
/// milliseconds.
pub fn time(unix_ms: u64) -> String {
    rfc3339_millis(timestamp(unix_ms))
}

/// The time so many milliseconds after 1970; 1970 for one beyond the calendar.
pub fn timestamp(unix_ms: u64) -> Timestamp {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// `2026-11-22T23:04:05Z`.
pub fn rfc3339_seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-11-22T23:04:05.123Z`: events, records of changes and of exits.
pub fn rfc3339_millis(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// `2026-11-22T23:04:05.123456Z`: stamps of log lines.
pub fn rfc3339_micros(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// `2026-11-22 23:04:05 UTC`, for tables that people read.
pub fn utc_seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `2026-11-22`, in the zone that it comes with.
pub fn day(at: &Zoned) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// How long ago that was: `1m59s ago`. A time in the future is `0s ago`.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs();
    let seconds = u64::try_from(seconds).unwrap_or_default();
    format!("{} ago", crate::seconds(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        assert_eq!(time(1_500), "1970-01-01T00:00:01.500Z");
        assert_eq!(time(u64::MAX), "1970-01-01T00:00:00.000Z");
        let at = timestamp(1_795_388_645_123);
        assert_eq!(rfc3339_seconds(at), "2026-11-22T23:04:05Z");
        assert_eq!(rfc3339_millis(at), "2026-11-22T23:04:05.123Z");
        assert_eq!(rfc3339_micros(at), "2026-11-22T23:04:05.123000Z");
        assert_eq!(utc_seconds(at), "2026-11-22 23:04:05 UTC");
    }

    #[test]
    fn a_time_in_the_future_is_now() {
        let now = timestamp(1_795_388_645_123);
        assert_eq!(ago(timestamp(1_795_388_650_000), now), "0s ago");
        assert_eq!(ago(timestamp(1_795_388_525_500), now), "1m59s ago");
    }
}
