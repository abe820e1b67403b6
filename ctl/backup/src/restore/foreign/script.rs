//! Passes a dump in SQL from a file to psql: judges each statement, passes the rows between them on
//! unchanged, and requires the end that `pg_dump` writes.
//!
//! Memory is bounded, whatever the length of the dump or of a row.

use std::{collections::BTreeMap, io::BufRead};

use client::render::shown;

use super::{
    fault::Fault,
    lexer::{Lexer, Step},
    statement::{Left, Verdict, judge},
};
use crate::{Error, postgres::Table};

/// Longest statement, in bytes. Rows of COPY do not count.
const STATEMENT_BYTES_MAX: usize = 16 << 20;
/// Bytes of a row examined at once.
const PIECE_BYTES: u64 = 64 << 10;
/// Bytes passed on at once.
const BATCH_BYTES: usize = 256 << 10;
/// Characters of a statement that an error shows.
const TOLD_CHARS: usize = 60;
/// Last line of a complete dump.
const COMPLETE: &str = "PostgreSQL database dump complete";

/// Content of a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// Version of the dumped server.
    pub(super) server: Option<String>,
    /// The version of `pg_dump`.
    pub(super) program: Option<String>,
    /// Bytes of SQL.
    pub(super) bytes: u64,
    /// Tables that the dump creates.
    pub(super) tables: Vec<String>,
    /// The tables that have rows, with their numbers of rows.
    pub(super) rows: Vec<Table>,
    /// Statements that are left out, by reason.
    pub(super) left: BTreeMap<Left, u64>,
}

/// Receives the statements and rows to execute.
pub(super) type Out<'o> = dyn FnMut(&[u8]) -> Result<(), Error> + 'o;

/// A dump being read.
pub(super) struct Script<'o, R> {
    input: R,
    line: u64,
    text: Vec<u8>,
    lexer: Lexer,
    statement: Vec<u8>,
    batch: Vec<u8>,
    contents: Contents,
    /// Major version of the server.
    major: u32,
    /// Key of the open `\restrict`.
    restricted: Option<String>,
    complete: bool,
    out: &'o mut Out<'o>,
}

impl<'o, R: BufRead> Script<'o, R> {
    /// Reads a dump for a server of this version. `strict`: psql knows no `\restrict`.
    pub(super) fn new(input: R, major: u32, strict: bool, out: &'o mut Out<'o>) -> Self {
        Self {
            input,
            line: 0,
            text: Vec::new(),
            lexer: Lexer::new(strict),
            statement: Vec::new(),
            batch: Vec::new(),
            contents: Contents::default(),
            major,
            restricted: None,
            complete: false,
            out,
        }
    }

    /// Reads the dump to its end.
    pub(super) fn read(mut self) -> Result<Contents, Error> {
        loop {
            let read = self.next(STATEMENT_BYTES_MAX as u64)?;
            if read == 0 {
                break;
            }
            self.line += 1;
            // The limit can cut a line within a word.
            if read == STATEMENT_BYTES_MAX {
                return Err(self.long());
            }
            let mut text = std::mem::take(&mut self.text);
            if self.line == 1 && text.starts_with(b"\xef\xbb\xbf") {
                text.drain(..3);
            }
            self.take(&text)?;
            self.text = text;
        }
        self.end()
    }

    /// Reads up to a line end, or so many bytes.
    fn next(&mut self, most: u64) -> Result<usize, Error> {
        self.text.clear();
        let mut input = std::io::Read::take(&mut self.input, most);
        let read = input.read_until(b'\n', &mut self.text)?;
        if self.text.contains(&0) {
            return Err(self.unclear("has a byte that no text has"));
        }
        self.contents.bytes += read as u64;
        Ok(read)
    }

    fn take(&mut self, text: &[u8]) -> Result<(), Error> {
        let (mut at, mut from) = (0, 0);
        loop {
            match self.lexer.step(text, &mut at) {
                Err(what) => return Err(self.unclear(what)),
                Ok(Step::Line) => break,
                Ok(Step::Comment(place)) => self.comment(&text[place..at])?,
                Ok(Step::Command(place)) => return self.command(&text[place..]),
                Ok(Step::Statement) => {
                    self.statement.extend_from_slice(&text[from..at]);
                    from = at;
                    if self.judge()? {
                        return self.rows(&text[at..]);
                    }
                }
            }
        }
        self.statement.extend_from_slice(&text[from..]);
        if self.statement.len() >= STATEMENT_BYTES_MAX {
            return Err(self.long());
        }
        // Blank text between statements is not kept for the next one.
        if self.lexer.rests() && self.statement.trim_ascii().is_empty() {
            self.leave();
        }
        Ok(())
    }

    fn comment(&mut self, text: &[u8]) -> Result<(), Error> {
        let text = String::from_utf8_lossy(text);
        let text = text.trim_start_matches('-').trim();
        let line = self.line;
        if text == COMPLETE && self.lexer.rests() {
            self.complete = true;
        } else if text == "PostgreSQL database cluster dump" {
            return Err(Fault::Databases { line }.into());
        } else if text.starts_with("MySQL dump") || text.starts_with("MariaDB dump") {
            return Err(Fault::MySql.into());
        }
        let of = |what: &str| text.strip_prefix(what).map(|it| shown(it).into_owned());
        let contents = &mut self.contents;
        contents.server = contents
            .server
            .take()
            .or_else(|| of("Dumped from database version "));
        contents.program = contents
            .program
            .take()
            .or_else(|| of("Dumped by pg_dump version "));
        Ok(())
    }

    /// Accepts the two commands of psql that a dump has, and passes neither on: the stream has its
    /// own.
    fn command(&mut self, text: &[u8]) -> Result<(), Error> {
        let words = String::from_utf8_lossy(text);
        let mut words = words.split_whitespace();
        let (name, key, more) = (words.next(), words.next(), words.next());
        let key = key.filter(|key| self.lexer.rests() && more.is_none() && is_key(key));
        let open = self.restricted.as_deref();
        match (name, key) {
            (Some("\\restrict"), Some(key)) if open.is_none() => {
                self.restricted = Some(key.to_owned());
            }
            (Some("\\unrestrict"), Some(_)) if open == key => self.restricted = None,
            (Some("\\connect" | "\\c"), _) => {
                return Err(Fault::Databases { line: self.line }.into());
            }
            _ => {
                let (line, text) = (self.line, told(text));
                return Err(Fault::Command { line, text }.into());
            }
        }
        self.statement.push(b'\n');
        Ok(())
    }

    /// Judges the statement that has ended. Answers whether rows follow.
    fn judge(&mut self) -> Result<bool, Error> {
        self.complete = false;
        let (tokens, all) = self.lexer.tokens();
        let verdict = judge(tokens, all, self.major);
        self.lexer.begin();
        match verdict {
            Verdict::Pass => self.pass()?,
            Verdict::Table(name) => {
                self.contents.tables.push(name);
                self.pass()?;
            }
            Verdict::Leave(why) => {
                *self.contents.left.entry(why).or_default() += 1;
                self.leave();
            }
            Verdict::Copy { schema, table } => {
                let rows = 0;
                self.contents.rows.push(Table {
                    schema,
                    table,
                    rows,
                });
                self.pass()?;
                return Ok(true);
            }
            Verdict::Databases => return Err(Fault::Databases { line: self.line }.into()),
            Verdict::Refuse => {
                let (line, text) = (self.line, told(&code(&self.statement)));
                return Err(Fault::Statement { line, text }.into());
            }
        }
        Ok(false)
    }

    fn pass(&mut self) -> Result<(), Error> {
        let mut statement = std::mem::take(&mut self.statement);
        let passed = self.send(&statement);
        statement.clear();
        self.statement = statement;
        passed
    }

    /// Replaces the statement by its line ends, so that psql counts the same lines.
    fn leave(&mut self) {
        let lines = self.statement.split(|it| *it == b'\n').count() - 1;
        self.statement.clear();
        self.batch.resize(self.batch.len() + lines, b'\n');
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.batch.extend_from_slice(bytes);
        if self.batch.len() < BATCH_BYTES {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Error> {
        let done = (self.out)(&self.batch);
        self.batch.clear();
        done
    }

    /// Passes on rows of COPY, up to the line that ends them.
    fn rows(&mut self, rest: &[u8]) -> Result<(), Error> {
        if rest != b"\n" && rest != b"\r\n" {
            return Err(self.unclear("has something behind COPY … FROM stdin;"));
        }
        self.send(rest)?;
        let mut begins = true;
        let mut rows = 0;
        loop {
            if self.next(PIECE_BYTES)? == 0 {
                return Err(self.cut("the end of a table's rows"));
            }
            let piece = std::mem::take(&mut self.text);
            let ends = piece.ends_with(b"\n");
            self.line += u64::from(ends);
            self.send(&piece)?;
            let last = begins && (piece == b"\\.\n" || piece == b"\\.\r\n");
            rows += u64::from(ends && !last);
            begins = ends;
            self.text = piece;
            if last {
                break;
            }
        }
        if let Some(table) = self.contents.rows.last_mut() {
            table.rows = rows;
        }
        Ok(())
    }

    fn end(mut self) -> Result<Contents, Error> {
        if !self.lexer.rests() {
            return Err(self.cut("the end of a statement"));
        }
        if !self.complete {
            return Err(self.cut("the line that pg_dump ends with"));
        }
        if self.restricted.is_some() {
            return Err(self.cut("the \\unrestrict that pg_dump ends with"));
        }
        self.flush()?;
        Ok(self.contents)
    }

    fn unclear(&self, what: &'static str) -> Error {
        let line = self.line;
        Fault::Unclear { line, what }.into()
    }

    fn long(&self) -> Error {
        let (line, max) = (self.line, STATEMENT_BYTES_MAX);
        Fault::Long { line, max }.into()
    }

    fn cut(&self, missing: &'static str) -> Error {
        let line = self.line;
        Fault::Cut { line, missing }.into()
    }
}

fn is_key(key: &str) -> bool {
    key.bytes().all(|it| it.is_ascii_alphanumeric())
}

/// The statement without the comments before it.
fn code(statement: &[u8]) -> Vec<u8> {
    let lines = statement.split(|it| *it == b'\n');
    let code = lines.skip_while(|line| line.starts_with(b"--") || line.trim_ascii().is_empty());
    code.collect::<Vec<_>>().join(&b' ')
}

/// The beginning of a text in one line, for an error.
fn told(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * TOLD_CHARS)]).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut told: String = words.join(" ").chars().take(TOLD_CHARS).collect();
    if told.len() < words.join(" ").len() {
        told.push('…');
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict Kk1\n\n\
        -- Dumped from database version 16.10\n-- Dumped by pg_dump version 16.10 (X)\n\n\
        SET transaction_timeout = 0;\nCREATE TABLE public.posts (id int, t text);\n\
        ALTER TABLE public.posts OWNER TO x;\n\n\
        COPY public.posts (id, t) FROM stdin;\n1\tSET transaction_timeout = 0;\n2\t\\\\! x\n\\.\n\n\n\
        --\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict Kk1\n\n";

    fn read(text: &str) -> Result<(Contents, String), String> {
        let mut passed = Vec::new();
        let mut out = |bytes: &[u8]| {
            passed.extend_from_slice(bytes);
            Ok(())
        };
        let script = Script::new(text.as_bytes(), 15, true, &mut out);
        let contents = script.read().map_err(|error| error.to_string())?;
        Ok((contents, String::from_utf8_lossy(&passed).into_owned()))
    }

    #[test]
    fn a_dump_passes_without_what_cannot_be_done() {
        let (contents, passed) = read(DUMP).expect("it is whole");
        assert_eq!(contents.server.as_deref(), Some("16.10"));
        assert_eq!(contents.program.as_deref(), Some("16.10 (X)"));
        assert_eq!(contents.tables, ["posts"]);
        assert_eq!(contents.rows[0].rows, 2);
        assert_eq!(contents.bytes, DUMP.len() as u64);
        assert_eq!(contents.left.len(), 2);
        // Rows stay unchanged, and each line keeps its number.
        assert!(!passed.contains("\nSET transaction_timeout"));
        assert!(passed.contains("1\tSET transaction_timeout = 0;\n2\t\\\\! x\n\\.\n"));
        assert!(!passed.contains("restrict") && !passed.contains("OWNER"));
        let line = |text: &str, what: &str| text.lines().position(|it| it.starts_with(what));
        assert_eq!(line(&passed, "COPY"), line(DUMP, "COPY"));
    }

    /// A dump that is cut anywhere is never accepted as complete.
    #[test]
    fn a_dump_is_whole_or_refused() {
        let end = DUMP.find("\n\\unrestrict Kk1").expect("it has one");
        let whole = end + "\n\\unrestrict Kk1".len();
        for length in 0..whole {
            let said = read(&DUMP[..length]);
            assert!(said.is_err(), "{length}: {:?}", &DUMP[..length]);
        }
        let without = DUMP
            .replace("\\unrestrict Kk1", "")
            .replace("\\restrict Kk1", "");
        assert!(read(&without).is_ok());
    }

    #[test]
    fn what_does_harm_is_refused_where_it_stands() {
        for (planted, wanted) in [
            ("\\! touch /tmp/x\n", "a command of psql's"),
            ("SELECT 1 \\! touch /tmp/x\n", "a command of psql's"),
            ("\\copy posts from program 'x'\n", "a command of psql's"),
            ("\\o |x\n", "a command of psql's"),
            ("\\unrestrict Kk1\n\\! x\n", "a command of psql's"),
            ("\\unrestrict Kk1 \\! x\n", "a command of psql's"),
            ("\\connect postgres\n", "pg_dumpall"),
            ("COPY posts FROM PROGRAM 'x';\n", "which no dump"),
            ("ALTER SYSTEM SET x = 1;\n", "which no dump"),
            ("COPY posts FROM stdin; \\! x\n", "behind COPY"),
            ("-- PostgreSQL database cluster dump\n", "pg_dumpall"),
            ("-- MySQL dump 10.13\n", "MySQL"),
        ] {
            let bad = DUMP.replacen("CREATE TABLE", &format!("{planted}CREATE TABLE"), 1);
            let said = read(&bad).expect_err(planted);
            assert!(said.contains(wanted), "{planted}: {said}");
            // In a row it is only a row.
            if planted.starts_with('\\') {
                let row = DUMP.replacen("1\tSET", &format!("{planted}1\tSET"), 1);
                assert!(read(&row).is_ok(), "{planted}");
            }
        }
    }
}
