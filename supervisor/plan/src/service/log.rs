//! `[log]` and `log_files` of a service.

use crate::{
    model::{
        Forward, ForwardFormat, ForwardTo, Log, Service,
        log::{FORMATS, PLACES, STDOUT_ONLY},
    },
    read::fields::Fields,
    service::{
        described::Described,
        key::{Key, KeyTable, compare, field},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "log",
        doc: "rotation of its log",
        read: |reader, fields, service| service.log = log(reader, fields),
        describe,
        compare: compare!(log, InPlace),
        tables: &[KeyTable {
            header: "[log]",
            intro: "",
            keys: &[
                ("size", "a file is rotated when it is so long (`10M`)"),
                ("age", "or its first line so old"),
                ("keep", "so many rotated files stay (10)"),
                ("compress", "`true`"),
                ("forward, format", "as in the site file, for this service"),
            ],
        }],
        ..Key::IDLE
    },
    field!(
        log_files,
        InPlace,
        "files that it writes itself, for `ctl logs --files`: paths or patterns",
        log_files
    ),
];

/// Smallest size at which a log is rotated.
const MIN_SIZE: u64 = 4096;

fn describe(service: &Service, out: &mut Described) {
    out.put("log.size", text::exact_size(service.log.size_bytes));
    out.put("log.keep", service.log.keep);
    out.put("log.age", service.log.age_ms.map(text::exact_duration));
    out.put("log.compress", service.log.compress);
    if let Some(Forward { to, format }) = service.log.forward {
        out.put("log.forward", to);
        out.put("log.format", format);
    }
}

fn log(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Log {
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
            out.keep = keep;
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
        reader.finish(fields);
    }
    out.forward = to.map(|to| Forward {
        to,
        format: format.unwrap_or(ForwardFormat::Text),
    });
    out
}

/// Files that the program writes itself.
fn log_files(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Vec<String> {
    let Some(node) = fields.node(key) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for path in reader.list(node, key).unwrap_or_default() {
        if !path.starts_with('/') {
            let message = format!("must be absolute paths or patterns, not `{path}`");
            reader.report().error(&node.at, key, message);
        } else if let Err(error) = glob::Pattern::new(&path) {
            let message = format!("`{path}` is not a pattern: {}", error.msg);
            reader.report().error(&node.at, key, message);
        } else {
            out.push(path);
        }
    }
    out
}
