//! Statements: assignments, settings at the top, conditions.

use tree_sitter::Node;

use super::{
    MAX_DEPTH, Reader, What, children, line, methods, operators,
    references::{OF_THE_FILE, Reference},
    value::{Pair, Value},
};

/// Functions that set nothing.
const QUIET: [&str; 8] = [
    "require",
    "require_relative",
    "puts",
    "print",
    "p",
    "pp",
    "warn",
    "printf",
];

impl Reader<'_> {
    /// Evaluates statements in order.
    pub(super) fn statements(&mut self, node: Node<'_>) {
        for child in children(node) {
            self.statement(child);
        }
    }

    fn statement(&mut self, node: Node<'_>) {
        if self.depth >= MAX_DEPTH {
            self.odd(node, "it is nested too deeply");
            return;
        }
        self.depth += 1;
        match node.kind() {
            "empty_statement" | "uninterpreted" | "nil" | "true" | "false" | "string" => {}
            "assignment" => {
                self.assignment(node);
            }
            "operator_assignment" => self.operator_assignment(node),
            "call" => self.call_statement(node),
            "binary" if self.operator(node) == "<<" => self.append(node),
            "if" | "unless" | "elsif" | "if_modifier" | "unless_modifier" => self.branch(node),
            "then" | "else" | "begin" | "parenthesized_statements" => self.statements(node),
            "identifier" if QUIET.contains(&self.text(node)) => {}
            _ => self.odd(node, "it is not a setting"),
        }
        self.depth -= 1;
    }

    fn operator(&self, node: Node<'_>) -> String {
        let operator = node.child_by_field_name("operator");
        operator.map_or("", |it| self.text(it)).to_owned()
    }

    /// `left = right`; returns the assigned value.
    pub(super) fn assignment(&mut self, node: Node<'_>) -> Value {
        let field = |name| node.child_by_field_name(name);
        let (Some(left), Some(right)) = (field("left"), field("right")) else {
            self.odd(node, "it cannot be followed");
            return Value::Nil;
        };
        let value = self.value(right);
        match self.refers(right, &value) {
            Some(of) if left.kind() == "identifier" => {
                self.name_again(node, self.text(left), of);
                return value;
            }
            // From here on the variable's hash or list is a part of a setting, too.
            Some(Reference::Variable(name)) => drop(self.shared.insert(name)),
            _ => {}
        }
        self.assign(node, left, value.clone(), false);
        value
    }

    fn assign(&mut self, node: Node<'_>, left: Node<'_>, value: Value, adds: bool) {
        match left.kind() {
            "identifier" | "constant" | "global_variable" => {
                let name = self.text(left).to_owned();
                if name.ends_with("external_url") || name == "roles" {
                    let why = format!(
                        "this sets a variable of Ruby, which GitLab ignored: `{name} 'VALUE'`, without `=`, would set {name}"
                    );
                    self.odd(node, why);
                    return;
                }
                let value = match &self.doubt {
                    Some(why) => Value::Unknown(why.clone()),
                    None => value,
                };
                self.references.remove(&name);
                self.shared.remove(&name);
                self.locals.insert(name.clone(), value);
                self.say(node, &name, What::Nothing(OF_THE_FILE));
            }
            "element_reference" => match self.setting(left) {
                Some((section, keys)) => self.record(node, &section, &keys, value, adds),
                None => self.assign_local(node, left, value),
            },
            _ => self.odd(node, "several things are set at once"),
        }
    }

    /// `hash['key'] = value` of a variable.
    fn assign_local(&mut self, node: Node<'_>, left: Node<'_>, value: Value) {
        let object = left.child_by_field_name("object");
        let index = children(left).into_iter().find(|it| Some(*it) != object);
        let name = object.map_or("", |it| self.text(it)).to_owned();
        let key = index.map_or(Value::Nil, |it| self.value(it));
        let line = line(node);
        let target = key.text();
        let followed = self.doubt.is_none() && !self.shared.contains(&name);
        match (self.locals.get_mut(&name), &target) {
            (Some(hash @ Value::Hash(_)), Some(target)) if followed => {
                hash.put(Pair { key, value, line });
                self.say(node, target, What::Nothing(OF_THE_FILE));
            }
            _ => {
                let why = "what it sets is known only when Ruby runs".to_owned();
                let target = target.unwrap_or(name);
                self.say(node, &target, What::Odd(why));
            }
        }
    }

    /// Records that a setting has this value from here on.
    pub(super) fn record(
        &mut self,
        node: Node<'_>,
        section: &str,
        keys: &[String],
        value: Value,
        adds: bool,
    ) {
        self.record_at(node, (section, keys), value, line(node), adds);
    }

    /// [`Self::record`] for a value in another line than the statement's first.
    pub(super) fn record_at(
        &mut self,
        node: Node<'_>,
        (section, keys): (&str, &[String]),
        value: Value,
        line: usize,
        adds: bool,
    ) {
        let Some((key, deeper)) = keys.split_first() else {
            return;
        };
        let value = match &self.doubt {
            Some(why) => Value::Unknown(why.clone()),
            None => value,
        };
        let whole = self
            .sections
            .entry(section.to_owned())
            .or_insert(Value::Nil);
        let old = whole.get(key);
        let value = if deeper.is_empty() {
            value
        } else {
            nested(old, deeper, value, line)
        };
        // In doubt the earlier value may still count.
        if self.doubt.is_none() {
            whole.put(Pair {
                key: Value::Text(key.clone()),
                value: value.clone(),
                line,
            });
        }
        let what = What::Set {
            section: section.to_owned(),
            key: key.clone(),
            value,
            adds: adds || !deeper.is_empty(),
            maybe: self.doubt.is_some(),
        };
        let target = keys.last().unwrap_or(key);
        self.say(node, target, what);
    }

    /// `left += right` and its like.
    fn operator_assignment(&mut self, node: Node<'_>) {
        let field = |name| node.child_by_field_name(name);
        let (Some(left), Some(right)) = (field("left"), field("right")) else {
            return self.odd(node, "it cannot be followed");
        };
        let operator = self.operator(node);
        let old = self.value(left);
        let new = match (operator.trim_end_matches('='), old.truth()) {
            ("||", Some(true)) | ("&&", Some(false)) => {
                let why = "what it sets has a value already";
                return self.say(node, "", What::Nothing(why));
            }
            ("||" | "&&", Some(_)) => self.value(right),
            ("||" | "&&", None) => old,
            (_, _) if old == Value::Nil => {
                Value::Unknown("it adds to what is not set in this file".to_owned())
            }
            (sign, _) => {
                let right = self.value(right);
                operators::operate(sign, old, right)
                    .unwrap_or_else(|| Value::Unknown("it cannot be worked out".to_owned()))
            }
        };
        self.assign(node, left, new, !operator.starts_with(['|', '&']));
    }

    /// `section['list'] << value`.
    fn append(&mut self, node: Node<'_>) {
        let field = |name| node.child_by_field_name(name);
        let (Some(left), Some(right)) = (field("left"), field("right")) else {
            return;
        };
        let more = [self.value(right)];
        self.grow(node, left, "<<", &more);
    }

    /// `external_url 'x'`, `section['hash'].merge!(…)`, and any other call.
    fn call_statement(&mut self, node: Node<'_>) {
        let field = |name| node.child_by_field_name(name);
        let method = field("method").map_or("", |it| self.text(it)).to_owned();
        let arguments = field("arguments").map_or_else(Vec::new, children);
        if field("block").is_some() {
            let why = "it runs a block, which only Ruby can: see what it sets";
            return self.odd(node, why);
        }
        let Some(receiver) = field("receiver") else {
            return self.top(node, &method, &arguments);
        };
        let Some(pure) = methods::changes(&method) else {
            return self.odd(node, "it is not a setting");
        };
        let more = self.arguments(node);
        self.grow(node, receiver, pure, &more);
    }

    /// `NAME VALUE`.
    fn top(&mut self, node: Node<'_>, method: &str, arguments: &[Node<'_>]) {
        if QUIET.contains(&method) {
            let why = "it sets nothing";
            return self.say(node, "", What::Nothing(why));
        }
        if method == "from_file" {
            let why = "it reads another file: import that too, or put its lines here";
            return self.odd(node, why);
        }
        let value = match arguments {
            [] => return self.odd(node, "it is not a setting"),
            [one] if one.kind() != "pair" => self.value(*one),
            [first, ..] if first.kind() == "pair" => {
                let list = node.child_by_field_name("arguments");
                list.map_or(Value::Nil, |it| self.hash(it))
            }
            many => {
                let mut list = Vec::new();
                for argument in many {
                    list.push(self.value(*argument));
                }
                Value::List(list)
            }
        };
        self.record(node, "", &[method.to_owned()], value, false);
    }

    /// `if` and `unless`, before statements or after one.
    fn branch(&mut self, node: Node<'_>) {
        let field = |name| node.child_by_field_name(name);
        let Some(condition) = field("condition") else {
            return self.odd(node, "it cannot be followed");
        };
        let condition = self.value(condition);
        let first = field("consequence").or_else(|| field("body"));
        let second = field("alternative");
        let turned = node.kind().starts_with("unless");
        if let Some(truth) = condition.truth() {
            let taken = if truth == turned { second } else { first };
            if let Some(taken) = taken {
                self.statement(taken);
            }
            return;
        }
        let why = condition.doubt().unwrap_or_default();
        let before = self.doubt.clone();
        self.doubt = Some(format!("whether this line counts is not known: {why}"));
        for branch in [first, second].into_iter().flatten() {
            self.statement(branch);
        }
        self.doubt = before;
    }
}

/// `old` with a new value at the path `keys`.
fn nested(old: Value, keys: &[String], value: Value, line: usize) -> Value {
    let Some((key, deeper)) = keys.split_first() else {
        return value;
    };
    if let Value::Unknown(_) = old {
        return old;
    }
    let mut hash = old;
    let inner = nested(hash.get(key), deeper, value, line);
    hash.put(Pair {
        key: Value::Text(key.clone()),
        value: inner,
        line,
    });
    hash
}
