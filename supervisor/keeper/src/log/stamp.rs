//! Time as text: the stamp of a line and the name of a rotated file.
//!
//! Wall clock in UTC, read once for all that one `read` brought in; the part down to the second is
//! formatted once a second.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Length of the stamp and the space after it: `2026-11-22T23:04:05.123456Z `.
pub const STAMP_BYTES: usize = 28;
/// Suffix of a rotated file that has been compressed (zstd).
pub const COMPRESSED: &str = ".zst";
const MICROS: i64 = 1_000_000;
/// Where the microseconds are in a stamp.
const FRACTION: std::ops::Range<usize> = 20..26;

/// The present time, as a number and as a stamp.
#[derive(Debug)]
pub(super) struct Clock {
    us: i64,
    second: i64,
    text: [u8; STAMP_BYTES],
}

impl Clock {
    pub(super) fn new() -> Clock {
        let mut clock = Clock {
            us: 0,
            second: i64::MIN,
            text: *b"1970-01-01T00:00:00.000000Z ",
        };
        clock.refresh();
        clock
    }

    /// Reads the clock. Microseconds since 1970.
    pub(super) fn refresh(&mut self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let us = now.map_or(0, |now| i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
        self.set(us);
        us
    }

    /// Microseconds since 1970 when the clock was read last.
    pub(super) fn us(&self) -> i64 {
        self.us
    }

    /// The time of the last reading, as a stamp.
    pub(super) fn stamp(&self) -> &[u8; STAMP_BYTES] {
        &self.text
    }

    fn set(&mut self, us: i64) {
        self.us = us;
        let second = us.div_euclid(MICROS);
        if second != self.second
            && let Ok(time) = Timestamp::from_second(second)
        {
            let text = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
            if text.len() == FRACTION.start - 1 {
                self.text[..text.len()].copy_from_slice(text.as_bytes());
                self.second = second;
            }
        }
        let mut rest = us.rem_euclid(MICROS);
        for digit in self.text[FRACTION].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
    }
}

/// Name of a file that is rotated at `us`, in microseconds since 1970.
pub(super) fn rotated_name(us: i64) -> String {
    let time = Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H-%M-%S.%6fZ.log").to_string()
}

/// When the file of this name, plain or compressed, was rotated, in microseconds since 1970.
/// `None`: the name is not that of a rotated file. While a file is being compressed, the plain and
/// the compressed file may exist side by side; both then hold the same lines.
pub fn rotated_at(name: &str) -> Option<i64> {
    let name = name.strip_suffix(COMPRESSED).unwrap_or(name);
    let stem = name.strip_suffix(".log")?;
    let (day, time) = stem.split_once('T')?;
    let time: Timestamp = format!("{day}T{}", time.replace('-', ":")).parse().ok()?;
    let us = time.as_microsecond();
    (rotated_name(us) == name).then_some(us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_is_rfc_3339_in_utc_with_microseconds() {
        let mut clock = Clock::new();
        for (us, text) in [
            (1_795_388_645_123_456, "2026-11-22T23:04:05.123456Z "),
            (1_795_388_645_000_007, "2026-11-22T23:04:05.000007Z "),
            (1_795_388_646_999_999, "2026-11-22T23:04:06.999999Z "),
            (0, "1970-01-01T00:00:00.000000Z "),
        ] {
            clock.set(us);
            assert_eq!(std::str::from_utf8(clock.stamp()).unwrap(), text);
        }
    }

    #[test]
    fn rotated_names_are_recognized_and_sort_by_time() {
        let early = rotated_name(1_795_388_645_123_456);
        assert_eq!(early, "2026-11-22T23-04-05.123456Z.log");
        assert_eq!(rotated_at(&early), Some(1_795_388_645_123_456));
        assert_eq!(
            rotated_at(&format!("{early}{COMPRESSED}")),
            Some(1_795_388_645_123_456)
        );
        assert!(early < rotated_name(1_795_388_645_123_457));
        for name in [
            "current",
            "x.log",
            "2026-11-22T23-04-05Z.log",
            "2026-11-22T23-04-05.123456Z.zst",
            "2026-11-22T23-04-05.123456Z.log.zst.tmp",
        ] {
            assert_eq!(rotated_at(name), None, "{name}");
        }
    }
}
