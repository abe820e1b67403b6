//! `{{ reload_token }}`: what a program that has read its files as they are now answers, and one
//! that runs on with an older configuration does not.
//!
//! The plan has a blank in its place, so that two plans that differ in nothing else are equal. Each
//! preparation of a start or reload fills the blanks of the files on disk with a number that was
//! never used before; `[reload.confirm]` asks for the same.
//!
//! Limit: a blank is known by its shape alone, so a text that looks like one is taken for one.

use std::{borrow::Cow, fmt::Write as _};

use super::{ready::Ask, service::Service};

/// Stands in the plan, and in candidates, for a token that is not known yet.
pub const BLANK: &str = "reload-0000000000000000";
const PREFIX: &str = "reload-";
const DIGITS: usize = 16;

/// The token of this number.
pub fn token(number: u64) -> String {
    format!("{PREFIX}{number:0DIGITS$x}")
}

/// The text with this token in place of its tokens and blanks.
pub fn fill<'t>(text: &'t str, token: &str) -> Cow<'t, str> {
    if !has_token(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for at in places(text) {
        let _ = write!(out, "{}{token}", &text[done..at]);
        done = at + BLANK.len();
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// The text with blanks for its tokens, as the plan has it.
pub fn blank(text: &str) -> Cow<'_, str> {
    fill(text, BLANK)
}

/// Whether a text has a token, filled in or blank.
pub fn has_token(text: &str) -> bool {
    places(text).next().is_some()
}

/// Where tokens begin, in bytes. Each is as long as [`BLANK`].
pub fn places(text: &str) -> impl Iterator<Item = usize> {
    let hex = |c: &u8| c.is_ascii_digit() || (b'a'..=b'f').contains(c);
    let begins = text.match_indices(PREFIX).map(|(start, _)| start);
    begins.filter(move |start| {
        let digits = text.as_bytes()[start + PREFIX.len()..].iter();
        digits.take(DIGITS).take_while(|c| hex(c)).count() == DIGITS
    })
}

impl Service {
    /// Whether a file of it has a reload token.
    pub fn has_reload_token(&self) -> bool {
        self.files.iter().any(|file| has_token(&file.content))
    }
}

impl Ask {
    /// The question with this token in it.
    #[must_use]
    pub fn filled(&self, token: &str) -> Self {
        let filled = |text: &String| fill(text, token).into_owned();
        match self {
            Self::Http {
                url,
                socket,
                status,
                body,
            } => Self::Http {
                url: filled(url),
                socket: socket.clone(),
                status: status.clone(),
                body: body.as_ref().map(filled),
            },
            Self::Exec(argv) => Self::Exec(argv.iter().map(filled).collect()),
            Self::Tcp(_) | Self::Unix(_) => self.clone(),
        }
    }

    /// Whether the question has a token.
    pub(crate) fn has_token(&self) -> bool {
        match self {
            Self::Http { url, body, .. } => {
                has_token(url) || body.as_deref().is_some_and(has_token)
            }
            Self::Exec(argv) => argv.iter().any(|it| has_token(it)),
            Self::Tcp(_) | Self::Unix(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_filled_in_and_left_out_again() {
        let plan = format!("a {BLANK};\n# reload-00 is none\nb '{BLANK}'");
        let on_disk = fill(&plan, &token(0x2a));
        let wanted = "a reload-000000000000002a;\n# reload-00 is none\nb 'reload-000000000000002a'";
        assert_eq!(on_disk, wanted);
        assert_eq!(
            fill(&on_disk, &token(u64::MAX))
                .matches("reload-ffffffffffffffff")
                .count(),
            2
        );
        assert_eq!(blank(&on_disk), plan);
    }

    #[test]
    fn a_text_without_a_token_stays_as_it_is() {
        for text in [
            "",
            "reload-",
            "reload-0123456789abcde",
            "reload-0123456789abcdeX",
            "é reload-é",
        ] {
            assert!(!has_token(text), "{text}");
            assert!(matches!(fill(text, "no"), Cow::Borrowed(same) if same == text));
        }
    }
}
