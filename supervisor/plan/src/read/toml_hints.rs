//! What is wrong with a line that is not TOML, and what to write instead: the parser says what it
//! expected, people want to know what they did.
//!
//! Nothing of the file is repeated but a key, and that only where it looks like one and stands
//! before a `=`: the line may be the middle of a secret whose quotes are broken.

/// The message and the hint for one syntax error.
#[derive(Debug, PartialEq)]
pub(crate) struct Explained {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "every rule ends with it, and may have nothing to say"
)]
fn explained(message: impl Into<String>, hint: impl Into<String>) -> Option<Explained> {
    Some(Explained {
        message: message.into(),
        hint: Some(hint.into()),
    })
}

/// A longer word is no key, in bytes.
const KEY_MAX: usize = 80;

/// The line with the error, and the text around it.
struct Spot<'t> {
    text: &'t str,
    /// Number of the line, from 0.
    number: usize,
    line: &'t str,
    /// Before and behind the first `=`.
    key: &'t str,
    value: Option<&'t str>,
    /// The parser's message.
    parser: &'t str,
}

impl Spot<'_> {
    /// The key of the line, if it is surely one.
    fn sure_key(&self) -> Option<&str> {
        let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c);
        let sure = self.value.is_some() && (1..=KEY_MAX).contains(&self.key.len());
        (sure && self.key.chars().all(part)).then_some(self.key)
    }

    /// The key in quotes, for a sentence.
    fn named(&self) -> &str {
        self.sure_key().unwrap_or("the key")
    }
}

/// Explains a syntax error by the text at its place.
pub(crate) fn explain(text: &str, offset: usize, parser: &str) -> Explained {
    let before = text.get(..offset).unwrap_or(text);
    let mut number = before.matches('\n').count();
    // At the end of a file there is nothing to look at.
    if text
        .lines()
        .nth(number)
        .is_none_or(|line| line.trim().is_empty())
    {
        number = number.saturating_sub(1);
    }
    let line = text.lines().nth(number).unwrap_or_default().trim();
    let (key, value) = match line.split_once('=') {
        Some((key, value)) => (key.trim(), Some(value.trim())),
        None => (line, None),
    };
    let spot = Spot {
        text,
        number,
        line,
        key,
        value,
        parser,
    };
    let rules = [
        deep,
        merge,
        twice,
        characters,
        comment,
        unclosed_list,
        unclosed_string,
        escape,
        ruby_index,
        ruby_hash,
        ruby_call,
        colon,
        header,
        nothing,
        word,
        unquoted,
        no_key,
    ];
    let found = rules.iter().find_map(|rule| rule(&spot));
    found.unwrap_or_else(|| Explained {
        message: parser.lines().collect::<Vec<_>>().join(", "),
        hint: None,
    })
}

fn merge(it: &Spot<'_>) -> Option<Explained> {
    let marks = ["<<<<<<<", "=======", ">>>>>>>"];
    if !marks.iter().any(|mark| it.line.starts_with(mark)) {
        return None;
    }
    explained(
        "this is the mark of a merge conflict",
        "keep one of the two versions, and remove the lines <<<<<<<, ======= and >>>>>>>",
    )
}

/// The same key or header a second time.
fn twice(it: &Spot<'_>) -> Option<Explained> {
    if !it.parser.contains("duplicate key") {
        return None;
    }
    let head = |line: &str| -> String {
        let line = line.trim();
        let end = if line.starts_with('[') {
            line.find(']').map_or(line.len(), |end| end + 1)
        } else {
            line.find('=').unwrap_or(line.len())
        };
        line[..end].chars().filter(|c| !c.is_whitespace()).collect()
    };
    let name = head(it.line);
    let before = it.text.lines().take(it.number);
    let first = before.enumerate().find(|(_, line)| head(line) == name);
    let (what, rest) = if name.starts_with('[') {
        (
            format!("the header {name}"),
            "put all keys of it below one header",
        )
    } else if it.sure_key().is_some() {
        (format!("the key {name}"), "remove one of the two")
    } else {
        ("the key".to_owned(), "remove one of the two")
    };
    let place = first.map_or(String::new(), |(line, _)| {
        format!(", first in line {}", line + 1)
    });
    explained(format!("{what} is there twice{place}"), rest)
}

/// Characters that look like others, mostly pasted from a document.
fn characters(it: &Spot<'_>) -> Option<Explained> {
    if it.line.contains(|c: char| c.is_control() && c != '\t') {
        return explained(
            "there is a control character in this line",
            "remove it: `cat -v` shows it",
        );
    }
    let quotes = ['“', '”', '„', '‟', '«', '»', '‘', '’', '‚'];
    if it.value.is_some_and(|value| value.starts_with(quotes)) {
        return explained(
            "these quotes are typographic ones",
            "write the plain quote \" before and behind the string",
        );
    }
    let plain = it.line.split(['"', '\'']).next().unwrap_or_default();
    let namespace = |c: char| {
        c != ' ' && c != '\t' && (c.is_whitespace() || c == '\u{feff}' || c == '\u{200b}')
    };
    let odd = plain.chars().find(|c| namespace(*c))?;
    explained(
        format!(
            "there is a character that looks like a space (U+{:04X})",
            u32::from(odd)
        ),
        "type a plain space in its place",
    )
}

fn comment(it: &Spot<'_>) -> Option<Explained> {
    let marks = ["//", "--", ";", "/*", "%"];
    if !marks.iter().any(|mark| it.line.starts_with(mark)) {
        return None;
    }
    explained("this is not a comment in TOML", "comments begin with #")
}

/// `mattermost['uid'] = 1234`.
fn ruby_index(it: &Spot<'_>) -> Option<Explained> {
    let open = it.key.find("['").or_else(|| it.key.find("[\""))?;
    if open == 0 || !it.key[..open].chars().all(is_bare) {
        return None;
    }
    let name: String = it.key.replace("['", ".").replace("[\"", ".");
    let name: String = name.chars().filter(|c| is_bare(*c) || *c == '.').collect();
    let value = match it.value.unwrap_or_default() {
        "nil" => return nothing(it),
        word @ ("true" | "false") => word,
        _ => "…",
    };
    explained(
        format!("this is Ruby: {name} is written with brackets"),
        format!("write {name} = {value}; `ctl import` converts a whole file in Ruby's syntax"),
    )
}

/// `external_url 'https://…'`.
fn ruby_call(it: &Spot<'_>) -> Option<Explained> {
    let (name, rest) = it.line.split_once(char::is_whitespace)?;
    let quoted = rest.trim_start().starts_with(['"', '\'']);
    if !quoted || !name.chars().all(|c| is_bare(c) || c == '.') {
        return None;
    }
    explained(
        "there is no `=` between the key and its value",
        "write KEY = \"…\"",
    )
}

fn ruby_hash(it: &Spot<'_>) -> Option<Explained> {
    if !it.line.contains("=>") {
        return None;
    }
    explained(
        "`=>` is Ruby: in TOML a name and its value have `=` between them",
        "write { NAME = \"…\" }",
    )
}

/// `name: value`.
fn colon(it: &Spot<'_>) -> Option<Explained> {
    let (name, _) = it.line.split_once(':')?;
    if name.is_empty() || !name.chars().all(|c| is_bare(c) || c == '.') {
        return None;
    }
    explained(
        "there is a `:` behind the key, where TOML has `=`",
        "write KEY = \"…\"",
    )
}

fn header(it: &Spot<'_>) -> Option<Explained> {
    if !it.line.starts_with('[') || it.line.contains(']') {
        return None;
    }
    explained("the header is not closed", "write ] behind its name")
}

/// A list above that has no end; the parser notices it here.
fn unclosed_list(it: &Spot<'_>) -> Option<Explained> {
    if !it.parser.contains("array") || it.value.is_none() {
        return None;
    }
    // The last line above that opens more than it closes.
    let opens = |line: &str| line.matches('[').count() > line.matches(']').count();
    let above: Vec<&str> = it.text.lines().take(it.number).collect();
    let line = above.iter().rposition(|line| opens(line))?;
    explained(
        format!("the list that begins in line {} is not closed", line + 1),
        "write ] behind its last value",
    )
}

fn unclosed_string(it: &Spot<'_>) -> Option<Explained> {
    let value = it.value?;
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let several = value.starts_with("\"\"\"") || value.starts_with("'''");
    if several || value[1..].contains(quote) {
        return None;
    }
    explained(
        format!("the string of {} is not closed", it.named()),
        format!("write {quote} behind it"),
    )
}

fn escape(it: &Spot<'_>) -> Option<Explained> {
    if !it.parser.contains("escape") {
        return None;
    }
    explained(
        "a backslash in double quotes begins an escape, and there is none such",
        "write it twice, or put the string in single quotes, where it means itself",
    )
}

fn nothing(it: &Spot<'_>) -> Option<Explained> {
    if !matches!(value_of(it)?, "nil" | "null" | "None" | "undef" | "~") {
        return None;
    }
    explained(
        "TOML has no null",
        "remove the line: what is not there is not set",
    )
}

fn word(it: &Spot<'_>) -> Option<Explained> {
    let meant = match value_of(it)?.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => "true",
        "false" | "no" | "off" => "false",
        _ => return None,
    };
    explained("TOML knows true and false alone", format!("write {meant}"))
}

fn unquoted(it: &Spot<'_>) -> Option<Explained> {
    let value = value_of(it)?;
    if value.is_empty() {
        return explained(
            format!("{} has no value", it.named()),
            "write one behind `=`, or \"\" for an empty one",
        );
    }
    if value.starts_with(['"', '\'', '[', '{']) || value.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    explained(
        "a string must be in quotes",
        format!("write {} = \"…\"", it.sure_key().unwrap_or("KEY")),
    )
}

/// Brackets in brackets, by the thousand.
fn deep(it: &Spot<'_>) -> Option<Explained> {
    if !it.parser.contains("recurs") {
        return None;
    }
    explained(
        "tables or lists lie too deep in one another",
        "nothing that can be said here needs more than a few levels",
    )
}

fn no_key(it: &Spot<'_>) -> Option<Explained> {
    if it.value.is_some() {
        return None;
    }
    explained(
        "this line says nothing in TOML",
        "a line is KEY = VALUE, a [header] or a # comment",
    )
}

/// Text behind `=`, without a comment.
fn value_of<'t>(it: &Spot<'t>) -> Option<&'t str> {
    let value = it.value?;
    Some(value.split(" #").next().unwrap_or(value).trim())
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn no_secret_is_repeated() {
        for line in [
            "chat.secret = hush1234",
            "chat['secret'] = 1234",
            "chat['secret'] = 'hush1234'",
            "chat['password'] = hush1234",
            "secret 'hush1234'",
            "secret: hush1234",
            "secret = 'hush1234",
            "secret = \"hush1234\\q\"",
            "secret = “hush1234”",
        ] {
            let said = explain(line, 0, "duplicate nothing");
            let said = format!("{} {}", said.message, said.hint.unwrap_or_default());
            assert!(!said.contains("1234"), "{line}: {said}");
        }
    }

    #[test]
    fn what_is_not_recognised_is_in_the_words_of_the_parser() {
        let said = explain("a = 1.2.3\n", 4, "one\ntwo");
        assert_eq!((said.message.as_str(), said.hint), ("one, two", None));
    }
}
