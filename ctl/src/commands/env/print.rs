//! An environment as a table for people and as lines for a shell.

use std::fmt::Write as _;

use std::path::Path;

use client::render::{DIM, YELLOW, shown, styled, table};

use super::{Entry, Environment};
use crate::commands::check_config;

/// A line for each variable; notes, differences and problems stand below.
pub(super) fn table(environment: &Environment) -> String {
    let row = |entry: &Entry| {
        let value = match &entry.value {
            None => (DIM, plan::HIDDEN.to_owned()),
            Some(value) if value.is_empty() => (DIM, "\"\"".to_owned()),
            Some(value) => table::plain(shown(value)),
        };
        let source = shown(&source(entry)).into_owned();
        vec![table::plain(shown(&entry.name)), value, (DIM, source)]
    };
    let rows: Vec<_> = environment.variables.iter().map(row).collect();
    let mut text = table::columns(&["VARIABLE", "VALUE", "SOURCE"], &rows).join("\n");
    text.push('\n');
    if !environment.notes.is_empty() {
        text.push('\n');
    }
    for note in &environment.notes {
        let _ = writeln!(text, "{}", shown(note));
    }
    if !environment.differs.is_empty() {
        let differs = text::list(environment.differs.iter().map(ToString::to_string));
        let message = format!("The files differ from what runs: {}.", shown(&differs));
        let _ = writeln!(
            text,
            "{} ctl reconfigure applies them.",
            styled(YELLOW, &message)
        );
    }
    if !environment.findings.is_empty() {
        text.push('\n');
    }
    for problem in &environment.findings {
        check_config::write_problem(&mut text, problem);
    }
    text
}

/// The source of a variable, and the source's place in a file.
fn source(entry: &Entry) -> String {
    let mut text = entry.source.to_owned();
    match &entry.setting {
        Some(setting) if entry.source == "default" => text = format!("default of {setting}"),
        Some(setting) => {
            let _ = write!(text, " {setting}");
        }
        None => {}
    }
    if let (Some(file), Some(line)) = (&entry.file, entry.line)
        && entry.source != "default"
    {
        let name = Path::new(file)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let _ = write!(text, " ({name}:{line})");
    }
    text
}

/// `export NAME='value'`; a comment for a secret, or for a name that no shell takes.
pub(super) fn export(environment: &Environment) -> String {
    let mut text = String::new();
    for entry in &environment.variables {
        let Entry { name, value, .. } = entry;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let _ = match value {
            None => writeln!(text, "# {name} is secret: --reveal"),
            // Only the name: a comment would end with the first line of the value.
            Some(_) if !name.chars().all(word) => {
                writeln!(text, "# {name} is no name for a shell")
            }
            Some(value) => writeln!(text, "export {name}='{}'", value.replace('\'', r"'\''")),
        };
    }
    text
}
