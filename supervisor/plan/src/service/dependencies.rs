//! Dependencies of a service. Names are checked once all services are known.

use std::collections::BTreeSet;

use crate::{
    read::fields::Fields,
    service::{
        key::{Key, field},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[
    field!(
        requires,
        InPlace,
        "services that must be ready or completed first, and with which it is stopped",
        names
    ),
    field!(
        wants,
        InPlace,
        "services that are started before it; their failure does not hold it back",
        names
    ),
    field!(
        binds_to,
        InPlace,
        "as `requires`, and when one of them goes down, also by a crash, it is stopped",
        names
    ),
    field!(
        after,
        InPlace,
        "services that it starts after, if they start at all",
        names
    ),
];

fn names(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> BTreeSet<String> {
    reader
        .list_key(fields, key)
        .unwrap_or_default()
        .into_iter()
        .collect()
}
