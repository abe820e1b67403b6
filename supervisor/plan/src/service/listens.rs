//! Addresses that a service listens on.

use std::net::Ipv6Addr;

use crate::{
    read::{document::Node, fields::Fields},
    service::{
        key::{Key, field},
        probes,
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[
    field!(
        listens,
        InPlace,
        "addresses that must be free before it starts: `[\"127.0.0.1:8065\"]`. One that a service of ours still has which is being stopped is waited for",
        listens
    ),
    field!(
        listens_hint,
        InPlace,
        "what to say, besides, when one of them is taken",
        |reader, fields, key| reader.words_key(fields, key)
    ),
];

fn listens(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, key: &'static str) -> Vec<String> {
    let Some(node) = fields.node(key) else {
        return Vec::new();
    };
    let list = reader.list(node, key).unwrap_or_default();
    let mut out = Vec::new();
    for address in list {
        // `:8065` is every address, as the programs themselves have it.
        let port = address.strip_prefix(':');
        let whole = if port.is_some_and(|port| !port.contains(':')) {
            format!("0.0.0.0{address}")
        } else {
            address
        };
        match probes::address(&whole) {
            Ok(()) => out.push(whole),
            Err(why) => blame_address(reader, node, &whole, why),
        }
    }
    out
}

/// Reports a wrong address; an IPv6 address without brackets where the site file gives it.
fn blame_address(reader: &mut Reader<'_, '_>, node: &Node, address: &str, why: String) {
    let site = reader.resolver.site;
    let mut bare = site.settings.iter().filter(|((namespace, _), given)| {
        let text = given.value.text();
        *namespace == reader.namespace
            && text.parse::<Ipv6Addr>().is_ok()
            && address.starts_with(text.as_str())
    });
    let Some(((namespace, key), given)) = bare.next() else {
        reader.report().error(&node.at, "listens", why);
        return;
    };
    let (at, text) = (given.at.clone(), given.value.text());
    let owner = &reader.resolver.schema.namespaces[namespace].name;
    let key = format!("{owner}.{key}");
    let message = "an IPv6 address stands in brackets where a port follows it";
    let problem = reader.report().error(&at, key, message);
    problem.hint(format!("write \"[{text}]\""));
}
