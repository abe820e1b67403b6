//! One service file, rendered into a [`Service`].

use std::{collections::BTreeSet, net::Ipv6Addr, path::PathBuf};

use crate::{
    model::Service,
    read::{
        document::{Document, Node},
        fields::Fields,
        ident::ident,
    },
    resolve::{locals::Locals, resolver::Resolver, search_path::SearchPath},
    service::{
        account::{account, groups, user},
        asserts, certificates, credentials,
        env::environment,
        files, job, limits, log, policy, probes, process,
        reader::Reader,
        ready, reload, schedule, stale_sockets, status_files, tools,
    },
};

/// What has been read, or is nobody's business, when a service is rendered.
const READ_BEFORE: [&str; 6] = [
    "enable",
    "settings",
    "sections",
    "patterns",
    "doc",
    "instances",
];

/// Renders a service. What is wrong is reported; the result then is of no use.
pub(crate) fn build(
    resolver: &mut Resolver<'_>,
    name: &str,
    document: &Document,
    enabled: bool,
    places: &SearchPath,
) -> Service {
    let mut reader = Reader {
        resolver,
        space: ident(name),
        render: enabled,
        broken: None,
        locals: Locals::NONE,
    };
    let mut fields = Fields::new(&document.table, document.whole.clone(), "");
    let reader = &mut reader;
    for key in READ_BEFORE {
        fields.entry(key);
    }
    let in_template = reader.resolver.world.spaces.get(&reader.space);
    if let Some(entry) = fields.entry("instances")
        && in_template.is_some_and(|space| space.instance.is_none())
    {
        reader
            .report()
            .error(
                &entry.key_at,
                "instances",
                "only a template can have instances",
            )
            .hint(format!("rename the file to {name}@.toml"));
    }
    let mut service = born(reader, name, &mut fields, enabled);
    limits::check_capabilities(reader, &mut fields, &service);
    service.enabled = enabled;
    if enabled {
        let mut environment = environment::environment(reader, &mut fields);
        let found = Some(&mut environment);
        crate::service::env::lint::check::check(reader, name, &mut fields, found, places);
        if let Some(origins) = &mut reader.resolver.origins {
            origins.insert(name.to_owned(), environment.origins());
        }
        service.env = environment.variables.into();
    } else {
        environment::check_env(reader, &mut fields);
        crate::service::env::lint::check::check(reader, name, &mut fields, None, places);
    }
    service.ready = ready::ready(reader, &mut fields);
    service.notify_access = ready::notify_access(reader, &mut fields);
    service.watchdog = ready::watchdog(reader, &mut fields);
    service.liveness = probes::other(reader, &mut fields, "liveness");
    service.health = probes::other(reader, &mut fields, "health");
    service.restart = policy::restart(reader, &mut fields, &service);
    service.exit_when_failed = reader
        .bool_key(&mut fields, "exit_when_failed")
        .unwrap_or(false);
    service.schedule = scheduled(reader, &mut fields, service.oneshot);
    job::check(reader, &mut fields, &service);
    service.stop = policy::stop(reader, &mut fields);
    service.reload = reload::reload(reader, &mut fields);
    service.limits = limits::limits(reader, &mut fields);
    service.log = log::log(reader, &mut fields);
    service.log_files = log::log_files(reader, &mut fields);
    service.directories = files::directories(reader, &mut fields);
    let account = service.user.is_some() || service.group.is_some();
    service.files = files::files(reader, &mut fields, places, account);
    service.credentials = credentials::credentials(reader, &mut fields);
    service.certificates = certificates::certificates(reader, &mut fields);
    service.watches = certificates::watches(reader, &mut fields);
    service.status_files = status_files::status_files(reader, &mut fields, places);
    reload::check(reader, &mut fields, &service);
    asserts::asserts(reader, name, &mut fields);
    service.tools = tools::tools(reader, name, &mut fields);
    if service.oneshot {
        warn_of_idle_tables(reader, &mut fields);
    }
    fields.finish(&[], reader.report());
    service.broken = reader.broken.take();
    service
}

/// What is asked of what stays up, and of nothing that ends.
fn warn_of_idle_tables(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) {
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

/// Only what ends can run again and again.
fn scheduled(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    oneshot: bool,
) -> Option<crate::model::Schedule> {
    let schedule = schedule::schedule(reader, fields);
    if let Some(entry) = fields.entry("schedule").filter(|_| !oneshot) {
        reader
            .report()
            .error(
                &entry.key_at,
                "schedule",
                "only a oneshot can have a schedule",
            )
            .hint("write type = \"oneshot\"");
    }
    schedule
}

/// What the process is and what it needs.
fn born(
    reader: &mut Reader<'_, '_>,
    name: &str,
    fields: &mut Fields<'_>,
    enabled: bool,
) -> Service {
    need_command(reader, name, fields);
    let id = |n: i64| u32::try_from(n).ok();
    let small = |n: i64| i32::try_from(n).ok();
    let max_id = i64::from(u32::MAX) - 1;
    Service {
        name: name.to_owned(),
        description: description(reader, fields),
        enabled,
        oneshot: reader
            .word_key(fields, "type", &[("daemon", false), ("oneshot", true)])
            .unwrap_or(false),
        job: job::job(reader, fields),
        command: reader.argv_key(fields, "command").unwrap_or_default(),
        validate: reader.argv_key(fields, "validate").unwrap_or_default(),
        user: user(reader, fields),
        group: account(reader, fields, "group"),
        groups: groups(reader, fields),
        uid: reader.int_key(fields, "uid", 0..=max_id).and_then(id),
        gid: reader.int_key(fields, "gid", 0..=max_id).and_then(id),
        home: reader.path_key(fields, "home", true),
        working_dir: reader
            .path_key(fields, "working_dir", false)
            .unwrap_or_else(|| PathBuf::from("/")),
        umask: reader.mode_key(fields, "umask").unwrap_or(0o022) & 0o777,
        nice: reader.int_key(fields, "nice", -20..=19).and_then(small),
        oom_score_adj: reader
            .int_key(fields, "oom_score_adj", -1000..=1000)
            .and_then(small),
        io_priority: process::io_priority(reader, fields),
        cpu_affinity: process::cpu_affinity(reader, fields),
        stdin: process::stdin(reader, fields),
        no_new_privs: reader.bool_key(fields, "no_new_privs").unwrap_or(false),
        capabilities: limits::capabilities(reader, fields, "capabilities"),
        capability_bounding_set: limits::capabilities(reader, fields, "capability_bounding_set"),
        ambient_capabilities: limits::capabilities(reader, fields, "ambient_capabilities"),
        requires: names(reader, fields, "requires"),
        wants: names(reader, fields, "wants"),
        binds_to: names(reader, fields, "binds_to"),
        after: names(reader, fields, "after"),
        listens: listens(reader, fields),
        stale_sockets: stale_sockets::stale_sockets(reader, fields),
        listens_hint: hint(reader, fields, "listens_hint"),
        command_hint: hint(reader, fields, "command_hint"),
        ..Service::default()
    }
}

/// What to do about something, in one line.
fn hint(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, key: &'static str) -> String {
    let text = reader.text_key(fields, key).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A service file without command is no service, or was meant to change another one.
fn need_command(reader: &mut Reader<'_, '_>, name: &str, fields: &mut Fields<'_>) {
    if fields.entry("command").is_none() {
        let at = fields.at.clone();
        let world = reader.resolver.world;
        let others = world
            .services
            .keys()
            .map(String::as_str)
            .filter(|other| *other != name);
        let near = crate::report::suggest::nearest(name, others)
            .map(|near| format!("to change the service `{near}`, call the file {near}.toml"));
        let example = "write command = [\"/path/to/program\", \"argument\"]";
        reader
            .report()
            .error(&at, "command", format!("`{name}` has no command"))
            .hint(near.unwrap_or_else(|| example.to_owned()));
    }
}

/// The description is shown for disabled services too, so it is rendered where it can be.
fn description(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> String {
    reader.text_key(fields, "description").unwrap_or_default()
}

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

fn listens(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<String> {
    let Some(node) = fields.node("listens") else {
        return Vec::new();
    };
    let list = reader.list(node, "listens").unwrap_or_default();
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

/// An IPv6 address that the site file gives without brackets is told there.
fn blame_address(reader: &mut Reader<'_, '_>, node: &Node, address: &str, why: String) {
    let site = reader.resolver.site;
    let mut bare = site.settings.iter().filter(|((space, _), given)| {
        let text = given.value.text();
        *space == reader.space
            && text.parse::<Ipv6Addr>().is_ok()
            && address.starts_with(text.as_str())
    });
    let Some(((space, key), given)) = bare.next() else {
        reader.report().error(&node.at, "listens", why);
        return;
    };
    let (at, text) = (given.at.clone(), given.value.text());
    let owner = &reader.resolver.world.spaces[space].name;
    let key = format!("{owner}.{key}");
    let message = "an IPv6 address stands in brackets where a port follows it";
    let problem = reader.report().error(&at, key, message);
    problem.hint(format!("write \"[{text}]\""));
}
