//! `[log]` and `log_files` of a service.

use crate::{
    declare::setting::SERVICE_KEYS,
    model::{
        Forward, ForwardFormat, ForwardTo, Log,
        log::{FORMATS, PLACES, STDOUT_ONLY},
    },
    read::fields::Fields,
    service::reader::Reader,
};

/// Rotation of less would only make files.
const MIN_SIZE: u64 = 4096;

pub(crate) fn log(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Log {
    let shared = reader.resolver.site.log;
    let mut to = shared.forward;
    let mut format = shared.format;
    let mut out = Log::default();
    if let Some(mut fields) = fields.table("log", reader.report()) {
        let size_at = fields.node("size").map(|node| node.at.clone());
        if let Some(size) = reader.size_key(&mut fields, "size") {
            out.size_bytes = size;
        }
        if let Some(at) = size_at.filter(|_| out.size_bytes < MIN_SIZE) {
            reader
                .report()
                .error(&at, "log.size", "must be at least 4K");
        }
        if let Some(keep) = reader.int_key(&mut fields, "keep", 0..=10_000) {
            out.keep = u32::try_from(keep).unwrap_or(out.keep);
        }
        out.age_ms = reader.positive_duration_key(&mut fields, "age");
        if let Some(compress) = reader.bool_key(&mut fields, "compress") {
            out.compress = compress;
        }
        to = reader
            .word_key(&mut fields, "forward", PLACES)
            .unwrap_or(to);
        format = reader.word_key(&mut fields, "format", FORMATS).or(format);
        if let Some(entry) = fields.entry("format")
            && to != Some(ForwardTo::Stdout)
        {
            reader
                .report()
                .error(&entry.key_at, "log.format", STDOUT_ONLY);
        }
        fields.finish(&SERVICE_KEYS, reader.report());
    }
    out.forward = to.map(|to| Forward {
        to,
        format: format.unwrap_or(ForwardFormat::Text),
    });
    out
}

/// Files that the program writes itself.
pub(crate) fn log_files(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<String> {
    let Some(node) = fields.node("log_files") else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for path in reader.list(node, "log_files").unwrap_or_default() {
        if !path.starts_with('/') {
            let message = format!("must be absolute paths or patterns, not `{path}`");
            reader.report().error(&node.at, "log_files", message);
        } else if let Err(error) = glob::Pattern::new(&path) {
            let message = format!("`{path}` is not a pattern: {}", error.msg);
            reader.report().error(&node.at, "log_files", message);
        } else {
            out.push(path);
        }
    }
    out
}
