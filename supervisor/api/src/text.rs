//! Texts of programs, as those who show an answer or keep it need them.

/// Where a text is not the JSON that is expected. serde's own words would quote what stands there,
/// which may be a secret.
pub fn json_place(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    format!("it is not what is expected in line {line}, column {column}")
}

/// What a program said in several lines, in one.
pub fn one_line(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines().map(str::trim).filter(|it| !it.is_empty()) {
        out.push_str(match out.chars().last() {
            None => "",
            Some(':' | ';') => " ",
            Some(_) => "; ",
        });
        out.push_str(line);
    }
    out
}

/// `3s`, `2m 5s`, `4h 10m`, `3d 2h`.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if ms < 10_000 && !ms.is_multiple_of(1000) => {
            format!("{}.{}s", seconds, ms % 1000 / 100)
        }
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m {rest}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// How often runs have ended early in a row: `4 failures in a row`, or `ended 4 times in a row` where one
/// of them was no failure.
pub fn in_a_row(times: u32, failed: bool) -> String {
    if failed {
        format!("{times} failures in a row")
    } else {
        format!("ended {times} times in a row")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let said: Vec<_> = [0, 300, 9_900, 65_000, 3_700_000, 90_000_000]
            .map(duration)
            .into();
        assert_eq!(said, ["0s", "0.3s", "9.9s", "1m 5s", "1h 1m", "1d 1h"]);
    }

    #[test]
    fn several_lines_become_one() {
        assert_eq!(
            one_line("exit code 1:\n  no such user\n\ntest failed\n"),
            "exit code 1: no such user; test failed"
        );
        assert_eq!(one_line("exit code 1"), "exit code 1");
    }
}
