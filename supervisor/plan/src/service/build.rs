//! One service file, rendered into a [`Service`]: every key is read, in the order of [`keys`], then
//! each is checked against the others.

use std::collections::BTreeMap;

use crate::{
    model::Service,
    read::{document::Document, fields::Fields, ident::ident},
    resolve::{locals::Locals, resolver::Resolver},
    service::{keys, reader::Reader},
};

/// Renders a service. After an error, which is reported, the result is unusable.
pub(crate) fn build(
    resolver: &mut Resolver<'_>,
    name: &str,
    document: &Document,
    enabled: bool,
) -> Service {
    let mut reader = Reader {
        resolver,
        namespace: ident(name),
        render: enabled,
        broken: None,
        locals: Locals::NONE,
        written: BTreeMap::new(),
    };
    let mut fields = Fields::new(&document.table, document.whole.clone(), "");
    let mut service = Service {
        name: name.to_owned(),
        enabled,
        ..Service::default()
    };
    for key in keys::all() {
        fields.entry(key.name);
        (key.read)(&mut reader, &mut fields, &mut service);
    }
    for key in keys::all() {
        (key.check)(&mut reader, &mut fields, &mut service);
    }
    fields.finish(&[], reader.report());
    service.broken = reader.broken.take();
    service
}
