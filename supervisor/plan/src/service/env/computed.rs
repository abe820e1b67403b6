//! `[env]` of a service file: variables that are worked out from settings.

use super::{env_file::env_files, written::Environment};
use crate::{
    read::{
        document::{Kind, Node},
        expression::{is_template, lone_name},
        fields::{Fields, misplaced},
        ident::env_name,
        typed::plain_text,
    },
    resolve::{
        locals::Locals,
        outcome::{Name, Outcome, TemplateSource},
    },
    service::reader::Reader,
};

/// The settings that a variable of `[env]` is worked out from, as a site file names them.
pub(super) fn settings_of(reader: &mut Reader<'_, '_>, node: &Node, key: &str) -> Vec<String> {
    let Some(text) = node.text().filter(|text| is_template(text)) else {
        return Vec::new();
    };
    let namespace = reader.namespace.clone();
    let origin = TemplateSource::Value(&node.at);
    let names = reader
        .resolver
        .names(&namespace, text, origin, key, &Locals::NONE);
    let names = names.unwrap_or_default().into_values();
    let mut settings: Vec<String> = names
        .filter_map(|name| match name {
            Name::Setting(namespace, key) => Some(format!("{namespace}.{key}")),
            Name::Key(key) => Some(key),
            _ => None,
        })
        .collect();
    settings.sort();
    settings.dedup();
    settings
}

/// A variable of `[env]`; one that is a lone setting without value is none.
pub(super) fn computed(
    reader: &mut Reader<'_, '_>,
    node: &Node,
    key: &str,
) -> Option<(String, bool)> {
    let (text, secret) = match &node.kind {
        Kind::Text(text) if !is_template(text) => (text.clone(), false),
        Kind::Text(text) => {
            let names = lone_name(text).and_then(|_| {
                reader.resolver.names(
                    &reader.namespace.clone(),
                    text,
                    TemplateSource::Value(&node.at),
                    key,
                    &Locals::NONE,
                )
            });
            if let Some(name) = names.and_then(|names| names.into_values().next())
                && let Name::Setting(..) | Name::Key(_) = name
                && !text.contains('.')
            {
                // The value as the setting's type writes it: a list by spaces, a map as JSON.
                return match reader.resolver.resolve(&name) {
                    Outcome::Set { value, secret } => Some((value.text(), secret)),
                    Outcome::Unset {
                        missing: Some(reason),
                    } => {
                        reader.broken.get_or_insert(reason);
                        None
                    }
                    Outcome::Unset { missing: None } | Outcome::Failed => None,
                };
            }
            let (value, secret) = reader.eval(text, TemplateSource::Value(&node.at), key, true)?;
            // "No variable under this condition": `{{ x if y else none }}`.
            if value.is_none() {
                return None;
            }
            (plain_text(&value), secret)
        }
        Kind::Int(int) => (int.to_string(), false),
        Kind::Bool(bool) => (bool.to_string(), false),
        Kind::List(_) => (reader.list(node, key)?.join(" "), false),
        _ => {
            let what = node.what();
            let message = format!("must be a string, a number, true or false, not {what}");
            let misplaced_key = key.split_once('.').map(|(_, name)| name);
            let misplaced_key = misplaced_key.filter(|name| reader.is_key(name));
            let problem = reader.report().error(&node.at, key, message);
            if let Some(name) = misplaced_key {
                problem.hint(misplaced(name, "env"));
            }
            return None;
        }
    };
    if text.contains('\0') {
        reader
            .report()
            .error(&node.at, key, "a variable cannot contain a NUL");
        return None;
    }
    Some((text, secret))
}

/// Checks `[env]` and `env_files` of a disabled service, or where there is no table.
pub(super) fn check_env(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) {
    env_files(reader, fields, &mut Environment::default());
    let Some(entry) = fields.entry("env") else {
        return;
    };
    let Some(table) = entry.node.table() else {
        let what = entry.node.what();
        reader.report().error(
            &entry.node.at,
            "env",
            format!("must be a table, not {what}"),
        );
        return;
    };
    for (name, entry) in table {
        let key = format!("env.{name}");
        if let Err(why) = env_name(name) {
            reader.report().error(&entry.key_at, key, why);
        } else if !matches!(&entry.node.kind, Kind::Text(text) if !is_template(text)) {
            match &entry.node.kind {
                Kind::Text(text) => {
                    reader.eval(text, TemplateSource::Value(&entry.node.at), &key, true);
                }
                _ => {
                    computed(reader, &entry.node, &key);
                }
            }
        }
    }
}
