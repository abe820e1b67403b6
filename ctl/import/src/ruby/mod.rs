//! Reads a gitlab.rb without running it: what it sets, and what a person has to look at.
//!
//! Owner: [`read`]. The parser is tree-sitter's; [`expression`] works out values, [`statement`]
//! follows assignments and conditions. What would need Ruby, the machine or another file becomes
//! [`Value::Unknown`] and says why; nothing is ever executed, and values, depths and texts have
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

/// Values and statements are followed to this depth.
const MAX_DEPTH: usize = 64;
/// More statements than this are no gitlab.rb.
const MAX_STATEMENTS: usize = 20_000;

/// One statement of the file.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Where, from 1.
    pub(crate) line: usize,
    /// As the report may show it.
    pub(crate) text: String,
    /// What.
    pub(crate) what: What,
}

/// What a statement does.
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
        /// Whether it counts is not known: it stands in a condition.
        maybe: bool,
    },
    /// The statement sets nothing; why that is no loss.
    Nothing(&'static str),
    /// The statement cannot be evaluated; why.
    Odd(String),
}

/// Everything that a file says, in its order.
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
    Ok(reader.said)
}

/// Follows a file from its top to its end.
struct Reader<'t> {
    source: &'t str,
    /// Bodies of `<<TEXT` by the byte where their beginning stands.
    heredocs: HashMap<usize, Node<'t>>,
    /// Variables of the file.
    locals: BTreeMap<String, Value>,
    /// Variables that are another name for a section (no keys), or for a hash or list of one.
    references: BTreeMap<String, (String, Vec<String>)>,
    /// Variables whose hash or list has another name too: who changes one of them changes both.
    shared: BTreeSet<String>,
    /// What was set so far, a hash for each section.
    sections: BTreeMap<String, Value>,
    said: Vec<Said>,
    /// Inside a condition that is not known: why.
    doubt: Option<String>,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn text(&self, node: Node<'_>) -> &'t str {
        &self.source[node.byte_range()]
    }

    fn say(&mut self, node: Node<'_>, target: &str, what: What) {
        if self.said.len() < MAX_STATEMENTS {
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

/// Beginnings and bodies come in the same order.
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
