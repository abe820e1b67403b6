//! The types of settings, and their values.

use std::collections::BTreeMap;

use minijinja::value::{Value, ValueKind};

use crate::read::{
    document::{Kind, Node},
    form,
    url::{Url, without_user},
};

/// The type of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Text,
    Bool,
    Int,
    Port,
    Url,
    Path,
    Duration,
    Size,
    List,
    Map,
    /// A string, a number, true or false, as text.
    Scalar,
    /// The name of a user or group of the operating system.
    Account,
    Version,
}

/// All types as service files name them.
pub(crate) const TYPES: &[(&str, Type)] = &[
    ("string", Type::Text),
    ("bool", Type::Bool),
    ("int", Type::Int),
    ("port", Type::Port),
    ("url", Type::Url),
    ("path", Type::Path),
    ("duration", Type::Duration),
    ("size", Type::Size),
    ("list", Type::List),
    ("map", Type::Map),
    ("scalar", Type::Scalar),
    ("account", Type::Account),
    ("version", Type::Version),
];

impl Type {
    pub(crate) fn named(name: &str) -> Option<Self> {
        TYPES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, ty)| *ty)
    }

    /// The type with its article, for messages.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Bool => "true or false",
            Self::Int => "a number",
            Self::Port => "a port number",
            Self::Url => "a URL",
            Self::Path => "an absolute path",
            Self::Duration => "a duration such as \"30s\"",
            Self::Size => "a size such as \"10M\"",
            Self::List => "a list",
            Self::Map => "a table",
            Self::Scalar => "a string, a number, true or false",
            Self::Account => "the name of an account",
            Self::Version => "a version such as \"10.5.2\"",
        }
    }
}

/// A template's value as text: true and false as TOML writes them, a list joined by one space.
pub(crate) fn plain_text(value: &Value) -> String {
    match value.kind() {
        ValueKind::Bool => if value.is_true() { "true" } else { "false" }.to_owned(),
        ValueKind::Seq => value.try_iter().map_or_else(
            |_| value.to_string(),
            |items| {
                items
                    .map(|item| plain_text(&item))
                    .collect::<Vec<_>>()
                    .join(" ")
            },
        ),
        _ => value.to_string(),
    }
}

/// A value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Typed {
    Text(String),
    Bool(bool),
    Int(i64),
    Url(Url),
    List(Vec<Typed>),
    Map(BTreeMap<String, Typed>),
}

impl Typed {
    /// Gives a literal of a file its type.
    pub(crate) fn from_node(ty: Type, node: &Node) -> Result<Self, String> {
        match (ty, &node.kind) {
            (Type::Bool, Kind::Bool(bool)) => Ok(Self::Bool(*bool)),
            (Type::Int | Type::Port | Type::Size, Kind::Int(int)) => {
                Self::parse(ty, &int.to_string())
            }
            (
                Type::Text
                | Type::Url
                | Type::Path
                | Type::Duration
                | Type::Size
                | Type::Account
                | Type::Version,
                Kind::Text(t),
            ) => Self::parse(ty, t),
            (Type::Scalar, Kind::Text(text)) => Ok(Self::Text(text.clone())),
            (Type::Scalar, Kind::Int(int)) => Ok(Self::Text(int.to_string())),
            (Type::Scalar, Kind::Float(float)) => Ok(Self::Text(float.to_string())),
            (Type::Scalar, Kind::Bool(bool)) => Ok(Self::Text(bool.to_string())),
            // Imported files have their ports in quotes.
            (Type::Int | Type::Port, Kind::Text(t)) if !t.is_empty() => Self::parse(ty, t),
            (Type::List, Kind::List(list)) => list
                .iter()
                .map(Self::plain)
                .collect::<Result<_, _>>()
                .map(Self::List),
            (Type::Map, Kind::Table(table)) => table
                .iter()
                .map(|(key, entry)| Ok((key.clone(), Self::plain(&entry.node)?)))
                .collect::<Result<_, String>>()
                .map(Self::Map),
            (Type::Bool, Kind::Text(t)) => Err(match t.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => {
                    "must be true or false, not a string; write true without quotes"
                }
                "false" | "no" | "off" | "0" => {
                    "must be true or false, not a string; write false without quotes"
                }
                _ => "must be true or false, not a string",
            }
            .to_owned()),
            (Type::List, Kind::Text(t)) => Err(format!(
                "must be a list, not a string; write [\"{}\"]",
                without_user(t).escape_debug()
            )),
            (
                Type::Text | Type::Version,
                Kind::Int(_) | Kind::Float(_) | Kind::Bool(_) | Kind::Date | Kind::Huge,
            ) => Err(format!(
                "must be a string, not {}; write it in quotes",
                node.what()
            )),
            _ => Err(format!("must be {}, not {}", ty.what(), node.what())),
        }
    }

    /// A value inside a list or a map.
    pub(crate) fn plain(node: &Node) -> Result<Self, String> {
        match &node.kind {
            Kind::Text(text) => Ok(Self::Text(text.clone())),
            Kind::Int(int) => Ok(Self::Int(*int)),
            Kind::Bool(bool) => Ok(Self::Bool(*bool)),
            _ => Err(format!(
                "must be a string, a number, true or false, not {}",
                node.what()
            )),
        }
    }

    /// Gives the result of a template its type.
    pub(crate) fn from_value(ty: Type, value: &Value) -> Result<Self, String> {
        match (ty, value.kind()) {
            (Type::List, ValueKind::Seq | ValueKind::Iterable) => {
                let items = value.try_iter().map_err(|e| e.to_string())?;
                Ok(Self::List(items.map(|item| Self::loose(&item)).collect()))
            }
            (Type::Map, ValueKind::Map) => {
                let mut map = BTreeMap::new();
                for key in value.try_iter().map_err(|e| e.to_string())? {
                    let item = value.get_item(&key).map_err(|e| e.to_string())?;
                    map.insert(key.to_string(), Self::loose(&item));
                }
                Ok(Self::Map(map))
            }
            _ => Self::parse(ty, &plain_text(value)),
        }
    }

    fn loose(value: &Value) -> Self {
        match value.kind() {
            ValueKind::Bool => Self::Bool(value.is_true()),
            ValueKind::Number => value
                .as_i64()
                .map_or_else(|| Self::Text(value.to_string()), Self::Int),
            _ => Self::Text(value.to_string()),
        }
    }

    /// Gives a text its type.
    pub(crate) fn parse(ty: Type, text: &str) -> Result<Self, String> {
        let shown = || without_user(text);
        match ty {
            Type::Bool => match text.trim() {
                "true" => Ok(Self::Bool(true)),
                "false" => Ok(Self::Bool(false)),
                _ => Err(format!("must be true or false, not `{}`", shown())),
            },
            Type::Int => text
                .trim()
                .parse()
                .map(Self::Int)
                .map_err(|_| format!("must be a number, not `{}`", shown())),
            Type::Port => match text.trim().parse::<u16>() {
                Ok(port) if port > 0 => Ok(Self::Int(i64::from(port))),
                _ => Err(format!(
                    "must be a port number from 1 to 65535, not `{}`",
                    shown()
                )),
            },
            Type::Url => Url::parse(text).map(Self::Url),
            Type::Path if !text.starts_with('/') => {
                Err(format!("must be an absolute path, not `{}`", shown()))
            }
            Type::Path if text.contains('\0') => Err("a path cannot contain a NUL".to_owned()),
            Type::Account => form::account(text).map(|()| Self::Text(text.to_owned())),
            Type::Version if !form::is_version(text) => Err(format!(
                "must be {}, not `{}`",
                ty.what(),
                shown().escape_debug()
            )),
            Type::Text | Type::Path | Type::Scalar | Type::Version => {
                Ok(Self::Text(text.to_owned()))
            }
            Type::Duration => text::parse_duration(text).map(|_| Self::Text(text.to_owned())),
            Type::Size => text::parse_size(text).map(|_| Self::Text(text.to_owned())),
            Type::List => Ok(Self::List(
                text.split_whitespace()
                    .map(|w| Self::Text(w.to_owned()))
                    .collect(),
            )),
            Type::Map => Err(format!("must be a table, not `{}`", shown())),
        }
    }

    /// The value as templates see it.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text),
            Self::Bool(bool) => Value::from(*bool),
            Self::Int(int) => Value::from(*int),
            Self::Url(url) => Value::from_object(url.clone()),
            Self::List(list) => list.iter().map(Self::value).collect(),
            Self::Map(map) => Value::from_pairs(map.iter().map(|(k, v)| (k.clone(), v.value()))),
        }
    }

    /// Every text in the value, keys of a map too.
    pub(crate) fn texts(&self) -> Vec<&str> {
        match self {
            Self::Text(text) => vec![text],
            Self::Url(url) => vec![url.text()],
            Self::Bool(_) | Self::Int(_) => Vec::new(),
            Self::List(list) => list.iter().flat_map(Self::texts).collect(),
            Self::Map(map) => map
                .iter()
                .flat_map(|(key, value)| std::iter::once(key.as_str()).chain(value.texts()))
                .collect(),
        }
    }

    /// The value as an environment variable: a list joined by one space, a map as JSON.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bool(bool) => bool.to_string(),
            Self::Int(int) => int.to_string(),
            Self::Url(url) => url.text().to_owned(),
            Self::List(list) => list.iter().map(Self::text).collect::<Vec<_>>().join(" "),
            Self::Map(_) => self.json().to_string(),
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::Bool(bool) => (*bool).into(),
            Self::Int(int) => (*int).into(),
            Self::List(list) => list.iter().map(Self::json).collect(),
            Self::Map(map) => {
                serde_json::Value::Object(map.iter().map(|(k, v)| (k.clone(), v.json())).collect())
            }
            Self::Text(_) | Self::Url(_) => self.text().into(),
        }
    }
}
