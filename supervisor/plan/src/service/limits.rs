//! `[limits]`.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{
    model::Service,
    read::{document::Node, fields::Fields, typed::Type},
    service::{
        described::Described,
        key::{Key, KeyTable, compare},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[Key {
    name: "limits",
    doc: "resource limits",
    read: |reader, fields, service| service.limits = limits(reader, fields),
    describe,
    compare: compare!(limits, Restart),
    tables: &[KeyTable {
        header: "[limits]",
        intro: "`nofile`, `nproc`, `core`, … as in setrlimit(2): a number, `\"unlimited\"`, or `{ soft, hard }`",
        keys: &[],
    }],
    ..Key::IDLE
}];

fn describe(service: &Service, out: &mut Described) {
    for (name, (soft, hard)) in &service.limits {
        let one = |limit: &Option<u64>| limit.map_or(json!("unlimited"), |limit| json!(limit));
        let value = if soft == hard {
            one(soft)
        } else {
            json!({ "soft": one(soft), "hard": one(hard) })
        };
        out.put(format!("limits.{name}"), value);
    }
}

/// `RLIMIT_*` without its prefix, lower case.
const LIMITS: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

type Limits = BTreeMap<String, (Option<u64>, Option<u64>)>;

fn limits(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Limits {
    let mut out = Limits::new();
    let Some(mut fields) = fields.table("limits", reader.report()) else {
        return out;
    };
    for name in LIMITS.iter().copied() {
        let Some(node) = fields.node(name) else {
            continue;
        };
        let key = fields.key(name);
        let pair = if let Some(table) = node.table() {
            let mut inner = Fields::new(table, node.at.clone(), &key);
            let soft = inner.node("soft").map(|node| limit(reader, node, &key));
            let hard = inner.node("hard").map(|node| limit(reader, node, &key));
            inner.finish(&[], reader.report());
            soft.or(hard)
                .zip(hard.or(soft))
                .map(|(soft, hard)| soft.zip(hard))
        } else {
            Some(limit(reader, node, &key).map(|value| (value, value)))
        };
        match pair {
            Some(Some((soft, hard))) if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) => {
                reader
                    .report()
                    .error(&node.at, key, "the soft limit is above the hard one");
            }
            Some(Some(pair)) => {
                out.insert(name.to_owned(), pair);
            }
            Some(None) => {}
            None => {
                reader
                    .report()
                    .error(&node.at, key, "needs soft, hard or both");
            }
        }
    }
    reader.finish(fields);
    out
}

/// `Some(None)` is unlimited.
#[expect(
    clippy::option_option,
    reason = "unlimited and wrong are different things"
)]
fn limit(reader: &mut Reader<'_, '_>, node: &Node, key: &str) -> Option<Option<u64>> {
    if matches!(node.text(), Some("unlimited" | "infinity")) {
        return Some(None);
    }
    let (value, _) = reader.typed(node, key, Type::Size, false)?;
    text::parse_size(&value.text()).ok().map(Some)
}
