//! Strings of all kinds.

use tree_sitter::Node;

use super::{Reader, children, literal, value::Value};

impl Reader<'_> {
    /// `'…'`, `"…"`, `%q(…)`, `%Q(…)`.
    pub(super) fn string(&mut self, node: Node<'_>) -> Value {
        let quote = |at: Option<Node<'_>>| at.map_or("", |it| self.text(it));
        let last = u32::try_from(node.child_count().saturating_sub(1)).unwrap_or(0);
        let (open, close) = (quote(node.child(0)), quote(node.child(last)));
        if open.starts_with('\'') || open.starts_with("%q") || open.starts_with("%s") {
            let raw = children(node).first().map_or("", |it| self.text(*it));
            let open = open.chars().last().unwrap_or('\'');
            let close = close.chars().last().unwrap_or('\'');
            return Value::Text(literal::single_quoted(raw, open, close));
        }
        self.joined(node, false)
    }

    /// The joined parts of a string in double quotes, or of a heredoc.
    fn joined(&mut self, node: Node<'_>, squiggly: bool) -> Value {
        match self.parts(node) {
            Ok(mut parts) => {
                if node.kind() == "heredoc_body" {
                    // The line end after `<<TEXT` comes first, and is no part of the text.
                    if let Some((first, true)) = parts.first_mut()
                        && first.first() == Some(&b'\n')
                    {
                        first.remove(0);
                    }
                    close_heredoc(&mut parts);
                    if squiggly {
                        literal::dedent(&mut parts);
                    }
                }
                text_of(parts)
            }
            Err(why) => Value::Unknown(why),
        }
    }

    /// The parts of a string; `true` marks literal text of the file.
    fn parts(&mut self, node: Node<'_>) -> Result<Vec<(Vec<u8>, bool)>, String> {
        let mut parts = Vec::new();
        for part in children(node) {
            match part.kind() {
                "interpolation" => {
                    let inner = children(part).last().map(|it| self.value(*it));
                    let inner = inner.unwrap_or(Value::Nil);
                    let text = match &inner {
                        Value::Unknown(why) => return Err(why.clone()),
                        other => other.text().or_else(|| other.json()),
                    };
                    parts.push((text.unwrap_or_default().into_bytes(), false));
                }
                "escape_sequence" => {
                    let mut bytes = Vec::new();
                    literal::escape(self.text(part), &mut bytes);
                    parts.push((bytes, false));
                }
                "heredoc_end" => {}
                _ => parts.push((self.text(part).as_bytes().to_vec(), true)),
            }
        }
        Ok(parts)
    }

    /// `<<TEXT`, `<<-TEXT`, `<<~TEXT`, with or without quotes around the mark.
    pub(super) fn heredoc(&mut self, beginning: Node<'_>) -> Value {
        let Some(body) = self.heredocs.get(&beginning.start_byte()).copied() else {
            return Value::Unknown("its text was not found".to_owned());
        };
        let mark = self.text(beginning);
        let squiggly = mark.starts_with("<<~");
        if !mark.contains('\'') {
            return self.joined(body, squiggly);
        }
        let raw = children(body);
        let raw: String = raw
            .iter()
            .filter(|it| it.kind() != "heredoc_end")
            .map(|it| self.text(*it))
            .collect();
        let raw = raw.strip_prefix('\n').unwrap_or(&raw);
        let mut parts = vec![(raw.as_bytes().to_vec(), true)];
        close_heredoc(&mut parts);
        if squiggly {
            literal::dedent(&mut parts);
        }
        text_of(parts)
    }

    /// `'a' 'b'`.
    pub(super) fn chained(&mut self, node: Node<'_>) -> Value {
        let mut out = String::new();
        for part in children(node) {
            match self.string(part) {
                Value::Text(text) => out.push_str(&text),
                other => return other,
            }
        }
        Value::Text(out).bounded()
    }

    /// `%w[…]` and `%i[…]`.
    pub(super) fn words(&mut self, node: Node<'_>) -> Value {
        let open = node.child(0).map_or("", |it| self.text(it));
        let plain = open.starts_with("%w") || open.starts_with("%i");
        let words = children(node).into_iter().map(|it| {
            if plain {
                return Value::Text(literal::word(self.text(it)));
            }
            self.joined(it, false)
        });
        let words: Vec<Value> = words.collect();
        if node.kind() == "string_array" {
            return Value::List(words);
        }
        let symbol = |word| match word {
            Value::Text(text) => Value::Symbol(text),
            other => other,
        };
        Value::List(words.into_iter().map(symbol).collect())
    }

    /// `:name`, `:"name"`, `name:`.
    pub(super) fn symbol(&mut self, node: Node<'_>) -> Value {
        let text = self.text(node);
        match node.kind() {
            "simple_symbol" => Value::Symbol(text.trim_start_matches(':').to_owned()),
            "hash_key_symbol" => Value::Symbol(text.to_owned()),
            _ => match self.joined(node, false) {
                Value::Text(text) => Value::Symbol(text),
                other => other,
            },
        }
    }
}

/// Removes blanks before the end mark, since they belong to the mark's line.
fn close_heredoc(parts: &mut [(Vec<u8>, bool)]) {
    if let Some((last, true)) = parts.last_mut() {
        let end = last
            .iter()
            .rposition(|it| !matches!(it, b' ' | b'\t'))
            .map_or(0, |it| it + 1);
        if end == 0 || last.get(end - 1) == Some(&b'\n') {
            last.truncate(end);
        }
    }
}

fn text_of(parts: Vec<(Vec<u8>, bool)>) -> Value {
    let bytes: Vec<u8> = parts.into_iter().flat_map(|(bytes, _)| bytes).collect();
    String::from_utf8(bytes)
        .map_or_else(
            |_| Value::Unknown("it is not UTF-8".to_owned()),
            Value::Text,
        )
        .bounded()
}
