//! `stale_sockets` of a service: unix sockets that its next run could not bind while they are
//! there.

use std::path::PathBuf;

use crate::{
    read::fields::Fields,
    service::{
        key::{Key, field},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[field!(
    stale_sockets,
    InPlace,
    "unix sockets that are removed before each start if nobody listens there: a killed run leaves its own, and the next one could not bind it",
    stale_sockets
)];

fn stale_sockets(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Vec<PathBuf> {
    let Some(node) = fields.node(key) else {
        return Vec::new();
    };
    let list = reader.list(node, key).unwrap_or_default();
    let mut out = Vec::new();
    for path in list {
        let path = PathBuf::from(path);
        if path.is_absolute() && path.file_name().is_some() {
            out.push(path);
        } else {
            let message = format!(
                "must be absolute paths of sockets, not `{}`",
                path.display()
            );
            reader.report().error(&node.at, key, message);
        }
    }
    out
}
