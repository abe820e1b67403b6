//! Basics of a service: its program, and whether and how it runs here.

use api::PlanImpact;

use crate::{
    model::Service,
    read::fields::Fields,
    report::suggest::nearest,
    service::{
        key::{Key, compare, field},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[
    Key {
        of_disabled: true,
        ..field!(
            description,
            InPlace,
            "one line for people",
            |reader, fields, key| reader.text_key(fields, key).unwrap_or_default()
        )
    },
    Key {
        name: "command",
        doc: "program and arguments; no shell reads it. Without a slash the program is looked up in PATH",
        read: |reader, fields, service| {
            need_command(reader, &service.name, fields);
            service.command = reader.argv_key(fields, "command").unwrap_or_default();
        },
        describe: |service, out| out.put("command", &service.command),
        compare: compare!(command, Restart),
        ..Key::IDLE
    },
    field!(
        command_hint,
        InPlace,
        "what to say, besides, when its program or working directory is missing: what brings it",
        |reader, fields, key| reader.words_key(fields, key)
    ),
    field!(
        validate,
        InPlace,
        "command that must succeed before every start and reload; a line of it that begins with `<4>` (or `<0>` to `<3>`) is a warning in `ctl events`",
        |reader, fields, key| reader.argv_key(fields, key).unwrap_or_default()
    ),
    Key {
        name: "enable",
        doc: "whether it runs on this host: `true` (default), `false` or a template",
        of_disabled: true,
        describe: |service, out| out.put("enable", service.enabled),
        ..Key::IDLE
    },
    Key {
        name: "instances",
        doc: "in a template, `NAME@.toml`: names of its instances, or how many",
        check: instances,
        ..Key::IDLE
    },
    Key {
        name: "type",
        doc: "`daemon` (default) stays up, `oneshot` runs to its end",
        read: |reader, fields, service| {
            let words = [("daemon", false), ("oneshot", true)];
            service.oneshot = reader.word_key(fields, "type", &words).unwrap_or(false);
        },
        check: warn_of_idle_tables,
        describe: |service, out| {
            out.put("type", if service.oneshot { "oneshot" } else { "daemon" });
        },
        compare: |old, new, out| {
            out.changed(PlanImpact::Restart, "type", old.oneshot != new.oneshot);
        },
        ..Key::IDLE
    },
];

/// A service file without command is no service, or was meant to change another one.
fn need_command(reader: &mut Reader<'_, '_>, name: &str, fields: &mut Fields<'_>) {
    if fields.entry("command").is_none() {
        let at = fields.at.clone();
        let schema = reader.resolver.schema;
        let others = schema
            .services
            .keys()
            .map(String::as_str)
            .filter(|other| *other != name);
        let near = nearest(name, others)
            .map(|near| format!("to change the service `{near}`, call the file {near}.toml"));
        let example = "write command = [\"/path/to/program\", \"argument\"]";
        reader
            .report()
            .error(&at, "command", format!("`{name}` has no command"))
            .hint(near.unwrap_or_else(|| example.to_owned()));
    }
}

/// Only a template has instances.
fn instances(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, service: &mut Service) {
    let in_template = reader.resolver.schema.namespaces.get(&reader.namespace);
    if let Some(entry) = fields.entry("instances")
        && in_template.is_some_and(|namespace| namespace.instance.is_none())
    {
        let message = "only a template can have instances";
        reader
            .report()
            .error(&entry.key_at, "instances", message)
            .hint(format!("rename the file to {}@.toml", service.name));
    }
}

/// Warns of tables that mean nothing for a service that ends by itself.
fn warn_of_idle_tables(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    service: &mut Service,
) {
    if !service.oneshot {
        return;
    }
    for table in ["ready", "liveness", "health", "watchdog", "reload"] {
        let entry = fields.entry(table);
        // `false` switches off what another file says.
        let Some(entry) = entry.filter(|it| it.node.table().is_some()) else {
            continue;
        };
        let message = format!("`[{table}]` of a oneshot is not used: it is done when it has ended");
        reader
            .report()
            .warning(&entry.key_at, table, message)
            .hint("leave it out, or write type = \"daemon\"");
    }
}
