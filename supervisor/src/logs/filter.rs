//! Which lines are wanted: from when to when, and with what in them.

use jiff::Timestamp;
use memchr::{memchr, memmem::Finder, memrchr};
use regex::bytes::{Regex, RegexBuilder};

use super::stamp::{Style, text_of};

/// A pattern may not be longer, in bytes.
const PATTERN_BYTES_MAX: usize = 4096;
/// What a pattern may need compiled, and its automaton while it is used; a search falls back to a
/// slower way beyond that.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A moment, as microseconds and as a stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(super) us: i64,
    pub(super) text: String,
}

/// The lines that are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Lines from this moment on.
    pub(super) since: Option<Moment>,
    /// And before that.
    pub(super) until: Option<Moment>,
    grep: Option<Grep>,
}

#[derive(Clone, Debug)]
struct Grep {
    regex: Regex,
    /// Every line that matches has this in it.
    literal: Option<Finder<'static>>,
    /// And every line that has it matches.
    plain: bool,
}

/// A filter's verdict on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The line is wanted.
    Wanted,
    /// The line is not wanted.
    Unwanted,
    /// Neither this line nor any after it is wanted.
    Over,
}

impl Moment {
    /// Reads RFC 3339.
    pub(super) fn parse(text: &str) -> Option<Moment> {
        let at: Timestamp = text.trim().parse().ok()?;
        Some(Moment::at(at))
    }

    pub(super) fn at(at: Timestamp) -> Moment {
        Moment {
            us: at.as_microsecond(),
            text: text::rfc3339_micros(at),
        }
    }
}

impl Filter {
    /// Moments in RFC 3339 and a regular expression. Says what is wrong with them.
    pub(crate) fn new(
        since: Option<&str>,
        until: Option<&str>,
        grep: Option<&str>,
        ignore_case: bool,
    ) -> Result<Filter, String> {
        let moment = |name: &str, text: Option<&str>| match text {
            None => Ok(None),
            Some(text) => Moment::parse(text)
                .map(Some)
                .ok_or_else(|| format!("{name} `{text}` is no moment in RFC 3339")),
        };
        Ok(Filter {
            since: moment("since", since)?,
            until: moment("until", until)?,
            grep: grep
                .map(|pattern| Grep::new(pattern, ignore_case))
                .transpose()?,
        })
    }

    /// As this filter, without limits of time.
    pub(super) fn whenever(&self) -> Filter {
        Filter {
            since: None,
            ..self.clone()
        }
    }

    /// Every line is wanted.
    pub(super) fn takes_all(&self) -> bool {
        self.since.is_none() && self.until.is_none() && self.grep.is_none()
    }

    /// Where in these bytes, which are whole lines, the first line begins that may be wanted for
    /// what is in it; none: no line is.
    pub(super) fn candidate(&self, lines: &[u8]) -> Option<usize> {
        let Some(literal) = self.grep.as_ref().and_then(|grep| grep.literal.as_ref()) else {
            return Some(0);
        };
        let at = literal.find(lines)?;
        Some(memrchr(b'\n', &lines[..at]).map_or(0, |end| end + 1))
    }

    /// `at` is the stamp of the line, or of the one before it that has one; empty if none has.
    pub(super) fn judge(&self, line: &[u8], at: &[u8], style: Style) -> Verdict {
        if !at.is_empty() {
            if let Some(until) = &self.until
                && at >= until.text.as_bytes()
            {
                return Verdict::Over;
            }
            if let Some(since) = &self.since
                && at < since.text.as_bytes()
            {
                return Verdict::Unwanted;
            }
        }
        match &self.grep {
            Some(grep) if !grep.takes(text_of(line, style)) => Verdict::Unwanted,
            _ => Verdict::Wanted,
        }
    }

    /// Lines in these whole lines that are wanted.
    pub(super) fn count(&self, mut lines: &[u8], style: Style) -> usize {
        let mut count = 0;
        let mut last = Vec::new();
        while let Some(begin) = self.candidate(lines) {
            let rest = &lines[begin..];
            if rest.is_empty() {
                break;
            }
            let end = memchr(b'\n', rest).unwrap_or(rest.len());
            let line = &rest[..end];
            if self.since.is_some() || self.until.is_some() {
                style.stamp_into(line, &mut last);
            }
            match self.judge(line, &last, style) {
                Verdict::Wanted => count += 1,
                Verdict::Unwanted => {}
                Verdict::Over => break,
            }
            lines = &rest[rest.len().min(end + 1)..];
        }
        count
    }
}

impl Grep {
    fn new(pattern: &str, ignore_case: bool) -> Result<Grep, String> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(format!(
                "the pattern is longer than {PATTERN_BYTES_MAX} bytes"
            ));
        }
        let build = |unicode: bool| {
            RegexBuilder::new(pattern)
                .unicode(unicode)
                .case_insensitive(ignore_case)
                .size_limit(REGEX_BYTES_MAX)
                .dfa_size_limit(REGEX_BYTES_MAX)
                .build()
        };
        // Without tables of Unicode `\w` is ASCII; classes of other letters need the other mode.
        let regex = build(false).or_else(|first| build(true).map_err(|_| first));
        let regex = regex.map_err(|error| {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default();
            let why = why.strip_prefix("error: ").unwrap_or(why);
            format!("`{pattern}` is no regular expression: {why}")
        })?;
        let (literal, plain) = if ignore_case {
            (String::new(), false)
        } else {
            literal(pattern)
        };
        Ok(Grep {
            regex,
            plain: plain && !literal.is_empty(),
            literal: (!literal.is_empty()).then(|| Finder::new(literal.as_bytes()).into_owned()),
        })
    }

    fn takes(&self, text: &[u8]) -> bool {
        match &self.literal {
            Some(literal) => {
                literal.find(text).is_some() && (self.plain || self.regex.is_match(text))
            }
            None => self.regex.is_match(text),
        }
    }
}

/// The longest run of characters outside groups that every match has in it, and if that is the
/// whole pattern. Empty where that is not plain to see.
fn literal(pattern: &str) -> (String, bool) {
    const META: &str = "\\^$.|?*+()[]{}";
    if !pattern.contains(|c| META.contains(c)) {
        return (pattern.to_owned(), true);
    }
    // Alternatives and flags reach beyond themselves.
    if pattern.contains('|') || pattern.contains("(?") {
        return (String::new(), false);
    }
    let (mut best, mut run, mut depth) = (String::new(), String::new(), 0_usize);
    let mut chars = pattern.chars().peekable();
    let mut end = |run: &mut String| {
        if run.len() > best.len() {
            best.clone_from(run);
        }
        run.clear();
    };
    while let Some(c) = chars.next() {
        let plain = match c {
            '\\' => match chars.next() {
                Some(escaped) if escaped.is_ascii_punctuation() && !"<>".contains(escaped) => {
                    Some(escaped)
                }
                // A class, an anchor, a code point: whatever it is, it may be followed by braces.
                _ => {
                    end(&mut run);
                    skip_braces(&mut chars);
                    None
                }
            },
            '[' => {
                end(&mut run);
                skip_class(&mut chars);
                None
            }
            '(' | ')' => {
                end(&mut run);
                depth = if c == '(' {
                    depth + 1
                } else {
                    depth.saturating_sub(1)
                };
                None
            }
            '*' | '?' | '{' => {
                // The character before it may be missing.
                run.pop();
                end(&mut run);
                if c == '{' {
                    chars.by_ref().find(|c| *c == '}');
                }
                None
            }
            '^' | '$' | '.' | '+' => {
                end(&mut run);
                None
            }
            other => Some(other),
        };
        if let Some(c) = plain
            && depth == 0
        {
            run.push(c);
        }
    }
    end(&mut run);
    (best, false)
}

fn skip_braces(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    if chars.peek() == Some(&'{') {
        chars.find(|c| *c == '}');
    }
}

/// To the end of a class whose `[` has been read; classes may be nested.
fn skip_class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let mut depth = 1;
    if chars.peek() == Some(&'^') {
        chars.next();
    }
    // A `]` that comes first is a member.
    if chars.peek() == Some(&']') {
        chars.next();
    }
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '[' => {
                depth += 1;
                if chars.peek() == Some(&'^') {
                    chars.next();
                }
                if chars.peek() == Some(&']') {
                    chars.next();
                }
            }
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(pattern: &str, lines: &str) -> usize {
        let filter = Filter::new(None, None, Some(pattern), false).unwrap();
        filter.count(lines.as_bytes(), Style::Ours)
    }

    #[test]
    fn what_every_match_has_in_it_is_found() {
        for (pattern, wanted, plain) in [
            ("error", "error", true),
            ("a.c", "a", false),
            (r"status=\d{3} user", "status=", false),
            (r"ab*cd", "cd", false),
            (r"ab?", "a", false),
            (r"colou?r", "colo", false),
            (r"x{0}yy", "yy", false),
            (r"ab+c", "ab", false),
            (r"(abcdef)?gh", "gh", false),
            ("(abc)*(def)", "", false),
            ("abc|def", "", false),
            ("(?i)abc", "", false),
            (r"^\[error\]$", "[error]", false),
            (r"[abc]def[^]x]gh", "def", false),
            (r"[[:alpha:]]end", "end", false),
            (r"\p{Lu}long\x{41}b", "long", false),
            (r"\bword\b", "word", false),
        ] {
            assert_eq!(literal(pattern), (wanted.to_owned(), plain), "{pattern}");
        }
    }

    #[test]
    fn patterns_match_the_text_and_not_the_stamp() {
        let lines = "2026-11-22T10:00:00.000000Z one 2027\n2026-11-22T10:00:01.000000Z two\n";
        assert_eq!(count("2026", lines), 0);
        assert_eq!(count("2027", lines), 1);
        assert_eq!(count("^one", lines), 1);
        assert_eq!(count("o$", lines), 1);
        assert_eq!(count("one.*two", lines), 0, "a line at a time");
        assert_eq!(count(r"\d+", lines), 1);
        assert_eq!(count("", lines), 2);
    }

    #[test]
    fn letters_beyond_ascii_and_other_bytes_are_taken_in() {
        let lines = b"2026-11-22T10:00:00.000000Z gr\xc3\xbc\xc3\x9fe\n2026-11-22T10:00:00.000000Z \xff\xfe x\n";
        for (pattern, wanted) in [
            ("grüße", 1),
            ("gr[üu]ße", 1),
            ("gr.+e", 1),
            ("x$", 1),
            ("^.. x", 1),
        ] {
            let filter = Filter::new(None, None, Some(pattern), false).unwrap();
            assert_eq!(filter.count(lines, Style::Ours), wanted, "{pattern}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |grep: &str| Filter::new(None, None, Some(grep), false).unwrap_err();
        assert!(wrong("(").contains("unclosed group"), "{}", wrong("("));
        assert!(wrong(&"x".repeat(5000)).contains("longer than"));
        assert!(wrong("(a{1000}){1000}").contains("no regular expression"));
        let since = Filter::new(Some("yesterday"), None, None, false).unwrap_err();
        assert!(since.contains("yesterday"), "{since}");
    }

    #[test]
    fn ranges_begin_at_since_and_end_before_until() {
        let lines = "2026-11-22T10:00:00.000000Z 0\nmore\n2026-11-22T10:00:01.000000Z 1\nmore\n2026-11-22T10:00:02.000000Z 2\n";
        let count = |since, until| {
            let filter = Filter::new(since, until, None, false).unwrap();
            filter.count(lines.as_bytes(), Style::Ours)
        };
        assert_eq!(count(Some("2026-11-22T10:00:01Z"), None), 3);
        assert_eq!(count(None, Some("2026-11-22T10:00:01Z")), 2);
        assert_eq!(
            count(
                Some("2026-11-22T11:00:01+01:00"),
                Some("2026-11-22T10:00:02Z")
            ),
            2
        );
    }
}
