//! Common parts of lists of tables, such as `[[files]]`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{
    read::{document::Kind, fields::Fields},
    service::reader::Reader,
};

/// The tables of a list of tables.
pub(crate) fn tables<'t>(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'t>,
    key: &'static str,
) -> Vec<Fields<'t>> {
    let Some(node) = fields.node(key) else {
        return Vec::new();
    };
    let Kind::List(list) = &node.kind else {
        let hint = format!("write [[{key}]]");
        let what = node.what();
        reader
            .report()
            .error(
                &node.at,
                key,
                format!("must be a list of tables, not {what}"),
            )
            .hint(hint);
        return Vec::new();
    };
    let name = fields.key(key);
    let mut out = Vec::new();
    for item in list {
        if let Some(table) = item.table() {
            out.push(Fields::new(table, item.at.clone(), &name));
        } else {
            let what = item.what();
            reader.report().error(
                &item.at,
                key,
                format!("must be a list of tables, not {what}"),
            );
        }
    }
    out
}

/// The `path` that a table must have.
pub(crate) fn path(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<PathBuf> {
    if fields.entry("path").is_none() {
        let name = fields.key("path");
        reader.report().error(&fields.at, name, "is missing");
        return None;
    }
    reader.path_key(fields, "path", false)
}

/// Says whose something is, where that is said.
pub(crate) fn owner(value: &mut Value, user: Option<&String>, group: Option<&String>) {
    for (key, name) in [("user", user), ("group", group)] {
        if let Some(name) = name {
            value[key] = json!(name);
        }
    }
}
