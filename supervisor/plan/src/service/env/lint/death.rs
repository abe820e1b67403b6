//! Values that a program dies of: the column `dies` of the table.
//!
//! `CASE: WHAT` or `CASE since A..B: WHAT`; WHAT is what the program does then, instead of ignoring
//! the value. A case that nobody here knows is none: the table may be an administrator's own.
//!
//! | case | the value |
//! | --- | --- |
//! | `always` | any |
//! | `empty` | is empty; a list has an empty element |
//! | `bad` | cannot be read as the type |
//! | `below N` | is a smaller number |
//! | `not A\|B` | is none of these; `\|A` allows an empty one too |
//! | `shorter N` | has fewer bytes, and is not empty |
//! | `no-scheme` | is no URL for want of a scheme |
//! | `no-time` | is no time of day, `HH:MM` |

use super::version::{Bounds, Version};

/// When the program dies, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Death<'t> {
    pub(super) case: Case<'t>,
    since: Option<Bounds>,
    pub(super) what: &'t str,
}

/// Values that a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case<'t> {
    Always,
    Empty,
    Bad,
    Below(i64),
    Not(&'t str),
    Shorter(usize),
    NoScheme,
    NoTime,
}

impl<'t> Death<'t> {
    pub(super) fn read(column: &'t str) -> Option<Self> {
        let (case, what) = column.split_once(": ")?;
        let (case, since) = case.split_once(" since ").unwrap_or((case, ""));
        let (word, operand) = case.split_once(' ').unwrap_or((case, ""));
        let case = match word {
            "always" => Case::Always,
            "empty" => Case::Empty,
            "bad" => Case::Bad,
            "below" => Case::Below(operand.parse().ok()?),
            "not" => Case::Not(operand),
            "shorter" => Case::Shorter(operand.parse().ok()?),
            "no-scheme" => Case::NoScheme,
            "no-time" => Case::NoTime,
            _ => return None,
        };
        let since = Bounds::read(since);
        Some(Self { case, since, what })
    }

    /// Whether the installed version is known to die so.
    pub(super) fn is_of(&self, installed: Option<Version>) -> bool {
        self.since
            .is_none_or(|since| installed.is_some_and(|it| it >= since.after))
    }

    /// Fault of a value that can be read, and a hint what to write instead.
    pub(super) fn of(&self, value: &str, said: &str) -> Option<(String, String)> {
        let (wrong, hint) = match self.case {
            // The types report these cases.
            Case::Always | Case::Bad => return None,
            Case::Empty => value.is_empty().then(|| {
                let hint = "write a value, or remove the variable".to_owned();
                ("an empty value is none".to_owned(), hint)
            }),
            Case::Below(least) => {
                let number = value.parse::<i64>().ok();
                number.filter(|number| *number < least).map(|_| {
                    let wrong = format!("{said} is less than {least}");
                    (wrong, format!("write {least} or more"))
                })
            }
            Case::Not(choices) => choices.split('|').all(|it| it != value).then(|| {
                let wrong = format!("{said} is none of the values that the program takes");
                (wrong, format!("write {}", one_of(choices)))
            }),
            Case::Shorter(least) => (!value.is_empty() && value.len() < least).then(|| {
                let wrong = format!("{said} is shorter than {least} characters");
                (wrong, format!("write {least} characters or more"))
            }),
            Case::NoScheme => {
                let none = !value.is_empty() && !value.contains(':') && !value.starts_with('/');
                none.then(|| {
                    let hint = "write it with its scheme, as https://HOST".to_owned();
                    (format!("{said} is no URL"), hint)
                })
            }
            Case::NoTime => (!is_time(value)).then(|| {
                let hint = "write it as 02:00".to_owned();
                (format!("{said} is no time of day"), hint)
            }),
        }?;
        Some((format!("{wrong}, and the program {}", self.what), hint))
    }
}

fn one_of(choices: &str) -> String {
    let names = choices.split('|').map(|it| match it {
        "" => "\"\"",
        name => name,
    });
    let names: Vec<&str> = names.collect();
    match names.as_slice() {
        [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
        names => names.concat(),
    }
}

fn is_time(value: &str) -> bool {
    let parts = value.split_once(':');
    let numbers = parts.map(|(hour, minute)| (hour.parse::<u8>(), minute.parse::<u8>()));
    matches!(numbers, Some((Ok(0..24), Ok(0..60))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(case: &str, value: &str) -> Option<(String, String)> {
        let column = format!("{case}: refuses to start");
        Death::read(&column).unwrap().of(value, "it")
    }

    #[test]
    fn values_in_range_are_right() {
        for (case, values) in [
            ("always", vec!["", "x"]),
            ("empty", vec!["x"]),
            ("below 0", vec!["0", "5", "x"]),
            ("not |TLS", vec!["", "TLS"]),
            ("shorter 3", vec!["", "abc"]),
            ("no-scheme", vec!["", "wss://x", "/x", "x:8065"]),
            ("no-time", vec!["00:00", "2:05", "23:59"]),
        ] {
            for value in values {
                assert_eq!(wrong(case, value), None, "{case} {value:?}");
            }
        }
    }

    #[test]
    fn values_out_of_range_are_told_with_what_to_write() {
        for (case, value, words, hint) in [
            ("empty", "", "an empty value", "write a value"),
            ("below 30", "5", "less than 30", "30 or more"),
            ("not |TLS", "tls", "none of", "write \"\" or TLS"),
            ("not a|b|c", "", "none of", "write a, b or c"),
            ("shorter 32", "short", "shorter than 32", "32 characters"),
            ("no-scheme", "chat.example.com", "no URL", "https://HOST"),
            ("no-time", "25:99", "no time of day", "02:00"),
            ("no-time", "", "no time of day", "02:00"),
        ] {
            let (said, wanted) = wrong(case, value).unwrap_or_else(|| panic!("{case} {value:?}"));
            assert!(
                said.contains(words) && said.ends_with("and the program refuses to start"),
                "{said}"
            );
            assert!(wanted.contains(hint), "{wanted}");
        }
    }

    #[test]
    fn a_death_that_came_with_a_version_is_told_of_that_and_later_ones() {
        let death = Death::read("bad since 5.36..7.6: refuses to start").unwrap();
        assert_eq!(death.case, Case::Bad);
        let of = |version| death.is_of(Version::parse(version));
        assert!(!of("5.36.1") && !of("7.5") && of("7.6.0") && of("9.0"));
        assert!(!death.is_of(None));
        assert!(Death::read("bad: exits").unwrap().is_of(None));
        assert_eq!(Death::read("sometimes: exits"), None);
    }
}
