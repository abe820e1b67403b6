//! `[[credentials]]` of a service: files that only root may read, and it needs.

use std::path::PathBuf;

use crate::{
    declare::setting::SERVICE_KEYS,
    model::Credential,
    read::fields::Fields,
    service::{files::tables, reader::Reader},
};

/// Those of a service; one whose source is the empty string is left out.
pub(crate) fn credentials(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<Credential> {
    let mut out: Vec<Credential> = Vec::new();
    for mut fields in tables(reader, fields, "credentials") {
        let source = place(reader, &mut fields, "source");
        let path = place(reader, &mut fields, "path");
        let make = fields.node("make");
        let make = make.and_then(|node| reader.list(node, "credentials.make"));
        let at = fields.at.clone();
        fields.finish(&SERVICE_KEYS, reader.report());
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

/// An absolute path, or the empty string for none. None: what is wrong has been said.
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
