//! The values that one template sees.

use std::collections::BTreeMap;

use minijinja::Value;

use crate::resolve::outcome::Outcome;

/// The values that a template sees.
#[derive(Debug, Default)]
pub(crate) struct Context {
    pub(crate) top: BTreeMap<String, Value>,
    pub(crate) namespaces: BTreeMap<String, BTreeMap<String, Value>>,
    /// Dotted names without value.
    pub(crate) unset: BTreeMap<String, Option<String>>,
    pub(crate) secret: bool,
    pub(crate) failed: bool,
}

impl Context {
    pub(crate) fn add(&mut self, dotted: &str, depth: usize, outcome: Outcome) {
        let mut parts = dotted.split('.');
        let first = parts.next().unwrap_or_default().to_owned();
        let second = parts.next().map(str::to_owned).filter(|_| depth > 1);
        if second.is_some() {
            self.namespaces.entry(first.clone()).or_default();
        }
        match outcome {
            Outcome::Set { value, secret } => {
                self.secret |= secret;
                match second {
                    Some(second) => {
                        self.namespaces
                            .entry(first)
                            .or_default()
                            .insert(second, value.value());
                    }
                    None => {
                        self.top.insert(first, value.value());
                    }
                }
            }
            Outcome::Unset { missing } => {
                let short: Vec<&str> = dotted.split('.').take(depth).collect();
                self.unset.insert(dotted.to_owned(), missing.clone());
                self.unset.insert(short.join("."), missing);
            }
            Outcome::Failed => self.failed = true,
        }
    }

    pub(crate) fn value(&self) -> Value {
        let mut all = self.top.clone();
        for (namespace, inner) in &self.namespaces {
            let inner = inner
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()));
            all.insert(namespace.clone(), Value::from_pairs(inner));
        }
        Value::from_pairs(all)
    }
}
