//! Whether the program can read a value, and what it does if not.

use serde_json::{Map, Value};

use super::{
    death::{Case, Death},
    table::Row,
};

/// Longer values are not repeated in a message.
const SHOWN_MAX: usize = 60;

/// Fault of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// The program dies or hangs, where otherwise it ignores the value.
    pub(super) fatal: bool,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Holds a value to the type of its variable, and to what the program dies of. `shown`: the value
/// may be repeated.
pub(super) fn check(
    row: &Row<'_>,
    death: Option<Death<'_>>,
    value: &str,
    shown: bool,
) -> Option<Trouble> {
    let on = |case| death.filter(|it| it.case == case).map(|it| it.what);
    if let Some(what) = on(Case::Always) {
        return Some(Trouble {
            fatal: true,
            message: format!("the program {what} when this is set, whatever the value"),
            hint: Some(match row.note {
                "" => "remove it".to_owned(),
                note => note.to_owned(),
            }),
        });
    }
    let said = if shown && value.len() <= SHOWN_MAX {
        format!("\"{}\"", value.escape_debug())
    } else {
        "the value".to_owned()
    };
    let unread = match row.kind {
        "bool" => bool(value, &said),
        "int" => value.parse::<i64>().is_err().then(|| {
            let message =
                format!("{said} is not a whole number, so it is ignored and the default stays");
            ignored(message, Some("write digits only".to_owned()))
        }),
        "list" => return list(on(Case::Empty), value, &said),
        "json" => bad_json(on(Case::Bad), value, &said),
        // A text that does not begin like JSON is the path of a file.
        "json|path" if value.trim_start().starts_with('{') => bad_json(on(Case::Bad), value, &said),
        _ => None,
    };
    unread.or_else(|| {
        let (message, hint) = death?.of(value, &said)?;
        Some(Trouble {
            fatal: true,
            message,
            hint: Some(hint),
        })
    })
}

fn ignored(message: String, hint: Option<String>) -> Trouble {
    Trouble {
        fatal: false,
        message,
        hint,
    }
}

/// Go's `strconv.ParseBool`.
fn bool(value: &str, said: &str) -> Option<Trouble> {
    const KNOWN: &[&str] = &[
        "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False",
    ];
    if KNOWN.contains(&value) {
        return None;
    }
    let hint = match value.trim().to_ascii_lowercase().as_str() {
        "yes" | "y" | "on" | "enable" | "enabled" | "true" => "write true",
        "no" | "n" | "off" | "disable" | "disabled" | "false" => "write false",
        _ => "write true or false",
    };
    let message = format!(
        "{said} is neither true nor false to the program, so it is ignored and the default stays"
    );
    Some(ignored(message, Some(hint.to_owned())))
}

fn list(dies: Option<&str>, value: &str, said: &str) -> Option<Trouble> {
    if value.split(' ').any(str::is_empty) {
        let empty = if value.is_empty() {
            "an empty value is a list with one empty element, not an empty list".to_owned()
        } else {
            format!("{said} has an empty element: single spaces part the elements")
        };
        return Some(Trouble {
            fatal: dies.is_some(),
            message: match dies {
                Some(what) => format!("{empty}, and the program {what}"),
                None => empty,
            },
            hint: Some(if value.is_empty() {
                "remove the variable: without it the list is empty".to_owned()
            } else {
                "write the elements with one space between them".to_owned()
            }),
        });
    }
    if value.starts_with('[') && serde_json::from_str::<Vec<Value>>(value).is_ok() {
        let message = format!("{said} is a list with JSON in it: single spaces part the elements");
        return Some(ignored(
            message,
            Some("write the elements with one space between them".to_owned()),
        ));
    }
    // Addresses of databases may have commas; names and languages have none.
    if value.contains(',') && !value.contains(['=', '/']) {
        let message = format!("{said} has a comma in an element: single spaces part the elements");
        return Some(ignored(
            message,
            Some("write the elements with one space between them".to_owned()),
        ));
    }
    None
}

fn bad_json(dies: Option<&str>, value: &str, said: &str) -> Option<Trouble> {
    if serde_json::from_str::<Map<String, Value>>(value).is_ok() || value.trim() == "null" {
        return None;
    }
    let what = dies.filter(|_| !value.is_empty());
    Some(Trouble {
        fatal: what.is_some(),
        message: match what {
            Some(what) => format!("{said} is not a JSON object, and the program {what}"),
            None => format!("{said} is not a JSON object, so it is ignored"),
        },
        hint: Some("write it as {\"key\": …}".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::table::VariableTable, *};

    fn trouble(kind: &str, dies: &str, value: &str) -> Option<Trouble> {
        let line = format!("A\t{kind}\t\t\t{dies}\t");
        let row = VariableTable(&line).rows().next().unwrap();
        check(&row, row.death(None), value, true)
    }

    #[test]
    fn values_that_the_program_reads_are_right() {
        for (kind, value) in [
            ("bool", "T"),
            ("bool", "0"),
            ("int", "-5"),
            ("int", "+5"),
            ("list", "a"),
            ("list", "a b"),
            ("list", "postgres://a,b/x?y=z"),
            ("json", "{\"a\": {}}"),
            ("json|path", "/etc/log.json"),
            ("json|path", ""),
            ("string", "anything\nat all"),
            ("any", ""),
        ] {
            assert_eq!(trouble(kind, "", value), None, "{kind} {value:?}");
        }
    }

    #[test]
    fn values_that_it_ignores_are_told_with_what_to_write() {
        for (kind, value, hint) in [
            ("bool", "yes", "write true"),
            ("bool", "Off", "write false"),
            ("bool", "", "write true or false"),
            ("bool", "true ", "write true"),
            ("int", "10s", "digits"),
            ("int", "1_000", "digits"),
            ("int", "", "digits"),
            ("int", "99999999999999999999", "digits"),
            ("list", "", "remove"),
            ("list", "a  b", "one space"),
            ("list", "de,en", "one space"),
            ("list", "[\"a\"]", "one space"),
            ("json", "a=b", "{\"key\""),
            ("json", "[1]", "{\"key\""),
            ("json|path", "{ a", "{\"key\""),
        ] {
            let trouble = trouble(kind, "", value).unwrap_or_else(|| panic!("{kind} {value:?}"));
            assert!(
                !trouble.fatal && trouble.hint.as_ref().unwrap().contains(hint),
                "{value:?} {trouble:?}"
            );
        }
    }

    #[test]
    fn what_it_dies_of_is_fatal() {
        assert!(trouble("list", "empty: hangs", "").unwrap().fatal);
        assert!(trouble("list", "empty: hangs", "a ").unwrap().fatal);
        assert!(
            trouble("structs", "always: panics", "x")
                .unwrap()
                .message
                .contains("panics")
        );
        assert!(trouble("json", "bad: exits", "{").unwrap().fatal);
        assert!(!trouble("json", "bad: exits", "").unwrap().fatal);
        assert!(trouble("int", "below 1: exits", "0").unwrap().fatal);
        // An ignored value stops no program.
        assert!(!trouble("int", "below 1: exits", "none").unwrap().fatal);
        assert_eq!(trouble("int", "below 1: exits", "1"), None);
        assert!(trouble("string", "not a|b: exits", "c").unwrap().fatal);
    }

    #[test]
    fn a_secret_is_not_repeated() {
        let line = "A\tbool\t\t\t\t";
        let row = VariableTable(line).rows().next().unwrap();
        let said = check(&row, None, "hunter2", false).unwrap();
        assert!(!format!("{said:?}").contains("hunter2"));
    }
}
