//! The text of a statement for a report: one line, without literals that may be secret.

use tree_sitter::Node;

use crate::secrecy::{names_secret, value_secret};

/// Most characters of a line; a longer line is cut.
const MAX_CHARS: usize = 120;

/// The text of a statement. `target`: the key that the statement sets, if known.
pub(super) fn redacted(node: Node<'_>, source: &str, target: &str) -> String {
    let mut out = String::new();
    let mut done = node.start_byte();
    let left = node
        .child_by_field_name("left")
        .map_or("", |it| &source[it.byte_range()]);
    let written = left.split(['[', ']']).any(names_secret);
    for (start, end) in hidden(node, source, written || names_secret(target)) {
        if start >= done {
            out.push_str(&source[done..start]);
            out.push_str("'(secret)'");
            done = end;
        }
    }
    out.push_str(&source[done..node.end_byte()]);
    first_line(&out)
}

/// The first line, marked if there are more.
pub(super) fn first_line(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().trim_end();
    let cut: String = first.chars().take(MAX_CHARS).collect();
    if cut.len() < first.len() || lines.next().is_some() {
        format!("{cut} …")
    } else {
        cut
    }
}

/// Byte ranges of the literals to hide.
fn hidden(node: Node<'_>, source: &str, all: bool) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    let mut cursor = node.walk();
    loop {
        let here = cursor.node();
        let literal = matches!(
            here.kind(),
            "string" | "integer" | "float" | "heredoc_body" | "bare_string" | "subshell"
        );
        if literal && hide(here, source, all) {
            ranges.push((here.start_byte(), here.end_byte()));
        }
        if !literal && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return ranges;
            }
        }
    }
}

fn hide(literal: Node<'_>, source: &str, all: bool) -> bool {
    let text = source[literal.byte_range()].trim_matches(['"', '\'']);
    let Some(parent) = literal.parent() else {
        return all;
    };
    let is = |field: &str| parent.child_by_field_name(field) == Some(literal);
    match parent.kind() {
        // The name of a setting, or of a variable of the environment.
        "element_reference" => false,
        "pair" if is("key") => false,
        "pair" => {
            let key = parent.child_by_field_name("key");
            let key = key.map_or("", |it| &source[it.byte_range()]);
            value_secret(text) || all || names_secret(key)
        }
        "argument_list" if of_environment(parent, source) => false,
        _ => value_secret(text) || all,
    }
}

/// `ENV.fetch('NAME')`.
fn of_environment(arguments: Node<'_>, source: &str) -> bool {
    let call = arguments.parent();
    let receiver = call.and_then(|it| it.child_by_field_name("receiver"));
    receiver.is_some_and(|it| &source[it.byte_range()] == "ENV")
}
