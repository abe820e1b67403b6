//! Values of expressions.

use tree_sitter::Node;

use super::{
    MAX_DEPTH, Reader, children, line, literal,
    redact::first_line,
    value::{Pair, Value},
};

impl Reader<'_> {
    /// The value of an expression; assignments inside the expression take effect.
    pub(super) fn value(&mut self, node: Node<'_>) -> Value {
        if self.depth >= MAX_DEPTH {
            return Value::Unknown("it is nested too deeply".to_owned());
        }
        self.depth += 1;
        let value = self.evaluated(node).bounded();
        self.depth -= 1;
        value
    }

    fn evaluated(&mut self, node: Node<'_>) -> Value {
        match node.kind() {
            "string" => self.string(node),
            "chained_string" => self.chained(node),
            "heredoc_beginning" => self.heredoc(node),
            "character" => Value::Text(self.text(node).chars().skip(1).collect()),
            "simple_symbol" | "delimited_symbol" | "hash_key_symbol" => self.symbol(node),
            "string_array" | "symbol_array" => self.words(node),
            "integer" => literal::integer(self.text(node)),
            "float" => literal::float(self.text(node)),
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "nil" => Value::Nil,
            "array" | "right_assignment_list" => self.array(node),
            "hash" => self.hash(node),
            "unary" => self.unary(node),
            "binary" => self.binary(node),
            "conditional" | "if" | "unless" => self.chosen(node),
            "parenthesized_statements" | "then" | "else" | "begin" => self.last_of(node),
            "identifier" | "constant" => self.name(node),
            "element_reference" => self.element(node),
            "call" => self.call(node),
            "assignment" => self.assignment(node),
            "subshell" => Value::Unknown("it is what a command prints".to_owned()),
            _ => self.unknown(node),
        }
    }

    /// The unknown value of an expression that the reader does not follow.
    pub(super) fn unknown(&self, node: Node<'_>) -> Value {
        let text = first_line(self.text(node));
        let text: String = text.chars().take(40).collect();
        let text = if text.contains(['"', '\'']) {
            text.split(['"', '\'']).next().unwrap_or_default()
        } else {
            &text
        };
        Value::Unknown(format!(
            "`{}` is known only when Ruby runs",
            text.trim_end_matches(['(', ' '])
        ))
    }

    fn array(&mut self, node: Node<'_>) -> Value {
        let mut list = Vec::new();
        for item in children(node) {
            if item.kind() == "splat_argument" {
                match children(item).first().map(|it| self.value(*it)) {
                    Some(Value::List(more)) => list.extend(more),
                    _ => return self.unknown(item),
                }
            } else if item.kind() == "pair" {
                // `['a' => 1]` is a list of one hash.
                return Value::List(vec![self.hash(node)]);
            } else {
                list.push(self.value(item));
            }
        }
        Value::List(list)
    }

    /// `{…}`.
    pub(super) fn hash(&mut self, node: Node<'_>) -> Value {
        self.pairs(&children(node))
    }

    /// Pairs of `{…}`, or of the arguments of a call.
    pub(super) fn pairs(&mut self, items: &[Node<'_>]) -> Value {
        let mut hash = Value::Hash(Vec::new());
        for &item in items {
            match item.kind() {
                "pair" => {
                    let key = item.child_by_field_name("key");
                    let value = item.child_by_field_name("value");
                    let (Some(key), Some(value)) = (key, value) else {
                        return self.unknown(item);
                    };
                    let key = match self.value(key) {
                        Value::Unknown(why) => return Value::Unknown(why),
                        // The key of `"a": 1` is a symbol; GitLab's settings take a symbol as text.
                        known => known,
                    };
                    let value = self.value(value);
                    hash.put(Pair {
                        key,
                        value,
                        line: line(item),
                    });
                }
                "hash_splat_argument" => match children(item).first().map(|it| self.value(*it)) {
                    Some(Value::Hash(pairs)) => pairs.into_iter().for_each(|it| hash.put(it)),
                    _ => return self.unknown(item),
                },
                _ => return self.unknown(item),
            }
        }
        hash
    }

    fn last_of(&mut self, node: Node<'_>) -> Value {
        let mut last = Value::Nil;
        for child in children(node) {
            last = self.value(child);
        }
        last
    }

    /// `a ? b : c`, and `if` as a value.
    fn chosen(&mut self, node: Node<'_>) -> Value {
        let Some(condition) = node.child_by_field_name("condition") else {
            return self.unknown(node);
        };
        let condition = self.value(condition);
        let Some(truth) = condition.truth() else {
            return condition;
        };
        let first = truth != (node.kind() == "unless");
        let field = if first { "consequence" } else { "alternative" };
        match node.child_by_field_name(field) {
            Some(branch) if branch.kind() == "elsif" => self.chosen(branch),
            Some(branch) => self.value(branch),
            None => Value::Nil,
        }
    }

    /// A variable, a setting at the top, or a whole section.
    fn name(&mut self, node: Node<'_>) -> Value {
        let name = self.text(node);
        if let Some((section, keys)) = self.references.get(name) {
            return self.value_of(section, keys);
        }
        if let Some(value) = self.locals.get(name) {
            return value.clone();
        }
        if let Some(top) = self.sections.get("")
            && let value @ (Value::Text(_) | Value::List(_) | Value::Unknown(_)) = top.get(name)
        {
            return value;
        }
        if let Some(section) = self.sections.get(name) {
            return section.clone();
        }
        match name {
            "__FILE__" | "__dir__" => Value::Unknown("it depends on where the file is".to_owned()),
            _ if name.ends_with("external_url") => Value::Nil,
            _ => Value::Unknown(format!("`{name}` is not set in this file")),
        }
    }

    /// `a['b']`.
    fn element(&mut self, node: Node<'_>) -> Value {
        let Some(object) = node.child_by_field_name("object") else {
            return self.unknown(node);
        };
        let index = children(node).into_iter().find(|it| *it != object);
        let Some(index) = index else {
            return self.unknown(node);
        };
        let index = self.value(index);
        let root = self.text(object);
        if root == "ENV" {
            return environment(&index);
        }
        if root == "node" {
            return Value::Unknown("it is what Chef finds out about the machine".to_owned());
        }
        if let Some((section, keys)) = self.setting(node) {
            return self.value_of(&section, &keys);
        }
        match (self.value(object), index) {
            (Value::Unknown(why), _) | (_, Value::Unknown(why)) => Value::Unknown(why),
            (Value::List(list), Value::Int(at)) => {
                let at = if at < 0 {
                    at + i64::try_from(list.len()).unwrap_or(0)
                } else {
                    at
                };
                let at = usize::try_from(at).ok();
                at.and_then(|at| list.get(at).cloned())
                    .unwrap_or(Value::Nil)
            }
            (hash @ Value::Hash(_), key) => hash.get(&key.text().unwrap_or_default()),
            _ => self.unknown(node),
        }
    }

    /// The value of a setting, or of its section; `nil` if never set.
    pub(super) fn value_of(&self, section: &str, keys: &[String]) -> Value {
        let whole = self.sections.get(section).cloned().unwrap_or(Value::Nil);
        keys.iter().fold(whole, |value, key| match value {
            Value::Unknown(why) => Value::Unknown(why),
            known => known.get(key),
        })
    }

    /// Section and keys of `section['key']['more']`; `None` for another expression.
    pub(super) fn setting(&mut self, node: Node<'_>) -> Option<(String, Vec<String>)> {
        let mut keys = Vec::new();
        let mut here = node;
        while here.kind() == "element_reference" {
            if keys.len() >= MAX_DEPTH {
                return None;
            }
            let object = here.child_by_field_name("object")?;
            let index = children(here).into_iter().find(|it| *it != object)?;
            let (Value::Text(key) | Value::Symbol(key)) = self.value(index) else {
                return None;
            };
            keys.push(key);
            here = object;
        }
        keys.reverse();
        let root = self.text(here);
        if here.kind() == "constant" && root == "Gitlab" && keys.len() > 1 {
            let section = keys.remove(0);
            return Some((section, keys));
        }
        if let Some((section, before)) = self.references.get(root) {
            let keys = before.iter().cloned().chain(keys).collect();
            return Some((section.clone(), keys));
        }
        let section = here.kind() == "identifier" && !self.locals.contains_key(root);
        (section && !keys.is_empty() && root != "node").then(|| (root.to_owned(), keys))
    }
}

/// `ENV['X']` and `ENV.fetch('X')`.
pub(super) fn environment(name: &Value) -> Value {
    let name = name.text().unwrap_or_default();
    Value::Unknown(format!(
        "it comes from the variable {name} of the environment that GitLab's reconfigure runs in"
    ))
}
