//! `env_files`: files of variables as systemd's `EnvironmentFile=` has them.
//!
//! `NAME=value` a line; lines that begin with `#` or `;` are comments. `'…'` is literal and may
//! span lines; in `"…"` a backslash keeps `"`, `\`, `` ` `` and `$`; outside quotes a backslash
//! keeps any character, and one at the end of a line joins the next. Where systemd ignores a line
//! that makes no sense, this is an error.

use std::{io, path::Path};

use api::VariableSource;

use crate::{
    host::machine::MAX_FILE_BYTES,
    model::Variable,
    read::{fields::Fields, ident::env_name},
    report::place::Place,
    service::{
        env::written::{Environment, Written},
        reader::Reader,
    },
};

/// A mistake: its offset, what is wrong, and what to do.
type Mistake = (usize, String, Option<&'static str>);

/// Lays the variables of all `env_files` into an environment. A later file wins.
pub(crate) fn env_files(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    env: &mut Environment,
) {
    let Some(node) = fields.node("env_files") else {
        return;
    };
    for written in reader.list(node, "env_files").unwrap_or_default() {
        let (name, optional) = match written.strip_prefix('-') {
            Some(name) => (name, true),
            None => (written.as_str(), false),
        };
        if !name.starts_with('/') {
            let message = format!("must be absolute paths, not `{name}`");
            reader
                .report()
                .error(&node.at, "env_files", message)
                .hint("a `-` before a path means that the file may be missing");
            continue;
        }
        if reader.render {
            let path = Path::new(name);
            match reader.resolver.host.read(path) {
                Ok(bytes) => one_file(reader, path, bytes, env),
                Err(error) if optional && error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let why = match error.kind() {
                        io::ErrorKind::NotFound => "there is no such file".to_owned(),
                        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
                        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                        _ => error.to_string(),
                    };
                    let reason = format!("cannot read {name} of env_files: {why}");
                    reader.broken.get_or_insert(reason);
                }
            }
        }
    }
}

fn one_file(reader: &mut Reader<'_, '_>, path: &Path, bytes: Vec<u8>, env: &mut Environment) {
    if bytes.len() > MAX_FILE_BYTES {
        let message = "the file is larger than 1 MiB";
        reader
            .report()
            .error(&Place::whole(path), "env_files", message);
        return;
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
            let at = Place::in_text(path, &text, good);
            let message = "the file is not UTF-8 text";
            reader.report().error(&at, "env_files", message);
            return;
        }
    };
    let whole = Place::in_text(path, &text, 0);
    let mut parser = Parser {
        text: &text,
        at: 0,
        start: 0,
    };
    loop {
        match parser.next() {
            Ok(Some((name, value))) => {
                let variable = Variable {
                    value,
                    source: VariableSource::EnvFiles,
                    // People keep passwords in files of this kind.
                    secret: true,
                    private: false,
                };
                let written = Written {
                    at: whole.at(parser.start),
                    key: name.clone(),
                    setting: None,
                    given: true,
                };
                env.set(name, variable, written);
            }
            Ok(None) => return,
            Err((offset, message, hint)) => {
                reader
                    .report()
                    .error(&whole.at(offset), "env_files", message)
                    .hint_some(hint.map(str::to_owned));
                parser.skip_line();
            }
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    /// Where the last variable begins.
    start: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip_line(&mut self) {
        while self.take().is_some_and(|c| c != '\n') {}
    }

    /// The next variable; none: that was all. After a mistake the rest of its line is left over.
    fn next(&mut self) -> Result<Option<(String, String)>, Mistake> {
        loop {
            match self.peek() {
                None => return Ok(None),
                Some(c) if c.is_whitespace() => {
                    self.take();
                }
                Some('#' | ';') => self.skip_line(),
                Some(_) => break,
            }
        }
        let start = self.at;
        self.start = start;
        let line = self.text[start..].lines().next().unwrap_or_default();
        let Some((name, _)) = line.split_once('=') else {
            let message = "is not NAME=value".to_owned();
            return Err((
                start,
                message,
                Some("begin the line with # to make it a comment"),
            ));
        };
        self.at = start + name.len() + 1;
        let name = name.trim_end();
        if env_name(name).is_err() {
            let export = name.starts_with("export ");
            let hint = export.then_some("no shell reads the file: remove `export`");
            // The path may name any file: the message repeats nothing of its content.
            let message = "what stands before `=` is no name of an environment variable";
            return Err((start, message.to_owned(), hint));
        }
        let value = self.value()?;
        if value.contains('\0') {
            let message = "a variable cannot contain a NUL".to_owned();
            return Err((start, message, None));
        }
        Ok(Some((name.to_owned(), value)))
    }

    /// Up to the end of the line; what is not in quotes loses the blanks around it.
    fn value(&mut self) -> Result<String, Mistake> {
        let mut out = String::new();
        // How much of `out` must stay when blanks at its end are removed.
        let mut firm = 0;
        // At the start and behind quotes quotes count and blanks do not.
        let mut open = true;
        while let Some(next) = self.take() {
            match next {
                '\n' => break,
                '\'' | '"' if open => {
                    self.quoted(next, &mut out)?;
                    firm = out.len();
                    continue;
                }
                '\\' => {
                    match self.take() {
                        Some('\n') | None => {}
                        Some(kept) => out.push(kept),
                    }
                    firm = out.len();
                }
                blank if blank.is_whitespace() => {
                    if open {
                        continue;
                    }
                    out.push(blank);
                }
                other => {
                    out.push(other);
                    firm = out.len();
                }
            }
            open = false;
        }
        out.truncate(firm);
        Ok(out)
    }

    fn quoted(&mut self, quote: char, out: &mut String) -> Result<(), Mistake> {
        let start = self.at - 1;
        loop {
            match self.take() {
                Some(end) if end == quote => return Ok(()),
                Some('\\') if quote == '"' => match self.take() {
                    Some(kept @ ('"' | '\\' | '`' | '$')) => out.push(kept),
                    Some('\n') | None => {}
                    Some(other) => out.extend(['\\', other]),
                },
                Some(other) => out.push(other),
                None => {
                    let message = format!("the {quote} here is never closed");
                    return Err((start, message, None));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(String, String)> {
        let mut parser = Parser {
            text,
            at: 0,
            start: 0,
        };
        std::iter::from_fn(|| parser.next().unwrap()).collect()
    }

    fn value(text: &str) -> String {
        let mut found = all(&format!("A={text}\nLAST=1\n"));
        assert_eq!(
            found.pop(),
            Some(("LAST".to_owned(), "1".to_owned())),
            "{text}"
        );
        assert_eq!(found.len(), 1, "{text}");
        found.remove(0).1
    }

    #[test]
    fn values_are_read_as_systemd_reads_them() {
        for (text, wanted) in [
            ("b", "b"),
            ("", ""),
            ("  b c  ", "b c"),
            ("b # c", "b # c"),
            ("'b  '", "b  "),
            ("\" b\"", " b"),
            ("'it''s'", "its"),
            ("'a'  ", "a"),
            (r#""a\"b\\c\$d\x""#, r#"a"b\c$d\x"#),
            ("'a\nb'", "a\nb"),
            ("a\\\nb", "ab"),
            ("\"a\\\nb\"", "ab"),
            (r"a\ \b", "a b"),
            ("$HOME", "$HOME"),
            ("a=b=c", "a=b=c"),
            ("a'b", "a'b"),
            ("\r", ""),
        ] {
            assert_eq!(value(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn comments_and_blank_lines_are_nothing() {
        let text = "# one\n\n ; two\n  A = 1\nB=2 # kept\n#C=3";
        let found = all(text);
        assert_eq!(
            found,
            [("A".into(), "1".into()), ("B".into(), "2 # kept".into())]
        );
    }

    #[test]
    fn what_makes_no_sense_is_a_mistake() {
        for bad in [
            "word\n",
            "1A=b\n",
            "export A=b\n",
            "A='b\n",
            "A B=c\n",
            "=x\n",
        ] {
            let mut parser = Parser {
                text: bad,
                at: 0,
                start: 0,
            };
            assert!(parser.next().is_err(), "{bad:?}");
        }
    }
}
