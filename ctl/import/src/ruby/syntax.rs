//! Finds the first place where a file is not Ruby.

use tree_sitter::Node;

/// The first place that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// The mistake at that place.
    pub(crate) what: String,
}

/// Keywords, which cannot be names; the parser takes a lone keyword for a name.
const RESERVED: [&str; 9] = [
    "end", "else", "elsif", "then", "do", "when", "in", "ensure", "rescue",
];

/// The first mistake of a tree. The walk does not recurse: a tree may be as deep as its file is
/// long.
pub(super) fn first_error(root: Node<'_>, source: &str) -> Option<SyntaxError> {
    let mut cursor = root.walk();
    loop {
        let node = cursor.node();
        if let Some((place, what)) = mistake(node, source) {
            return Some(at(place, source, what));
        }
        let dive = node.has_error() || node.kind() == "program";
        if dive && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return None;
            }
        }
    }
}

/// The mistake of a node, and the node whose place the error names.
fn mistake<'t>(node: Node<'t>, source: &str) -> Option<(Node<'t>, String)> {
    if node.is_missing() {
        let ends = ["}", "]", ")", "\"", "'", "end"].contains(&node.kind());
        // The place of the opening token helps more than the end of the file.
        let open = node.parent().and_then(|it| it.child(0)).filter(|_| ends);
        return Some(match open {
            Some(open) => (
                open,
                format!("`{}` is not closed", &source[open.byte_range()]),
            ),
            None => (node, format!("{} is missing here", expected(node.kind()))),
        });
    }
    told(node, source)
}

fn told<'t>(node: Node<'t>, source: &str) -> Option<(Node<'t>, String)> {
    let text = &source[node.byte_range()];
    if node.kind() == "identifier" && RESERVED.contains(&text) {
        return Some((node, format!("`{text}` stands here alone")));
    }
    if !node.is_error() {
        return None;
    }
    if let Some(open) = unclosed(node) {
        let what = format!("`{}` is not closed", &source[open.byte_range()]);
        return Some((open, what));
    }
    Some((node, "this is not Ruby".to_owned()))
}

fn expected(kind: &str) -> String {
    if kind.chars().all(|it| it.is_ascii_lowercase() || it == '_') && kind.len() > 3 {
        "a value".to_owned()
    } else {
        format!("`{kind}`")
    }
}

/// The opening token or keyword that an error node does not close.
fn unclosed(node: Node<'_>) -> Option<Node<'_>> {
    const PAIRS: [(&str, &str); 4] = [("[", "]"), ("{", "}"), ("(", ")"), ("\"", "\"")];
    let mut cursor = node.walk();
    let kinds: Vec<Node<'_>> = node.children(&mut cursor).take(1000).collect();
    let count = |kind: &str| kinds.iter().filter(|it| it.kind() == kind).count();
    for (open, close) in PAIRS {
        let more = if open == close {
            count(open) % 2 == 1
        } else {
            count(open) > count(close)
        };
        if more {
            return kinds.into_iter().rev().find(|it| it.kind() == open);
        }
    }
    let block = kinds.into_iter().next();
    block.filter(|it| ["if", "unless", "case", "begin", "def"].contains(&it.kind()))
}

fn at(node: Node<'_>, source: &str, what: String) -> SyntaxError {
    let start = node.start_byte();
    let begin = source[..start].rfind('\n').map_or(0, |it| it + 1);
    SyntaxError {
        line: node.start_position().row + 1,
        column: source[begin..start].chars().count() + 1,
        what,
    }
}
