//! The keeper's own log lines, to stderr: text, or one JSON object a line.
//!
//! A line may quote a service, and stderr may be a terminal: every character that a terminal would
//! act on is written as an escape, for all lines, in this one place.

use std::{
    fmt::{self, Write as _},
    sync::OnceLock,
};

use crate::stderr;

/// Identity of this process in its log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Name of the process: `keeper`, `control`, …
    pub name: &'static str,
    /// Lines are JSON objects.
    pub json: bool,
}

static VOICE: OnceLock<Voice> = OnceLock::new();

/// Chooses how lines look for the rest of the process's life; the first choice counts.
pub fn speak_as(voice: Voice) {
    let _ = VOICE.set(voice);
}

/// Writes one line. A failure to write has no effect.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    stderr::write(&formatted(&text.to_string()));
}

/// A whole line, with its newline.
pub(crate) fn formatted(text: &str) -> Vec<u8> {
    let text = escaped(text);
    let Voice { name, json } = VOICE.get().copied().unwrap_or(Voice {
        name: "keeper",
        json: false,
    });
    let at = text::rfc3339_micros(jiff::Timestamp::now());
    let line = if json {
        let object = serde_json::json!({ "time": at, "from": name, "message": text });
        format!("{object}\n")
    } else {
        format!("{at} mattervisor {name}: {text}\n")
    };
    line.into_bytes()
}

/// Control characters, and those that change the direction or the look of what follows, as `\u{…}`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for one in text.chars() {
        let hidden = matches!(
            one,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        );
        if one.is_control() || hidden {
            // A write into memory cannot fail.
            let _ = write!(out, "{}", one.escape_unicode());
        } else {
            out.push(one);
        }
    }
    out
}

/// Logs a line to the daemon's stderr.
macro_rules! say {
    ($($text:tt)*) => { $crate::stderr_log::line(format_args!($($text)*)) };
}
pub(crate) use say;

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_a_terminal_would_act_on_is_shown() {
        let evil = "a\x1b[2J\r\n\u{9b}31m\u{202e}\u{7f}\u{200b} Grüße ✓";
        let shown = r"a\u{1b}[2J\u{d}\u{a}\u{9b}31m\u{202e}\u{7f}\u{200b} Grüße ✓";
        assert_eq!(escaped(evil), shown);
    }
}
