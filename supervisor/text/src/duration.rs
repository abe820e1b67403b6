//! Durations, in milliseconds: `500ms`, `30s`, `1h30m`.

use std::fmt::Write as _;

/// The units of a duration, longest first, each with its length in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// A duration below this is written with tenths of a second, in milliseconds.
const TENTHS_BELOW: u64 = 10_000;

/// A duration for people, rounded down to its two largest units: `0.3s`, `42s`, `2m5s`, `3d2h`.
pub fn duration(ms: u64) -> String {
    if ms < TENTHS_BELOW && !ms.is_multiple_of(1000) {
        return format!("{}.{}s", ms / 1000, ms % 1000 / 100);
    }
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// Like [`duration`], for a duration in seconds.
pub fn seconds(seconds: u64) -> String {
    duration(seconds.saturating_mul(1000))
}

/// A duration as a service file may have it, without loss: `1h30m`, `1s500ms`.
pub fn exact_duration(mut ms: u64) -> String {
    let mut out = String::new();
    for (unit, length) in UNITS {
        if ms >= length {
            let _ = write!(out, "{}{unit}", ms / length);
            ms %= length;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// Reads a duration, in milliseconds: numbers with units, as in `1h30m` or `1h 30m`, or a bare `0`.
/// `min` is `m`. The error says what is wrong with the text.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!("`{text}` is not a duration such as \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\"")
    };
    let mut rest = match text.trim() {
        "" => return Err(wrong()),
        "0" => return Ok(0),
        rest => rest,
    };
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit());
        let (number, after) = rest.split_at(digits.unwrap_or(rest.len()));
        let letters = after.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, next) = after.split_at(letters.unwrap_or(after.len()));
        let unit = if unit == "min" { "m" } else { unit };
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, length) = known.ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        total = number
            .checked_mul(*length)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| format!("`{text}` is too long"))?;
        rest = next.trim_start();
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_for_people_has_two_units() {
        let cases = [
            (0, "0s"),
            (300, "0.3s"),
            (9_900, "9.9s"),
            (10_400, "10s"),
            (59_000, "59s"),
            (65_000, "1m5s"),
            (3_600_000, "1h0m"),
            (90_061_000, "1d1h"),
        ];
        for (ms, said) in cases {
            assert_eq!(duration(ms), said);
        }
    }

    #[test]
    fn what_is_written_without_loss_is_read_back() {
        for ms in [
            0,
            1,
            999,
            1000,
            1500,
            90_000,
            5_400_000,
            86_400_001,
            u64::MAX,
        ] {
            assert_eq!(parse_duration(&exact_duration(ms)), Ok(ms));
        }
        assert_eq!(exact_duration(5_400_000), "1h30m");
        assert_eq!(exact_duration(1_500), "1s500ms");
    }

    #[test]
    fn a_duration_is_read_as_people_write_it() {
        assert_eq!(parse_duration("500ms"), Ok(500));
        assert_eq!(parse_duration("1h30m"), Ok(5_400_000));
        assert_eq!(parse_duration(" 1h 30min "), Ok(5_400_000));
        assert_eq!(parse_duration("7d"), Ok(604_800_000));
        assert_eq!(parse_duration("0"), Ok(0));
        for bad in [
            "",
            "10",
            "s",
            "1y",
            "-1s",
            "1.5s",
            "1h0",
            "99999999999999999999d",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert!(
            parse_duration("999999999999999d")
                .unwrap_err()
                .contains("too long")
        );
    }
}
