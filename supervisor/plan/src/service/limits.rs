//! `[limits]` and sets of capabilities.

use std::collections::BTreeMap;

use crate::{
    declare::setting::SERVICE_KEYS,
    model::{Service, capability::CAPABILITIES},
    read::{document::Node, fields::Fields, typed::Type},
    service::reader::Reader,
};

/// `RLIMIT_*` without its prefix, lower case.
pub(crate) const LIMITS: [&str; 16] = [
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

/// A set of capabilities, by the key that gives it.
pub(crate) fn capabilities(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<Vec<String>> {
    let node = fields.node(key)?;
    let list = reader.list(node, key)?;
    let mut out = Vec::new();
    for name in list {
        let upper = name.to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if CAPABILITIES.contains(&short) {
            out.push(short.to_ascii_lowercase());
        } else {
            let hint = crate::report::suggest::did_you_mean(short, CAPABILITIES.iter().copied());
            reader
                .report()
                .error(&node.at, key, format!("there is no capability `{name}`"))
                .hint_some(hint);
        }
    }
    Some(out)
}

/// What one set has, the other must have: a process cannot keep what it can never have.
pub(crate) fn check_capabilities(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    service: &Service,
) {
    let bounding = &service.capability_bounding_set;
    let ambient = &service.ambient_capabilities;
    let only = &service.capabilities;
    let pairs = [
        ("capabilities", only, "capability_bounding_set", bounding),
        (
            "ambient_capabilities",
            ambient,
            "capability_bounding_set",
            bounding,
        ),
        ("ambient_capabilities", ambient, "capabilities", only),
    ];
    for (key, set, above_key, above) in pairs {
        if let (Some(set), Some(above)) = (set, above)
            && let Some(missing) = set.iter().find(|name| !above.contains(name))
            && let Some(node) = fields.node(key)
        {
            let message = format!("has `{missing}`, which `{above_key}` lacks");
            reader.report().error(&node.at, key, message);
        }
    }
}

pub(crate) type Limits = BTreeMap<String, (Option<u64>, Option<u64>)>;

pub(crate) fn limits(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Limits {
    let mut out = Limits::new();
    let Some(mut fields) = fields.table("limits", reader.report()) else {
        return out;
    };
    for name in LIMITS {
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
    fields.finish(&SERVICE_KEYS, reader.report());
    out
}

/// `Some(None)` is unlimited.
#[expect(
    clippy::option_option,
    reason = "unlimited and wrong are different things"
)]
pub(crate) fn limit(reader: &mut Reader<'_, '_>, node: &Node, key: &str) -> Option<Option<u64>> {
    if matches!(node.text(), Some("unlimited" | "infinity")) {
        return Some(None);
    }
    let (value, _) = reader.typed(node, key, Type::Size, false)?;
    crate::read::units::size_bytes(&value.text()).ok().map(Some)
}
