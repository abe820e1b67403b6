//! Files as trees of values that know where they were written.
//!
//! Limits: [`MAX_FILE_BYTES`] a file. Only this module knows the TOML parser.

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use toml::de::{DeTable, DeValue};

use crate::{
    host::machine::{Host, MAX_FILE_BYTES},
    read::toml_hints,
    report::{
        place::{Place, SourceFile},
        problem::Report,
    },
};

/// Most syntax errors that are reported of one file, one of each line: further ones follow from
/// the first.
const MAX_SYNTAX_ERRORS: usize = 5;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) kind: Kind,
}

/// A table: by key, the place of the key and the value.
pub(crate) type Table = BTreeMap<String, Entry>;

/// One line of a table.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key_at: Place,
    pub(crate) node: Node,
}

/// The value itself.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Date,
    /// An integer beyond 64 bits.
    Huge,
    List(Vec<Node>),
    Table(Table),
}

impl Node {
    pub(crate) fn table(&self) -> Option<&Table> {
        if let Kind::Table(table) = &self.kind {
            Some(table)
        } else {
            None
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Kind::Text(text) = &self.kind {
            Some(text)
        } else {
            None
        }
    }

    /// The kind of the value with its article, for messages.
    pub(crate) fn what(&self) -> &'static str {
        match self.kind {
            Kind::Text(_) => "a string",
            Kind::Int(_) => "a number",
            Kind::Float(_) => "a number with a fraction",
            Kind::Bool(_) => "true or false",
            Kind::Date => "a date",
            Kind::Huge => "a number that is too large",
            Kind::List(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }
}

/// One parsed file.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// The file as a whole.
    pub(crate) whole: Place,
    pub(crate) table: Table,
    /// The file has syntax errors; `table` holds what could be read all the same.
    pub(crate) unreadable: bool,
}

impl Document {
    /// The document of a missing file.
    pub(crate) fn empty(path: &Path) -> Self {
        Self {
            whole: Place::whole(path),
            table: Table::new(),
            unreadable: false,
        }
    }
}

/// Reads a text file; problems are reported. `Ok(None)`: it is not there.
pub(crate) fn read_text(
    host: &dyn Host,
    path: &Path,
    report: &mut Report,
) -> Result<Option<String>, ()> {
    let whole = Place::whole(path);
    let bytes = match host.read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let dangling = error.kind() == io::ErrorKind::NotFound && host.is_link(path);
            if error.kind() == io::ErrorKind::NotFound && !dangling {
                return Ok(None);
            }
            let why = match error.kind() {
                io::ErrorKind::NotFound => "it is a link to a file that is not there".to_owned(),
                io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
                io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                _ => error.to_string(),
            };
            let denied = error.kind() == io::ErrorKind::PermissionDenied;
            let problem = report.error(&whole, "", format!("cannot read the file: {why}"));
            problem.denied = denied;
            problem.hint_some(denied.then(|| "only its owner and root may: sudo".to_owned()));
            return Err(());
        }
    };
    if bytes.len() > MAX_FILE_BYTES {
        report.error(&whole, "", "the file is larger than 1 MiB");
        return Err(());
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            report
                .error(&whole, "", "the file is UTF-16, not UTF-8")
                .hint("save it as UTF-8, or: iconv -f UTF-16 -t UTF-8");
            return;
        }
        let text = String::from_utf8_lossy(&bytes[..offset]).into_owned();
        let at = Place::in_text(path, &text, offset);
        let byte = bytes[offset];
        report
            .error(
                &at,
                "",
                format!("the file is not UTF-8 text: there is a byte 0x{byte:02X} in this line"),
            )
            .hint("save it as UTF-8; if it is Latin-1: iconv -f LATIN1 -t UTF-8");
    })
}

/// Reads and parses a TOML file. Absent: `None`.
pub(crate) fn read(host: &dyn Host, path: &Path, report: &mut Report) -> Option<Document> {
    match read_text(host, path, report) {
        Ok(Some(text)) => Some(parse(path, text, report)),
        Ok(None) => None,
        Err(()) => Some(Document {
            unreadable: true,
            ..Document::empty(path)
        }),
    }
}

fn parse(path: &Path, text: String, report: &mut Report) -> Document {
    let source = Arc::new(SourceFile::new(path, text));
    let whole = Place::of(Arc::clone(&source));
    let (table, errors) = DeTable::parse_recoverable(source.text());
    let mut lines = Vec::new();
    for error in &errors {
        let offset = error.span().map_or(source.text().len(), |span| span.start);
        report.unreadable(path, whole.at(offset).position().map(|(line, _)| line));
        let at = whole.at(offset);
        let line = at.position().map(|(line, _)| line);
        if lines.len() == MAX_SYNTAX_ERRORS {
            break;
        }
        if !lines.contains(&line) {
            lines.push(line);
            let said = toml_hints::explain(source.text(), offset, error.message());
            report
                .error(&at, "", format!("not TOML: {}", said.message))
                .hint_some(said.hint);
        }
    }
    let table = convert_table(table.get_ref(), &whole);
    Document {
        whole,
        table,
        unreadable: !errors.is_empty(),
    }
}

fn convert_table(table: &DeTable<'_>, whole: &Place) -> Table {
    table
        .iter()
        .map(|(key, value)| {
            let entry = Entry {
                key_at: whole.at(key.span().start),
                node: Node {
                    at: whole.at(value.span().start),
                    kind: convert(value.get_ref(), whole),
                },
            };
            (key.get_ref().clone().into_owned(), entry)
        })
        .collect()
}

fn convert(value: &DeValue<'_>, whole: &Place) -> Kind {
    match value {
        DeValue::String(text) => Kind::Text(text.clone().into_owned()),
        DeValue::Integer(int) => {
            let digits = int.as_str().replace('_', "");
            i64::from_str_radix(&digits, int.radix()).map_or(Kind::Huge, Kind::Int)
        }
        DeValue::Float(float) => {
            let digits = float.as_str().replace('_', "");
            digits.parse().map_or(Kind::Huge, Kind::Float)
        }
        DeValue::Boolean(bool) => Kind::Bool(*bool),
        DeValue::Datetime(_) => Kind::Date,
        DeValue::Array(list) => Kind::List(
            list.iter()
                .map(|v| Node {
                    at: whole.at(v.span().start),
                    kind: convert(v.get_ref(), whole),
                })
                .collect(),
        ),
        DeValue::Table(table) => Kind::Table(convert_table(table, whole)),
    }
}

/// Lays one table over another, key by key; lists are replaced as a whole.
pub(crate) fn merge(under: &mut Table, over: Table) {
    for (key, entry) in over {
        if let Some(below) = under.get_mut(&key)
            && let (Kind::Table(below), Kind::Table(_)) = (&mut below.node.kind, &entry.node.kind)
        {
            if let Kind::Table(above) = entry.node.kind {
                merge(below, above);
            }
            continue;
        }
        under.insert(key, entry);
    }
}
