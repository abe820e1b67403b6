//! Second names. Ruby copies no hash and no list: `mm = mattermost` makes `mm['x'] = 1` a setting.
//!
//! Owner: `Reader::references` and `Reader::shared`. The reader follows a variable that names a
//! section, or a hash or list in a section. If two variables of the file name the same hash or
//! list, a statement that changes the hash or list by one of the names needs a person.

use tree_sitter::Node;

use super::{Reader, What, methods, value::Value};
use crate::gitlab;

/// Why an assignment to a variable of the file needs no line in the site file.
pub(super) const OF_THE_FILE: &str = "a variable of the file: its value is where it is used";

/// The object that a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// A setting, or its whole section where there are no keys.
    Setting(String, Vec<String>),
    /// A variable of the file whose value is a hash or a list.
    Variable(String),
}

impl Reader<'_> {
    /// The object of a name, if a change by this name is visible by another name as well.
    pub(super) fn named(&self, name: &str) -> Option<Reference> {
        if let Some((section, keys)) = self.references.get(name) {
            return Some(Reference::Setting(section.clone(), keys.clone()));
        }
        match self.locals.get(name) {
            Some(Value::Hash(_) | Value::List(_)) => Some(Reference::Variable(name.to_owned())),
            Some(_) => None,
            None => gitlab::known()
                .any(|it| it == name)
                .then(|| Reference::Setting(name.to_owned(), Vec::new())),
        }
    }

    /// The existing name of the value on the right side of an assignment.
    pub(super) fn refers(&mut self, right: Node<'_>, value: &Value) -> Option<Reference> {
        match right.kind() {
            "identifier" | "constant" | "global_variable" => self.named(self.text(right)),
            "element_reference" if matches!(value, Value::Hash(_) | Value::List(_)) => {
                let (section, keys) = self.setting(right)?;
                Some(Reference::Setting(section, keys))
            }
            _ => None,
        }
    }

    /// `name = …`, where the value has a name already.
    pub(super) fn name_again(&mut self, node: Node<'_>, name: &str, of: Reference) {
        if self.doubt.is_some() {
            return self.odd(node, "what it names is known only when Ruby runs");
        }
        match of {
            Reference::Setting(section, keys) => {
                self.locals.remove(name);
                self.references.insert(name.to_owned(), (section, keys));
            }
            Reference::Variable(other) => {
                let value = self.locals.get(&other).cloned().unwrap_or(Value::Nil);
                self.references.remove(name);
                self.locals.insert(name.to_owned(), value);
                self.shared.extend([name.to_owned(), other]);
            }
        }
        self.say(node, name, What::Nothing(OF_THE_FILE));
    }

    /// `receiver.merge!(…)` and its like, and `receiver << …`: the receiver grows in place.
    /// `method`: the pure method that returns the changed value.
    pub(super) fn grow(
        &mut self,
        node: Node<'_>,
        receiver: Node<'_>,
        method: &str,
        more: &[Value],
    ) {
        let target = match receiver.kind() {
            "identifier" | "constant" | "global_variable" => self.named(self.text(receiver)),
            "element_reference" => self
                .setting(receiver)
                .map(|(section, keys)| Reference::Setting(section, keys)),
            _ => None,
        };
        match target {
            Some(Reference::Setting(section, keys)) if keys.is_empty() => {
                self.merge_section(node, &section, method, more);
            }
            Some(Reference::Setting(section, keys)) => {
                let new = grown(self.value_of(&section, &keys), method, more);
                self.record(node, &section, &keys, new, true);
            }
            Some(Reference::Variable(name)) if self.shared.contains(&name) => {
                self.odd(node, "what it changes has another name, too");
            }
            Some(Reference::Variable(name)) => {
                let old = self.locals.get(&name).cloned().unwrap_or(Value::Nil);
                let new = match &self.doubt {
                    Some(why) => Value::Unknown(why.clone()),
                    None => grown(old, method, more),
                };
                self.locals.insert(name.clone(), new);
                self.say(node, &name, What::Nothing(OF_THE_FILE));
            }
            None => self.odd(node, "what it changes is known only when Ruby runs"),
        }
    }

    /// `section.merge!(…)`: each pair becomes a setting.
    fn merge_section(&mut self, node: Node<'_>, section: &str, method: &str, more: &[Value]) {
        let pairs: Option<Vec<_>> = more
            .iter()
            .map(|it| match it {
                Value::Hash(pairs) if method == "merge" => Some(pairs.clone()),
                _ => None,
            })
            .collect();
        let pairs: Vec<_> = pairs.into_iter().flatten().flatten().collect();
        if pairs.is_empty() || pairs.iter().any(|pair| pair.key.text().is_none()) {
            let why = format!("it changes all of {section}, and cannot be followed");
            return self.odd(node, why);
        }
        for pair in pairs {
            let key = pair.key.text().unwrap_or_default();
            self.record_at(node, (section, &[key]), pair.value, pair.line, false);
        }
    }
}

/// The value after the method has added to it.
fn grown(old: Value, method: &str, more: &[Value]) -> Value {
    match old {
        Value::Nil => Value::Unknown("it adds to what is not set in this file".to_owned()),
        Value::Unknown(why) => Value::Unknown(why),
        known => methods::changed(&known, method, more),
    }
}
