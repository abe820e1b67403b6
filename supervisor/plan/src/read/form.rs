//! Forms of text: what a value may look like before it gets into a file, a command or a message.
//!
//! A value that comes from outside (the site file, a file of a service) may end up in a line of a
//! rendered file. A value without control characters cannot leave that line, whatever the language
//! of the file; quoting within the line is the template's business.

/// Longest name of an account, in bytes: `LOGIN_NAME_MAX` without its NUL.
const ACCOUNT_BYTES_MAX: usize = 255;
/// Longest version, in bytes.
const VERSION_BYTES_MAX: usize = 24;

/// Refuses control characters, C1 and Unicode's own line ends among them. `multi_line` allows line
/// ends and tabs.
pub(crate) fn no_control(text: &str, multi_line: bool) -> Result<(), String> {
    let allowed = |c: char| multi_line && matches!(c, '\n' | '\r' | '\t');
    let bad = |c: char| (c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) && !allowed(c);
    match text.chars().find(|c| bad(*c)) {
        None => Ok(()),
        Some('\0') => Err("cannot contain a NUL".to_owned()),
        Some(_) if multi_line => {
            Err("cannot contain a control character besides line ends and tabs".to_owned())
        }
        Some(_) => Err("cannot contain a line break or another control character".to_owned()),
    }
}

/// Holds a text to the form of the names that user databases have: what `useradd` makes, and dots,
/// `@` and `+` of directory services besides. Numbers are refused: one tool takes a number for a
/// name, another for an id.
pub(crate) fn account(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("cannot be empty".to_owned());
    }
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "must be the name of an account, not the number {name}"
        ));
    }
    let inner = name.strip_suffix('$').unwrap_or(name);
    let first = inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let part = |c: char| c.is_ascii_alphanumeric() || "_.-@+".contains(c);
    if first && inner.chars().all(part) && name.len() <= ACCOUNT_BYTES_MAX {
        return Ok(());
    }
    Err(format!(
        "`{}` cannot be the name of an account",
        name.escape_debug()
    ))
}

/// Whether a text is a version: numbers parted by dots, then perhaps a word such as `-rc1`.
pub(crate) fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (numbers, word) = text.split_at(end.unwrap_or(text.len()));
    text.len() <= VERSION_BYTES_MAX
        && numbers.split('.').all(|part| !part.is_empty())
        && (word.is_empty() || is_prerelease(word))
}

/// `-rc1`, `beta2`, `-alpha.3`.
fn is_prerelease(word: &str) -> bool {
    let word = word.strip_prefix(['-', '+', '~']).unwrap_or(word);
    let number = word.trim_start_matches(|c: char| c.is_ascii_lowercase());
    number.len() < word.len()
        && number
            .strip_prefix('.')
            .unwrap_or(number)
            .bytes()
            .all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_gets_through_and_line_ends_only_where_they_may() {
        for bad in ["\0", "\x1b[2J", "\x7f", "\u{9b}", "\r", "\u{85}"] {
            assert!(no_control(&format!("a{bad}b"), false).is_err(), "{bad:?}");
        }
        for end in ["\n", "\r\n", "\t"] {
            let text = format!("a{end}b");
            assert!(no_control(&text, false).is_err(), "{end:?}");
            assert_eq!(no_control(&text, true), Ok(()), "{end:?}");
        }
        for bad in ["\0", "\x1b", "\u{9b}", "\u{2028}", "\u{2029}"] {
            assert!(no_control(bad, true).is_err(), "{bad:?}");
        }
        assert_eq!(no_control("ü \u{202f}“x”", false), Ok(()));
    }

    #[test]
    fn names_of_accounts_are_those_of_user_databases() {
        let long = "a".repeat(ACCOUNT_BYTES_MAX);
        for good in [
            "root",
            "_apt",
            "first.last",
            "a-b_c9",
            "Host$",
            "x@dom.example",
            &long,
        ] {
            assert_eq!(account(good), Ok(()), "{good}");
        }
        let longer = format!("{long}a");
        for bad in [
            "", "0", "1000", "0x1", "x,y", "a\"b", "a b", "a:b", "a/b", "-a", ".", "a\n", "$", "é",
            "a\\b", "/^.*", &longer,
        ] {
            assert!(account(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_version_is_numbers_and_dots_and_nothing_that_could_be_a_secret() {
        for good in [
            "9",
            "9.6",
            "15.10.2",
            "v11.6.0",
            "11.6.0-rc1",
            "17beta1",
            "1.2-alpha.3",
        ] {
            assert!(is_version(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "1.",
            ".1",
            "v",
            "a = \"b\"",
            "root:x:0",
            "4f3a9bc0d1e2",
            "1-2-3",
            "1.0-RC",
            "1.0 x",
            "1.25.1-x86+64",
            "1111111111111111111111111",
        ] {
            assert!(!is_version(bad), "{bad}");
        }
    }
}
