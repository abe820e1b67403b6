//! `[patterns]` of a service file: parts of regular expressions by name.
//!
//! `(?&NAME)` in a `pattern` of a setting, or in another part, is replaced by the part of that
//! name, as in Perl's expressions. So a long grammar stays readable.
//!
//! Limits: [`PATTERN_BYTES_MAX`], [`NESTED_MAX`].

use crate::{
    read::document::{Document, Kind, Node, Table},
    report::{problem::Report, suggest::did_you_mean},
};

/// Longest pattern, in bytes, with all its parts in it.
const PATTERN_BYTES_MAX: usize = 64 << 10;
/// Deepest nesting of parts.
const NESTED_MAX: usize = 8;
const OPEN: &str = "(?&";

/// Puts the parts into the patterns of all settings of a service file.
pub(crate) fn expand(document: &mut Document, report: &mut Report) {
    let Some(entry) = document.table.get("patterns") else {
        return;
    };
    let Some(parts) = entry.node.table().cloned() else {
        let message = format!("must be a table of patterns, not {}", entry.node.what());
        report.error(&entry.node.at, "patterns", message);
        return;
    };
    for (name, entry) in &parts {
        if entry.node.text().is_none() {
            let message = format!("must be a string, not {}", entry.node.what());
            report.error(&entry.node.at, format!("patterns.{name}"), message);
        }
    }
    let mut of_settings = |node: &mut Node, prefix: &str| {
        for (name, setting) in tables(node) {
            if let Kind::Table(setting) = &mut setting.kind
                && let Some(pattern) = setting.get_mut("pattern")
            {
                let key = format!("{prefix}.{name}.pattern");
                put_in(&mut pattern.node, &key, &parts, report);
            }
        }
    };
    if let Some(settings) = document.table.get_mut("settings") {
        of_settings(&mut settings.node, "settings");
    }
    if let Some(sections) = document.table.get_mut("sections") {
        for (name, section) in tables(&mut sections.node) {
            of_settings(section, &format!("sections.{name}"));
        }
    }
}

/// The entries of a node, if the node is a table.
fn tables(node: &mut Node) -> impl Iterator<Item = (&String, &mut Node)> {
    let table = match &mut node.kind {
        Kind::Table(table) => Some(table),
        _ => None,
    };
    let all = table.into_iter().flatten();
    all.map(|(name, entry)| (name, &mut entry.node))
}

fn put_in(node: &mut Node, key: &str, parts: &Table, report: &mut Report) {
    let Kind::Text(text) = &mut node.kind else {
        return;
    };
    match whole(text, parts, NESTED_MAX) {
        Ok(whole) => *text = whole,
        Err(why) => {
            let problem = report.error(&node.at, key, why.message);
            problem.hint_some(why.hint);
            // The mistake is reported once: a pattern that matches everything keeps quiet about
            // values.
            "(?s).*".clone_into(text);
        }
    }
}

struct Wrong {
    message: String,
    hint: Option<String>,
}

impl Wrong {
    fn new(message: String) -> Self {
        let hint = None;
        Self { message, hint }
    }
}

/// A text with all parts in it; each is a group of its own.
fn whole(text: &str, parts: &Table, depth: usize) -> Result<String, Wrong> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((name, after)) = after.split_once(')') else {
            return Err(Wrong::new(format!("`{OPEN}` is not closed")));
        };
        let Some(entry) = parts.get(name) else {
            return Err(Wrong {
                message: format!("there is no `{name}` in [patterns]"),
                hint: did_you_mean(name, parts.keys().map(String::as_str)),
            });
        };
        // A part that is no string was reported above.
        let part = entry.node.text().unwrap_or_default();
        let Some(depth) = depth.checked_sub(1) else {
            let message =
                format!("`{name}` is more than {NESTED_MAX} parts deep, or within itself");
            return Err(Wrong::new(message));
        };
        out.push_str(before);
        out.push_str("(?:");
        out.push_str(&whole(part, parts, depth)?);
        out.push(')');
        if out.len() > PATTERN_BYTES_MAX {
            let message = format!("has more than {PATTERN_BYTES_MAX} bytes with all its parts");
            return Err(Wrong::new(message));
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
