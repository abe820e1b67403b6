//! `[[credentials]]` of a service: files that only root may read, and it needs.

use std::path::PathBuf;

use crate::{
    model::Credential,
    read::fields::Fields,
    service::{
        key::{Key, KeyTable, compare},
        reader::Reader,
        tables::tables,
    },
};

pub(crate) const KEYS: &[Key] = &[Key {
    name: "credentials",
    doc: "files that only root may read, copied to where the service may, as systemd's `LoadCredential=`",
    read: |reader, fields, service| service.credentials = credentials(reader, fields),
    describe: |service, out| {
        for it in &service.credentials {
            let key = format!("credentials.\"{}\"", it.path.display());
            out.put(key, it.source.display().to_string());
        }
    },
    compare: compare!(credentials, InPlace),
    tables: &[KeyTable {
        header: "[[credentials]]",
        intro: "Copied before each start and reload, when what `[[certificates]]` says of them is right. Their sources are watched: a change reloads the service.",
        keys: &[
            ("source", "the file that only root may read; empty: none"),
            (
                "path",
                "its copy: root's, the service's group, mode 0640. Another source needs another path",
            ),
            (
                "make",
                "command that makes the source where it is missing, run as the supervisor's own user",
            ),
        ],
    }],
    ..Key::IDLE
}];

/// The credentials of a service; an entry whose source is the empty string is left out.
fn credentials(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<Credential> {
    let mut out: Vec<Credential> = Vec::new();
    for mut fields in tables(reader, fields, "credentials") {
        let source = place(reader, &mut fields, "source");
        let path = place(reader, &mut fields, "path");
        let make = fields.node("make");
        let make = make.and_then(|node| reader.list(node, "credentials.make"));
        let at = fields.at.clone();
        reader.finish(fields);
        let (Some(Some(source)), Some(Some(path))) = (source, path) else {
            continue;
        };
        if out.iter().any(|other| other.path == path) {
            let message = format!("two files would be copied to {}", path.display());
            reader.report().error(&at, "credentials.path", message);
        }
        let make = make.unwrap_or_default();
        out.push(Credential { source, path, make });
    }
    out
}

/// An absolute path, or the empty string for none. None: a mistake, which is reported.
#[expect(
    clippy::option_option,
    reason = "none wanted and wrong are different things"
)]
fn place(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<Option<PathBuf>> {
    let name = fields.key(key);
    let Some(node) = fields.node(key) else {
        reader.report().error(&fields.at, name, "is missing");
        return None;
    };
    let text = reader.text(node, &name)?;
    if !text.is_empty() && !text.starts_with('/') {
        let message = "must be an absolute path, or empty for no such file";
        reader.report().error(&node.at, name, message);
        return None;
    }
    Some((!text.is_empty()).then(|| text.into()))
}
