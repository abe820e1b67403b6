//! Values for people: each key of a service as a service file would have it. No secret is in them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use api::VariableSource;

use crate::{
    model::{HIDDEN, Service},
    read::secrecy::looks_secret,
};

/// Shortest secret that is searched for in other values: a shorter one would be found everywhere.
const MIN_SECRET: usize = 6;

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// As a service file has it, tables by dots: `ready.timeout`, `env.PATH`.
    pub key: String,
    /// As a service file would have it.
    pub value: Value,
    /// Whether the value is hidden; `value` is [`HIDDEN`] then.
    pub secret: bool,
    /// Where the value comes from, where that is known.
    pub source: Option<VariableSource>,
}

#[derive(Default)]
pub(crate) struct Described {
    pub(crate) list: Vec<Shown>,
    secrets: BTreeSet<String>,
}

impl Described {
    /// Starts a description. Secrets of the service are hidden in every value that they went into.
    pub(crate) fn of(service: &Service) -> Self {
        let hidden = service.env.values().filter(|variable| variable.secret);
        let values = hidden.map(|variable| variable.value.clone());
        let list = Vec::new();
        Self {
            list,
            secrets: values.filter(|value| value.len() >= MIN_SECRET).collect(),
        }
    }

    /// Adds a key; an empty list, text or table is left out, and so is what is not set.
    pub(crate) fn put(&mut self, key: impl Into<String>, value: impl serde::Serialize) {
        // Strings, numbers and lists of them: there is nothing to go wrong.
        let value = serde_json::to_value(value).unwrap_or_default();
        let empty = match &value {
            Value::Array(list) => list.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Null => true,
            Value::Bool(_) | Value::Number(_) => false,
        };
        if empty {
            return;
        }
        let key = key.into();
        if self.is_secret(&value) {
            self.hide(key, None);
            return;
        }
        self.list.push(Shown {
            key,
            value,
            secret: false,
            source: None,
        });
    }

    /// Adds `true`, or nothing.
    pub(crate) fn when(&mut self, key: impl Into<String>, is_so: bool) {
        if is_so {
            self.put(key, true);
        }
    }

    pub(crate) fn hide(&mut self, key: impl Into<String>, source: Option<VariableSource>) {
        self.list.push(Shown {
            key: key.into(),
            value: json!(HIDDEN),
            secret: true,
            source,
        });
    }

    /// Whether a value holds a secret of the service, or a password in a URL.
    pub(crate) fn is_secret(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => {
                looks_secret("", text) || self.secrets.iter().any(|it| text.contains(it.as_str()))
            }
            Value::Array(list) => list.iter().any(|item| self.is_secret(item)),
            Value::Object(map) => map.values().any(|item| self.is_secret(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

pub(crate) fn mode(bits: u32) -> String {
    format!("{bits:04o}")
}

pub(crate) fn milli(milli: u32) -> Value {
    json!(f64::from(milli) / 1000.0)
}
