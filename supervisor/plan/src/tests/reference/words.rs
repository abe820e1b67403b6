//! Values and words in Markdown.

use crate::read::document::{Kind, Node};

/// Escapes text for a cell of a table.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

pub(super) fn code(text: &str) -> String {
    format!("`{}`", cell(text))
}

/// Capitalises the first letter.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|it| it.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), letters.as_str())
}

/// A value as in a service file; a template without its quotes.
pub(super) fn value(node: &Node) -> String {
    match &node.kind {
        Kind::Text(text) if crate::read::expression::is_template(text) => code(text),
        Kind::Text(text) => code(&format!("\"{text}\"")),
        Kind::Int(int) => code(&int.to_string()),
        Kind::Float(float) => code(&float.to_string()),
        Kind::Bool(bool) => code(&bool.to_string()),
        Kind::List(list) if list.is_empty() => "`[]`".to_owned(),
        Kind::List(list) => list.iter().map(value).collect::<Vec<_>>().join(", "),
        Kind::Table(table) if table.is_empty() => "`{}`".to_owned(),
        Kind::Table(table) => {
            let pairs = table
                .iter()
                .map(|(key, entry)| format!("{key} = {}", value(&entry.node).replace('`', "")));
            code(&format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", ")))
        }
        _ => String::new(),
    }
}
