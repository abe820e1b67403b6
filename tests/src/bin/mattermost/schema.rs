//! The settings that exist, with their types and defaults.
//!
//! `settings.tsv` holds section, key, type and default of every setting of Mattermost 11.6; nested
//! keys are dotted. Feature flags are left out, since they change with every release.

use std::io::Read;

use serde_json::{Map, Value};

/// The table, generated from the released server's own structures.
const TABLE: &str = include_str!("settings.tsv");

/// How the text of an environment variable becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Taken as it is.
    Text,
    /// As Go's `ParseBool` reads it.
    Bool,
    /// Base ten.
    Integer,
    /// Split at single spaces.
    List,
    /// Read as JSON.
    Json,
    /// A list of structures, at which the real server panics.
    Structures,
}

/// A setting of the server.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// Field names from the outside in: `["SqlSettings", "DataSource"]`.
    pub(crate) path: Vec<&'static str>,
    /// The type of the setting.
    pub(crate) kind: Kind,
    default: &'static str,
}

/// Every setting, in the order of the table.
pub(crate) fn settings() -> impl Iterator<Item = Setting> {
    TABLE.lines().filter_map(|line| {
        let mut columns = line.split('\t');
        let section = columns.next()?;
        let key = columns.next()?;
        let kind = kind(columns.next()?);
        let default = columns.next()?;
        let path = std::iter::once(section).chain(key.split('.')).collect();
        Some(Setting {
            path,
            kind,
            default,
        })
    })
}

/// The configuration of a new installation.
pub(crate) fn defaults() -> Value {
    let mut root = Value::Object(Map::new());
    for setting in settings() {
        set(&mut root, &setting.path, default_value(&setting));
    }
    root
}

/// Puts a value at a path, making the objects on the way.
pub(crate) fn set(root: &mut Value, path: &[&str], value: Value) {
    let mut at = root;
    for name in path {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[*name];
    }
    *at = value;
}

fn kind(go: &str) -> Kind {
    match go {
        "bool" => Kind::Bool,
        "int" | "int64" => Kind::Integer,
        "[]string" => Kind::List,
        "json.RawMessage" => Kind::Json,
        "[]*ReplicaLagSettings" => Kind::Structures,
        _ if go.starts_with("map[") => Kind::Json,
        _ => Kind::Text,
    }
}

fn default_value(setting: &Setting) -> Value {
    if setting.default.starts_with("<random") {
        return Value::String(random_text(32));
    }
    serde_json::from_str(setting.default).unwrap_or_else(|_| match setting.kind {
        Kind::Bool => Value::Bool(false),
        Kind::Integer => 0.into(),
        Kind::List | Kind::Structures => Value::Array(Vec::new()),
        Kind::Json => Value::Object(Map::new()),
        Kind::Text => Value::String(String::new()),
    })
}

/// Random lower-case letters and digits.
pub(crate) fn random_text(length: usize) -> String {
    const ALPHABET: &[u8] = b"abcdefghijkmnopqrstuvwxyz2345678";
    random_bytes(length)
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}

/// Bytes from the kernel's random source; zeroes if the source cannot be read, which is fit for a
/// stand-in.
pub(crate) fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let source = std::fs::File::open("/dev/urandom");
    let _ = source.and_then(|mut file| file.read_exact(&mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_what_a_supervisor_sets() {
        let all: Vec<String> = settings().map(|setting| setting.path.join(".")).collect();
        for name in [
            "ServiceSettings.SiteURL",
            "ServiceSettings.ListenAddress",
            "ServiceSettings.LocalModeSocketLocation",
            "SqlSettings.DataSource",
            "SqlSettings.AtRestEncryptKey",
            "GitLabSettings.UserAPIEndpoint",
            "MessageExportSettings.GlobalRelaySettings.CustomSMTPPort",
        ] {
            assert!(
                all.iter().any(|have| have.eq_ignore_ascii_case(name)),
                "{name} is missing"
            );
        }
    }

    #[test]
    fn no_field_name_has_an_underscore_so_that_the_rule_is_unambiguous() {
        for setting in settings() {
            assert!(
                !setting.path.iter().any(|name| name.contains('_')),
                "{setting:?}"
            );
        }
    }
}
