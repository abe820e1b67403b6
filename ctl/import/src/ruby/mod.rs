//! Reads a gitlab.rb without running it: the settings, and the statements that need a person.
//!
//! Owner: [`read`]. The parser is tree-sitter's; [`expression`] works out values, [`statement`]
//! follows assignments and conditions. A value that needs Ruby, the machine or another file becomes
//! [`Value::Unknown`], with the reason. Nothing is ever executed; values, depths and texts have
//! limits, so that no file can use up time or memory.

mod expression;
mod literal;
mod methods;
mod operators;
mod redact;
mod references;
mod statement;
mod strings;
mod syntax;
#[cfg(test)]
mod tests;
mod value;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tree_sitter::{Node, Parser};

pub(crate) use syntax::SyntaxError;
pub(crate) use value::{Pair, Value};

/// Greatest depth of values and statements that the reader follows.
const MAX_DEPTH: usize = 64;
/// Most statements of a file, far more than a gitlab.rb has. A longer file is refused: half of it
/// would be another configuration.
const MAX_STATEMENTS: usize = 5_000;

/// One statement of the file.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Line of the statement, from 1.
    pub(crate) line: usize,
    /// Text of the statement, as the report may show it.
    pub(crate) text: String,
    /// Effect of the statement.
    pub(crate) what: What,
}

/// Effect of a statement.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// `SECTION['KEY'] = VALUE`, or `KEY VALUE` with an empty section.
    Set {
        /// `mattermost`; empty for `external_url 'x'` and its like.
        section: String,
        /// `service_port`.
        key: String,
        /// The whole value that the key has from here on.
        value: Value,
        /// Whether the statement adds to the earlier value.
        adds: bool,
        /// Whether the statement may not count, since its condition is unknown.
        maybe: bool,
    },
    /// The statement sets nothing; why that is no loss.
    Nothing(&'static str),
    /// The statement cannot be evaluated; why.
    Odd(String),
}

/// All statements of a file, in order.
pub(crate) fn read(source: &str) -> Result<Vec<Said>, SyntaxError> {
    let mut parser = Parser::new();
    let ruby = tree_sitter_ruby::LANGUAGE.into();
    let unreadable = |what: &str| SyntaxError {
        line: 1,
        column: 1,
        what: what.to_owned(),
    };
    parser
        .set_language(&ruby)
        .map_err(|_| unreadable("the parser does not fit its grammar"))?;
    let tree = parser
        .parse(source, None)
        .ok_or_else(|| unreadable("the parser gave up"))?;
    let root = tree.root_node();
    if let Some(error) = syntax::first_error(root, source) {
        return Err(error);
    }
    let mut reader = Reader {
        source,
        heredocs: heredocs(root),
        locals: BTreeMap::new(),
        references: BTreeMap::new(),
        shared: BTreeSet::new(),
        sections: BTreeMap::new(),
        said: Vec::new(),
        doubt: None,
        depth: 0,
    };
    reader.statements(root);
    match reader.said.get(MAX_STATEMENTS) {
        Some(first_over) => Err(SyntaxError {
            line: first_over.line,
            column: 1,
            what: format!("more than {MAX_STATEMENTS} statements, which no gitlab.rb has"),
        }),
        None => Ok(reader.said),
    }
}

/// Evaluates a file from its top to its end.
struct Reader<'t> {
    source: &'t str,
    /// Bodies of `<<TEXT`, by the byte offset of the `<<`.
    heredocs: HashMap<usize, Node<'t>>,
    /// Variables of the file.
    locals: BTreeMap<String, Value>,
    /// Variables that are another name for a section (no keys), or for a hash or list of one.
    references: BTreeMap<String, (String, Vec<String>)>,
    /// Variables whose hash or list has a second name: a change by one name changes both.
    shared: BTreeSet<String>,
    /// Settings so far, as a hash for each section.
    sections: BTreeMap<String, Value>,
    said: Vec<Said>,
    /// Why the condition around the current statement is unknown, if so.
    doubt: Option<String>,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn text(&self, node: Node<'_>) -> &'t str {
        &self.source[node.byte_range()]
    }

    fn say(&mut self, node: Node<'_>, target: &str, what: What) {
        if self.said.len() <= MAX_STATEMENTS {
            self.said.push(Said {
                line: line(node),
                text: redact::redacted(node, self.source, target),
                what,
            });
        }
    }

    fn odd(&mut self, node: Node<'_>, why: impl Into<String>) {
        self.say(node, "", What::Odd(why.into()));
    }
}

fn line(node: Node<'_>) -> usize {
    node.start_position().row + 1
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    node.named_children(&mut node.walk())
        .filter(|it| !matches!(it.kind(), "comment" | "heredoc_body"))
        .collect()
}

/// Pairs each heredoc's beginning with its body: both come in the same order.
fn heredocs(root: Node<'_>) -> HashMap<usize, Node<'_>> {
    let (mut beginnings, mut bodies) = (Vec::new(), Vec::new());
    let mut cursor = root.walk();
    'tree: loop {
        match cursor.node().kind() {
            "heredoc_beginning" => beginnings.push(cursor.node().start_byte()),
            "heredoc_body" => bodies.push(cursor.node()),
            _ => {}
        }
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                break 'tree;
            }
        }
    }
    bodies.sort_by_key(Node::start_byte);
    beginnings.into_iter().zip(bodies).collect()
}
