//! From the types of the API to text. Nothing here does I/O or reads a clock. What the server says
//! comes from programs and files, so it passes through [`shown`] before it reaches a terminal.

pub mod json;
pub mod runit;
pub mod table;
pub mod why;

use std::fmt::Write as _;

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

/// What is broken.
pub const RED: Style = AnsiColor::Red.on_default();
/// The word before an error.
pub const RED_BOLD: Style = AnsiColor::Red.on_default().bold();
/// What wants to be looked at.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// What is well.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// What is a name.
pub const CYAN: Style = AnsiColor::Cyan.on_default();
/// What is of less interest.
pub const DIM: Style = Style::new().dimmed();
/// Headings.
pub const BOLD: Style = Style::new().bold();
/// All the rest.
pub const PLAIN: Style = Style::new();
/// The word before a hint.
pub const HINT: Style = CYAN.bold();

/// The text with everything that a terminal would obey written out: control characters other than
/// tab, and those that turn the direction of writing.
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

/// More of a text from another machine is not shown, in characters.
const FOREIGN_MAX: usize = 500;

/// What another machine says: in one line, with its end in sight, and nothing that a terminal obeys.
pub fn shown_foreign(text: &str) -> String {
    let end = text.char_indices().nth(FOREIGN_MAX).map(|(at, _)| at);
    let cut = shown(&text[..end.unwrap_or(text.len())]).replace('\t', " ");
    if end.is_some() { cut + "…" } else { cut }
}

/// The same for a text of several lines.
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

/// Seconds as people say them: the two largest units.
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if days > 0 {
        format!("{days}d{}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h{}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m{}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// Bytes as people say them: three digits at most before the unit.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "K", "M", "G", "T"];
    let mut shown = bytes;
    let mut unit = 0;
    while shown >= 1000 && unit + 1 < UNITS.len() {
        unit += 1;
        shown = (bytes + (1 << (10 * unit - 1))) >> (10 * unit);
    }
    if shown < 10 && unit > 0 {
        let tenths = (bytes * 10) >> (10 * unit);
        return format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[unit]);
    }
    format!("{shown}{}", UNITS[unit])
}

/// Bytes of a file or a database, as disks are sold: thousands, with one digit behind the point.
pub fn decimal_size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1000;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < units.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

/// How long ago that was; the stamp itself where it cannot be read.
pub fn ago(at: &str, now: Timestamp) -> String {
    let Ok(then) = at.parse::<Timestamp>() else {
        return shown(at).into_owned();
    };
    let seconds = now.duration_since(then).as_secs();
    format!("{} ago", span(u64::try_from(seconds).unwrap_or_default()))
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
    fn spans_are_short() {
        assert_eq!(span(0), "0s");
        assert_eq!(span(59), "59s");
        assert_eq!(span(61), "1m1s");
        assert_eq!(span(3600), "1h0m");
        assert_eq!(span(90_061), "1d1h");
    }

    #[test]
    fn sizes_are_short() {
        let said: Vec<_> = [0, 999, 1000, 5 << 20, 345 << 20, 1 << 30, 12 << 30, 3 << 50]
            .map(size)
            .into();
        assert_eq!(
            said,
            ["0B", "999B", "0.9K", "5.0M", "345M", "1.0G", "12G", "3072T"]
        );
    }

    #[test]
    fn a_time_in_the_future_is_now() {
        let now: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        assert_eq!(ago("2026-11-22T00:00:05Z", now), "0s ago");
        assert_eq!(ago("2026-11-21T23:58:00.5Z", now), "1m59s ago");
        assert_eq!(ago("yesterday", now), "yesterday");
    }
}
