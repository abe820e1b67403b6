//! Renders the types of the API as text, without I/O and without reading a clock. Text from the
//! server comes from programs and files, so it passes through [`shown`] before it reaches a
//! terminal.

pub mod json;
pub mod outcome;
pub mod runit;
pub mod table;
pub mod why;

use std::fmt::Write as _;

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

/// Style of failures.
pub const RED: Style = AnsiColor::Red.on_default();
/// Style of the word `error`.
pub const RED_BOLD: Style = AnsiColor::Red.on_default().bold();
/// Style of warnings.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Style of success.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// Style of names.
pub const CYAN: Style = AnsiColor::Cyan.on_default();
/// Style of details.
pub const DIM: Style = Style::new().dimmed();
/// Style of headings.
pub const BOLD: Style = Style::new().bold();
/// No style.
pub const PLAIN: Style = Style::new();
/// Style of the word `hint`.
pub const HINT: Style = CYAN.bold();

/// Escapes every character that a terminal would obey: control characters other than tab, and
/// characters that change the writing direction.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if !obeyed(character) {
            shown.push(character);
        } else if (character as u32) < 0x100 {
            let _ = write!(shown, "\\x{:02x}", character as u32);
        } else {
            let _ = write!(shown, "\\u{{{:x}}}", character as u32);
        }
    }
    Cow::Owned(shown)
}

/// Longest shown text from another machine, in characters.
const FOREIGN_MAX: usize = 500;

/// A text from another machine, in one line of at most `FOREIGN_MAX` characters, without control
/// characters.
pub fn shown_foreign(text: &str) -> String {
    let end = text.char_indices().nth(FOREIGN_MAX).map(|(at, _)| at);
    let cut = shown(&text[..end.unwrap_or(text.len())]).replace('\t', " ");
    if end.is_some() { cut + "…" } else { cut }
}

/// Applies [`shown`] to each line of a text.
pub fn shown_lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

fn obeyed(character: char) -> bool {
    character.is_control() && character != '\t'
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text in a style.
pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// How long ago `at` was; `at` itself if it is not a time stamp.
pub fn ago(at: &str, now: Timestamp) -> String {
    let Ok(then) = at.parse::<Timestamp>() else {
        return shown(at).into_owned();
    };
    text::ago(then, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_shown_not_executed() {
        assert_eq!(
            shown("\x1b[2Jgone\r\u{9b}31m\ttab ä"),
            "\\x1b[2Jgone\\x0d\\x9b31m\ttab ä"
        );
        assert_eq!(shown("\u{202e}drowssap"), "\\u{202e}drowssap");
        assert_eq!(shown("\0\x7f"), "\\x00\\x7f");
        assert!(matches!(shown("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn a_time_in_the_future_is_now() {
        let now: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        assert_eq!(ago("2026-11-22T00:00:05Z", now), "0s ago");
        assert_eq!(ago("2026-11-21T23:58:00.5Z", now), "1m59s ago");
        assert_eq!(ago("yesterday", now), "yesterday");
    }
}
