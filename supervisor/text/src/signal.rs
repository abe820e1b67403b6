//! Linux's signals by name and number. Names are read with or without `SIG`, in either case, and
//! written without.

const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The number of a signal: `TERM`, `SIGTERM`, `term`, `RTMIN+3`, `15`.
pub fn number(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = short.strip_prefix("RTMIN") {
        return real_time(34, rest);
    }
    if let Some(rest) = short.strip_prefix("RTMAX") {
        return real_time(64, rest);
    }
    let short = match short {
        "IOT" => "ABRT",
        "POLL" => "IO",
        "CLD" => "CHLD",
        other => other,
    };
    NAMES
        .iter()
        .find(|(known, _)| *known == short)
        .map(|(_, number)| *number)
}

fn real_time(base: i32, offset: &str) -> Option<i32> {
    let offset = if offset.is_empty() {
        0
    } else {
        offset.parse::<i32>().ok()?
    };
    base.checked_add(offset)
        .filter(|number| (34..=64).contains(number))
}

/// The name of a signal, without `SIG`; none for real-time signals and unknown numbers.
pub fn name(number: i32) -> Option<&'static str> {
    NAMES
        .iter()
        .find(|(_, known)| *known == number)
        .map(|(name, _)| *name)
}

/// All names, without `SIG`: for those who propose the nearest one.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// The name of a signal, without `SIG`, or its number where it has no name.
pub fn shown(number: i32) -> String {
    name(number).map_or_else(|| number.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for n in 1..=31 {
            assert_eq!(number(name(n).unwrap()), Some(n));
            assert_eq!(number(&format!("SIG{}", name(n).unwrap())), Some(n));
        }
        assert_eq!(number("hup"), Some(1));
        assert_eq!(number("RTMIN+3"), Some(37));
        assert_eq!(number("RTMAX-1"), Some(63));
        assert_eq!(number("9"), Some(9));
        for bad in [
            "",
            "SIG",
            "NONE",
            "0",
            "65",
            "RTMIN-1",
            "RTMAX+1",
            "TERMINATE",
        ] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
