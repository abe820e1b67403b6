//! Sets of capabilities.

use crate::{
    model::{Service, capability::CAPABILITIES},
    read::fields::Fields,
    report::suggest::did_you_mean,
    service::{
        key::{Key, field},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[
    field!(
        capabilities,
        Restart,
        "the only capabilities it keeps",
        capabilities
    ),
    field!(
        capability_bounding_set,
        Restart,
        "capabilities it can ever gain",
        capabilities
    ),
    Key {
        check,
        ..field!(
            ambient_capabilities,
            Restart,
            "capabilities it keeps though it is not root",
            capabilities
        )
    },
];

/// A set of capabilities, by the key that gives it.
fn capabilities(
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
            let hint = did_you_mean(short, CAPABILITIES.iter().copied());
            reader
                .report()
                .error(&node.at, key, format!("there is no capability `{name}`"))
                .hint_some(hint);
        }
    }
    Some(out)
}

/// Checks that each set is within the wider one: a process cannot keep what it can never have.
fn check(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, service: &mut Service) {
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
