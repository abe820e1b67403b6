//! The few methods of strings, lists and hashes that a gitlab.rb uses.

use tree_sitter::Node;

use super::{Reader, children, expression::environment, operators, value::Value};

impl Reader<'_> {
    /// `receiver.method(arguments)` as a value.
    pub(super) fn call(&mut self, node: Node<'_>) -> Value {
        let field = |name| node.child_by_field_name(name);
        let method = field("method").map_or("", |it| self.text(it)).to_owned();
        let arguments = field("arguments").map_or_else(Vec::new, children);
        if field("block").is_some() {
            return self.unknown(node);
        }
        let Some(receiver) = field("receiver") else {
            return self.function(node, &method, &arguments);
        };
        match self.text(receiver) {
            "ENV" => {
                let name = arguments.first().map(|it| self.value(*it));
                return environment(&name.unwrap_or(Value::Nil));
            }
            "File" | "IO" | "Dir" | "YAML" | "JSON" => {
                return Value::Unknown(
                    "it is read from another file, or worked out by Ruby".into(),
                );
            }
            _ => {}
        }
        let receiver = self.value(receiver);
        let values = self.arguments(node);
        if let Value::Unknown(why) = receiver {
            return Value::Unknown(why);
        }
        if let Some(Value::Unknown(why)) = values.iter().find(|it| matches!(it, Value::Unknown(_)))
        {
            return Value::Unknown(why.clone());
        }
        apply(&receiver, &method, &values).unwrap_or_else(|| self.unknown(node))
    }

    /// The values of a call's arguments. Pairs without braces form one hash, the last argument.
    pub(super) fn arguments(&mut self, call: Node<'_>) -> Vec<Value> {
        let list = call.child_by_field_name("arguments");
        let nodes = list.map_or_else(Vec::new, children);
        let bare = |it: &Node<'_>| matches!(it.kind(), "pair" | "hash_splat_argument");
        let first = nodes.iter().position(bare).unwrap_or(nodes.len());
        let (plain, pairs) = nodes.split_at(first);
        let mut values: Vec<Value> = plain.iter().map(|it| self.value(*it)).collect();
        if !pairs.is_empty() {
            values.push(self.pairs(pairs));
        }
        values
    }

    /// `Integer('8065')` and `String(1)`; the value of any other function is unknown.
    fn function(&mut self, node: Node<'_>, method: &str, arguments: &[Node<'_>]) -> Value {
        match (method, arguments) {
            ("Integer" | "String", [one]) => {
                let value = self.value(*one);
                let name = if method == "Integer" { "to_i" } else { "to_s" };
                apply(&value, name, &[]).unwrap_or_else(|| self.unknown(node))
            }
            _ => self.unknown(node),
        }
    }
}

/// The method's result; `None` if the method or its arguments are not among the known ones.
fn apply(receiver: &Value, method: &str, arguments: &[Value]) -> Option<Value> {
    match (method, arguments) {
        ("freeze" | "dup" | "clone" | "itself", []) => return Some(receiver.clone()),
        ("nil?", []) => return Some(Value::Bool(*receiver == Value::Nil)),
        ("to_json", []) => return receiver.json().map(Value::Text),
        ("to_s", []) => return receiver.text().map(Value::Text),
        ("to_sym", []) => return receiver.text().map(Value::Symbol),
        _ => {}
    }
    match receiver {
        Value::Text(text) => of_text(text, method, arguments),
        Value::List(list) => of_list(list, method, arguments),
        Value::Hash(_) => of_hash(receiver, method, arguments),
        Value::Int(it) if matches!(method, "to_i") => Some(Value::Int(*it)),
        Value::Nil if method == "to_i" => Some(Value::Int(0)),
        Value::Nil if method == "to_a" => Some(Value::List(Vec::new())),
        _ => None,
    }
}

fn of_text(text: &str, method: &str, arguments: &[Value]) -> Option<Value> {
    let owned = |text: &str| Some(Value::Text(text.to_owned()));
    match (method, arguments) {
        ("strip", []) => owned(text.trim()),
        ("lstrip", []) => owned(text.trim_start()),
        ("rstrip", []) => owned(text.trim_end()),
        ("chomp", []) => owned(text.strip_suffix('\n').unwrap_or(text)),
        ("upcase", []) => Some(Value::Text(text.to_uppercase())),
        ("downcase", []) => Some(Value::Text(text.to_lowercase())),
        ("empty?", []) => Some(Value::Bool(text.is_empty())),
        ("length" | "size", []) => {
            let count = i64::try_from(text.chars().count()).ok()?;
            Some(Value::Int(count))
        }
        ("to_i", []) => {
            let digits = text.trim().replace('_', "");
            let end = digits
                .char_indices()
                .find(|(at, it)| !(it.is_ascii_digit() || (*at == 0 && *it == '-')))
                .map_or(digits.len(), |(at, _)| at);
            Some(Value::Int(digits[..end].parse().unwrap_or(0)))
        }
        ("split", []) => Some(texts(text.split_whitespace())),
        ("split", [Value::Text(by)]) if by == " " => Some(texts(text.split_whitespace())),
        ("split", [Value::Text(by)]) if !by.is_empty() => {
            // Ruby drops empty parts at the end.
            let mut parts: Vec<&str> = text.split(by.as_str()).collect();
            while parts.last() == Some(&"") {
                parts.pop();
            }
            Some(texts(parts.into_iter()))
        }
        ("lines", []) => Some(texts(text.split_inclusive('\n'))),
        ("gsub", [Value::Text(from), Value::Text(to)]) => Some(Value::Text(text.replace(from, to))),
        ("sub", [Value::Text(from), Value::Text(to)]) => {
            Some(Value::Text(text.replacen(from, to, 1)))
        }
        ("include?", [Value::Text(part)]) => Some(Value::Bool(text.contains(part))),
        ("start_with?", [Value::Text(part)]) => Some(Value::Bool(text.starts_with(part))),
        ("end_with?", [Value::Text(part)]) => Some(Value::Bool(text.ends_with(part))),
        ("concat", [Value::Text(more)]) => Some(Value::Text(format!("{text}{more}"))),
        _ => None,
    }
}

fn texts<'a>(parts: impl Iterator<Item = &'a str>) -> Value {
    Value::List(parts.map(|it| Value::Text(it.to_owned())).collect())
}

fn of_list(list: &[Value], method: &str, arguments: &[Value]) -> Option<Value> {
    match (method, arguments) {
        ("join", [] | [Value::Text(_)]) => {
            let by = arguments.first().and_then(Value::text).unwrap_or_default();
            let parts: Option<Vec<String>> = list.iter().map(Value::text).collect();
            Some(Value::Text(parts?.join(&by)))
        }
        ("first", []) => Some(list.first().cloned().unwrap_or(Value::Nil)),
        ("last", []) => Some(list.last().cloned().unwrap_or(Value::Nil)),
        ("to_a", []) => Some(Value::List(list.to_vec())),
        ("empty?", []) => Some(Value::Bool(list.is_empty())),
        ("include?", [item]) => Some(Value::Bool(list.contains(item))),
        ("length" | "size" | "count", []) => Some(Value::Int(i64::try_from(list.len()).ok()?)),
        ("compact", []) => {
            let kept = list.iter().filter(|it| **it != Value::Nil);
            Some(Value::List(kept.cloned().collect()))
        }
        ("uniq", []) => {
            let mut kept: Vec<Value> = Vec::new();
            for item in list {
                if !kept.contains(item) {
                    kept.push(item.clone());
                }
            }
            Some(Value::List(kept))
        }
        ("push" | "append" | "concat", _) => {
            let mut list = list.to_vec();
            for item in arguments {
                match item {
                    Value::List(more) if method == "concat" => list.extend(more.clone()),
                    other => list.push(other.clone()),
                }
            }
            Some(Value::List(list))
        }
        _ => None,
    }
}

fn of_hash(hash: &Value, method: &str, arguments: &[Value]) -> Option<Value> {
    let Value::Hash(pairs) = hash else {
        return None;
    };
    match (method, arguments) {
        ("merge" | "merge!" | "update", _) => {
            let mut merged = hash.clone();
            for more in arguments {
                let Value::Hash(pairs) = more else {
                    return None;
                };
                for pair in pairs {
                    merged.put(pair.clone());
                }
            }
            Some(merged)
        }
        ("keys", []) => Some(Value::List(pairs.iter().map(|it| it.key.clone()).collect())),
        ("values", []) => Some(Value::List(
            pairs.iter().map(|it| it.value.clone()).collect(),
        )),
        ("empty?", []) => Some(Value::Bool(pairs.is_empty())),
        ("key?" | "has_key?" | "include?", [key]) => {
            Some(Value::Bool(pairs.iter().any(|it| it.key == *key)))
        }
        ("to_h", []) => Some(hash.clone()),
        ("fetch" | "dig", [key]) => Some(hash.get(&key.text()?)),
        _ => None,
    }
}

/// For a method that changes its receiver, the pure method that returns the changed value.
pub(super) fn changes(method: &str) -> Option<&'static str> {
    Some(match method {
        "merge!" | "update" => "merge",
        "push" | "append" => "push",
        "concat" => "concat",
        _ => return None,
    })
}

/// The receiver's value after a method of [`changes`], or after `<<`.
pub(super) fn changed(receiver: &Value, method: &str, arguments: &[Value]) -> Value {
    let doubt = arguments.iter().find_map(|it| match it {
        Value::Unknown(why) => Some(why.clone()),
        _ => None,
    });
    if let Some(why) = doubt {
        return Value::Unknown(why);
    }
    let changed = match (method, arguments) {
        ("<<", [one]) => operators::operate("<<", receiver.clone(), one.clone()),
        _ => apply(receiver, method, arguments),
    };
    changed.unwrap_or_else(|| Value::Unknown(format!("`{method}` cannot be followed here")))
}
