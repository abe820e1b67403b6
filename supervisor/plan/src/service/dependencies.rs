//! What a service needs of others. Names are checked once all services are known.

use std::collections::BTreeSet;

use crate::{
    read::fields::Fields,
    service::{
        key::{Key, compare},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "requires",
        doc: "services that must be ready or completed first, and with which it is stopped",
        read: |reader, fields, service| {
            service.requires = names(reader, fields, "requires");
        },
        describe: |service, out| out.put("requires", &service.requires),
        compare: compare!(requires, InPlace),
        ..Key::IDLE
    },
    Key {
        name: "wants",
        doc: "services that are started before it; their failure does not hold it back",
        read: |reader, fields, service| {
            service.wants = names(reader, fields, "wants");
        },
        describe: |service, out| out.put("wants", &service.wants),
        compare: compare!(wants, InPlace),
        ..Key::IDLE
    },
    Key {
        name: "binds_to",
        doc: "as `requires`, and when one of them goes down, also by a crash, it is stopped",
        read: |reader, fields, service| {
            service.binds_to = names(reader, fields, "binds_to");
        },
        describe: |service, out| out.put("binds_to", &service.binds_to),
        compare: compare!(binds_to, InPlace),
        ..Key::IDLE
    },
    Key {
        name: "after",
        doc: "services that it starts after, if they start at all",
        read: |reader, fields, service| {
            service.after = names(reader, fields, "after");
        },
        describe: |service, out| out.put("after", &service.after),
        compare: compare!(after, InPlace),
        ..Key::IDLE
    },
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
