//! The keeper's own log lines, to stderr: text, or one JSON object a line. Where stderr is the
//! journal, a line carries its priority, and no time of its own unless it is JSON.
//!
//! A line may quote a service, and stderr may be a terminal: every character that a terminal would
//! act on is written as an escape, for all lines, in this one place.

use std::{
    fmt::{self, Write as _},
    sync::OnceLock,
};

use crate::{
    journal::{self, Severity},
    stderr,
};

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
pub(crate) fn line(severity: Severity, text: fmt::Arguments<'_>) {
    stderr::write(&formatted(severity, &text.to_string()));
}

/// A whole line, with its newline.
pub(crate) fn formatted(severity: Severity, text: &str) -> Vec<u8> {
    let voice = VOICE.get().copied().unwrap_or(Voice {
        name: "keeper",
        json: false,
    });
    form(voice, severity, text, journal::is_stderr()).into_bytes()
}

fn form(Voice { name, json }: Voice, severity: Severity, text: &str, in_journal: bool) -> String {
    let text = escaped(text);
    let at = || text::rfc3339_micros(jiff::Timestamp::now());
    let line = match (json, in_journal) {
        (true, _) => serde_json::json!({ "time": at(), "from": name, "message": text }).to_string(),
        (false, true) => format!("{name}: {text}"),
        (false, false) => format!("{} mattervisor {name}: {text}", at()),
    };
    if in_journal {
        journal::with_priority(severity, &line)
    } else {
        line + "\n"
    }
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

/// Logs an ordinary event to the daemon's stderr.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::stderr_log::line($crate::journal::Severity::Info, format_args!($($text)*))
    };
}
/// Logs what may have consequences.
macro_rules! warning {
    ($($text:tt)*) => {
        $crate::stderr_log::line($crate::journal::Severity::Warning, format_args!($($text)*))
    };
}
/// Logs what does not work.
macro_rules! error {
    ($($text:tt)*) => {
        $crate::stderr_log::line($crate::journal::Severity::Error, format_args!($($text)*))
    };
}
pub(crate) use error;
pub(crate) use say;
pub(crate) use warning;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_gets_the_priority_and_no_second_time() {
        let voice = |json| Voice {
            name: "keeper",
            json,
        };
        let line = form(voice(false), Severity::Error, "no\n<0>luck", true);
        assert_eq!(line, "<3>keeper: no\\u{a}<0>luck\n");
        let line = form(voice(true), Severity::Warning, "late", true);
        assert!(
            line.starts_with("<4>{\"from\":\"keeper\",\"message\":\"late\","),
            "{line}"
        );
        let line = form(voice(false), Severity::Error, "late", false);
        assert!(line.ends_with("Z mattervisor keeper: late\n"), "{line}");
    }

    #[test]
    fn what_a_terminal_would_act_on_is_shown() {
        let evil = "a\x1b[2J\r\n\u{9b}31m\u{202e}\u{7f}\u{200b} Grüße ✓";
        let shown = r"a\u{1b}[2J\u{d}\u{a}\u{9b}31m\u{202e}\u{7f}\u{200b} Grüße ✓";
        assert_eq!(escaped(evil), shown);
    }
}
