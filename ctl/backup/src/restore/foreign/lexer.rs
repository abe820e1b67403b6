//! Splits SQL into statements exactly as psql splits it.
//!
//! Invariant: text that is outside of quotes here is outside of quotes for psql, because there a
//! backslash begins one of psql's commands. The code therefore follows psql's own lexer; text whose
//! reading depends on settings that a dump could change, or on psql's version, is refused as
//! unclear.

/// Most tokens kept of a statement: a table has at most 1600 columns.
const TOKENS_MAX: usize = 8192;
/// Most bytes kept of a text literal.
const TEXT_BYTES_MAX: usize = 64;

/// A token of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A key word, a name or a number, in lower case.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    /// The beginning of a text literal.
    Text(String),
    /// Anything else.
    Symbol(u8),
}

impl Token {
    /// The token as a key word, if it can be one.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }

    /// The token as a name, if it can be one.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Word(name) | Self::Quoted(name) => Some(name),
            _ => None,
        }
    }
}

/// The next event in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// End of the line.
    Line,
    /// End of a statement, behind the semicolon.
    Statement,
    /// A backslash where psql would see a command, at this place.
    Command(usize),
    /// A comment up to the end of the line, from here on.
    Comment(usize),
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Plain,
    /// A block comment, at this depth of nesting.
    Block(u32),
    /// A text literal, with backslash escapes or without.
    Text {
        escapes: bool,
    },
    Quoted,
    /// A dollar-quoted text, with this tag.
    Dollar(Vec<u8>),
}

/// State of the lexer between two lines.
#[derive(Debug)]
pub(super) struct Lexer {
    state: State,
    parentheses: u32,
    tokens: Vec<Token>,
    /// The statement has more tokens than are kept.
    more: bool,
    value: Vec<u8>,
    /// A text literal with escapes has just ended: another literal behind a line end would continue
    /// it.
    joint: bool,
    /// psql does not support `\restrict`: refuse text whose reading depends on settings.
    strict: bool,
}

/// Description of an ambiguous text.
pub(super) type Unclear = &'static str;

impl Lexer {
    pub(super) fn new(strict: bool) -> Self {
        Self {
            state: State::Plain,
            parentheses: 0,
            tokens: Vec::new(),
            more: false,
            value: Vec::new(),
            joint: false,
            strict,
        }
    }

    /// The tokens of the statement so far, and whether they are complete.
    pub(super) fn tokens(&self) -> (&[Token], bool) {
        (&self.tokens, !self.more)
    }

    /// Whether the lexer is between two statements.
    pub(super) fn rests(&self) -> bool {
        self.state == State::Plain && self.tokens.is_empty()
    }

    /// Begins a new statement.
    pub(super) fn begin(&mut self) {
        self.tokens.clear();
        self.more = false;
        self.joint = false;
        self.parentheses = 0;
    }

    /// Continues in a line at `at`, which advances.
    pub(super) fn step(&mut self, line: &[u8], at: &mut usize) -> Result<Step, Unclear> {
        while *at < line.len() {
            match &self.state {
                State::Plain => {
                    if let Some(step) = self.plain(line, at)? {
                        return Ok(step);
                    }
                }
                State::Block(depth) => {
                    let depth = *depth;
                    self.block(depth, line, at);
                }
                State::Text { escapes } => {
                    let escapes = *escapes;
                    self.text(escapes, line, at)?;
                }
                State::Quoted => self.quoted(line, at),
                State::Dollar(_) => self.dollar(line, at),
            }
        }
        Ok(Step::Line)
    }

    fn push(&mut self, token: Token) {
        self.joint = false;
        if self.tokens.len() < TOKENS_MAX {
            self.tokens.push(token);
        } else {
            self.more = true;
        }
    }

    fn plain(&mut self, line: &[u8], at: &mut usize) -> Result<Option<Step>, Unclear> {
        let rest = &line[*at..];
        match rest {
            [b'-', b'-', ..] => {
                let from = *at;
                let ends = |it: &u8| matches!(it, b'\n' | b'\r');
                *at += rest.iter().position(ends).unwrap_or(rest.len());
                return Ok(Some(Step::Comment(from)));
            }
            [b'/', b'*', ..] => {
                *at += 2;
                self.state = State::Block(1);
            }
            [b'\\', ..] => return Ok(Some(Step::Command(*at))),
            [b'\'', ..] if self.joint => {
                return Err("has a text that goes on behind a line end");
            }
            [b'\'', ..] => self.open(State::Text { escapes: false }, 1, at),
            [b'"', ..] => self.open(State::Quoted, 1, at),
            [b'$', ..] => match tag(rest) {
                Some(length) => {
                    let tag = rest[..length].to_vec();
                    self.open(State::Dollar(tag), length, at);
                }
                None => self.symbol(b'$', at),
            },
            [b';', ..] if self.parentheses == 0 => {
                *at += 1;
                return Ok(Some(Step::Statement));
            }
            [first, ..] if first.is_ascii_digit() => self.number(rest, at)?,
            [first, ..] if begins_word(*first) => self.word(rest, at),
            [first, ..] if first.is_ascii_whitespace() || *first == 0x0b => *at += 1,
            [first, ..] => {
                match first {
                    b'(' => self.parentheses += 1,
                    b')' => self.parentheses = self.parentheses.saturating_sub(1),
                    _ => {}
                }
                self.symbol(*first, at);
            }
            [] => {}
        }
        Ok(None)
    }

    fn symbol(&mut self, symbol: u8, at: &mut usize) {
        *at += 1;
        self.push(Token::Symbol(symbol));
    }

    fn open(&mut self, state: State, length: usize, at: &mut usize) {
        *at += length;
        self.value.clear();
        self.state = state;
    }

    fn word(&mut self, rest: &[u8], at: &mut usize) {
        let goes_on = |it: &u8| begins_word(*it) || it.is_ascii_digit() || *it == b'$';
        let length = rest
            .iter()
            .position(|it| !goes_on(it))
            .unwrap_or(rest.len());
        let word = &rest[..length];
        if rest.get(length) == Some(&b'\'') && word.eq_ignore_ascii_case(b"e") {
            self.open(State::Text { escapes: true }, length + 1, at);
            return;
        }
        *at += length;
        let word = String::from_utf8_lossy(word).to_ascii_lowercase();
        self.push(Token::Word(word));
    }

    fn number(&mut self, rest: &[u8], at: &mut usize) -> Result<(), Unclear> {
        let goes_on = |it: &u8| begins_word(*it) || it.is_ascii_digit() || *it == b'.';
        let length = rest
            .iter()
            .position(|it| !goes_on(it))
            .unwrap_or(rest.len());
        if matches!(rest.get(length), Some(b'\'' | b'$')) {
            return Err("has a number that runs into a text");
        }
        *at += length;
        let word = String::from_utf8_lossy(&rest[..length]).into_owned();
        self.push(Token::Word(word));
        Ok(())
    }

    fn block(&mut self, depth: u32, line: &[u8], at: &mut usize) {
        let (length, depth) = match &line[*at..] {
            [b'*', b'/', ..] => (2, depth - 1),
            [b'/', b'*', ..] => (2, depth.saturating_add(1)),
            _ => (1, depth),
        };
        *at += length;
        self.state = match depth {
            0 => State::Plain,
            depth => State::Block(depth),
        };
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = TEXT_BYTES_MAX.saturating_sub(self.value.len());
        self.value
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn value(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.value)).into_owned()
    }

    fn text(&mut self, escapes: bool, line: &[u8], at: &mut usize) -> Result<(), Unclear> {
        let rest = &line[*at..];
        let special = |it: &u8| *it == b'\'' || (escapes && *it == b'\\');
        let length = rest.iter().position(special).unwrap_or(rest.len());
        self.keep(&rest[..length]);
        *at += length;
        match &line[*at..] {
            [] => {}
            [b'\\', ..] => *at = (*at + 2).min(line.len()),
            more => {
                let escaped = !escapes && *at > 0 && line[*at - 1] == b'\\';
                if escaped && self.strict {
                    return Err(
                        "has a backslash before a quote, which this psql could misread: install a psql that knows \\restrict",
                    );
                }
                if more.starts_with(b"''") {
                    self.keep(b"'");
                    *at += 2;
                    return Ok(());
                }
                *at += 1;
                self.state = State::Plain;
                let value = self.value();
                self.push(Token::Text(value));
                self.joint = escapes;
            }
        }
        Ok(())
    }

    fn quoted(&mut self, line: &[u8], at: &mut usize) {
        let rest = &line[*at..];
        let length = rest.iter().position(|it| *it == b'"').unwrap_or(rest.len());
        self.keep(&rest[..length]);
        *at += length;
        match &line[*at..] {
            [] => {}
            [b'"', b'"', ..] => {
                self.keep(b"\"");
                *at += 2;
            }
            _ => {
                *at += 1;
                self.state = State::Plain;
                let name = self.value();
                self.push(Token::Quoted(name));
            }
        }
    }

    fn dollar(&mut self, line: &[u8], at: &mut usize) {
        let State::Dollar(tag) = &self.state else {
            return;
        };
        let mut places = line[*at..].windows(tag.len());
        match places.position(|it| it == tag.as_slice()) {
            None => *at = line.len(),
            Some(place) => {
                *at += place + tag.len();
                self.state = State::Plain;
                self.push(Token::Text(String::new()));
            }
        }
    }
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// Length of the tag of a dollar-quoted text: `$$` or `$name$`.
fn tag(rest: &[u8]) -> Option<usize> {
    let goes_on = |it: u8| begins_word(it) || it.is_ascii_digit();
    let length = rest[1..].iter().position(|it| !goes_on(*it))?;
    let first = rest[1];
    (rest[1 + length] == b'$' && !first.is_ascii_digit()).then_some(length + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a script, one word for each.
    fn found(script: &str, strict: bool) -> String {
        let mut lexer = Lexer::new(strict);
        let mut all = Vec::new();
        for line in script.split_inclusive('\n') {
            let mut at = 0;
            loop {
                match lexer.step(line.as_bytes(), &mut at) {
                    Ok(Step::Line) => break,
                    Ok(Step::Comment(_)) => all.push("comment"),
                    Ok(Step::Statement) => {
                        all.push("statement");
                        lexer.begin();
                    }
                    Ok(Step::Command(_)) => {
                        all.push("command");
                        return all.join(" ");
                    }
                    Err(_) => {
                        all.push("unclear");
                        return all.join(" ");
                    }
                }
            }
        }
        if !lexer.rests() {
            all.push("open");
        }
        all.join(" ")
    }

    #[test]
    fn quotes_and_comments_hide_what_is_in_them_and_nothing_else() {
        for (script, wanted) in [
            ("SELECT 1; SELECT 2;\n", "statement statement"),
            ("SELECT 'a;\\! x''b';", "statement"),
            ("SELECT E'a\\'; \\! x';", "statement"),
            ("SELECT e'a\\\\'; \\! x", "statement command"),
            ("SELECT type'a\\'; \\! x", "statement command"),
            ("SELECT $$ ; \\! ' $$;", "statement"),
            ("SELECT $a$ $$ $b$a$ ;", "statement"),
            ("SELECT $a$ $b$ ;", "open"),
            ("SELECT a$b$c; \\! x", "statement command"),
            ("SELECT $1; \\! x", "statement command"),
            ("SELECT \"a;\"\"\\\";", "statement"),
            ("-- \\! x\nSELECT 1;", "comment statement"),
            ("--\r\\! x\n", "comment command"),
            ("/* \\! /* ; */ ; */ SELECT 1;", "statement"),
            ("/* */ \\! x", "command"),
            ("CREATE RULE x DO (a; b);", "statement"),
            ("SELECT 1 \\! x", "command"),
            ("\\! x", "command"),
            ("SELECT 'open\n;\n", "open"),
        ] {
            assert_eq!(found(script, false), wanted, "{script:?}");
        }
    }

    #[test]
    fn what_psql_could_read_in_another_way_is_unclear() {
        for script in [
            "SELECT E'a'\n'b\\' ' \\! x '",
            "SELECT E'a' -- more\n'b'",
            "SELECT 1e'a\\' \\! x'",
            "SELECT 1$a$",
        ] {
            assert!(found(script, false).ends_with("unclear"), "{script:?}");
        }
        // Only settings decide the reading here; without strictness, `\restrict` keeps psql from
        // commands.
        assert_eq!(found("SELECT 'a\\';", true), "unclear");
        assert_eq!(found("SELECT 'a\\';", false), "statement");
    }
}
