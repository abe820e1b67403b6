//! From files to plan.

use std::collections::BTreeMap;

use crate::{
    check::{certificates, graph, places, ports, size, unworkable},
    declare::instances,
    host::machine::Host,
    load::{
        inputs::{Inputs, read_inputs},
        options::Options,
    },
    model::{NotifyTarget, Paths, Plan, Secrets, Service},
    read::{document::Document, ident::ident},
    report::{
        place::Place,
        problem::{Problems, Report},
    },
    resolve::{origins::Origins, resolver::Resolver},
    service::{build, tools},
    site::values::Site,
};

/// Reads and checks everything. All problems of all files come at once; warnings and notes of a
/// plan that is right are in [`Plan::remarks`].
pub fn load(host: &dyn Host, options: &Options) -> Result<Plan, Problems> {
    load_noting(host, options, &mut None)
}

/// The same, and where each variable of each enabled service was written, as far as that is known.
pub fn load_with_origins(host: &dyn Host, options: &Options) -> (Result<Plan, Problems>, Origins) {
    let mut origins = Some(Origins::new());
    let plan = load_noting(host, options, &mut origins);
    (plan, origins.unwrap_or_default())
}

fn load_noting(
    host: &dyn Host,
    options: &Options,
    origins: &mut Option<Origins>,
) -> Result<Plan, Problems> {
    let paths = Paths::new(options);
    let mut report = Report::default();
    let Inputs {
        schema,
        mut site,
        unreadable,
    } = read_inputs(host, options, &paths, &mut report);
    // Without them nearly every template would seem to lack something.
    let complete = !unreadable && !schema.unreadable;
    let mut resolver = Resolver::new(host, &paths, &schema, &site, &mut report);
    resolver.origins = origins.take();
    let services = services(&mut resolver, complete);
    let mut missing_secrets = std::mem::take(&mut resolver.missing_secrets);
    let given_secrets = std::mem::take(&mut resolver.given_secrets);
    *origins = resolver.origins.take();
    drop(resolver);
    missing_secrets.sort_by(|a, b| (&a.service, &a.key).cmp(&(&b.service, &b.key)));
    missing_secrets.dedup();
    let mut services = services;
    warn_without_root(host, &services, &site, &mut report);
    graph::check(&mut services, &schema, &mut report);
    ports::check(&services, &schema, &site, &mut report);
    tools::check(&services, &schema, &mut report);
    places::check(host.uid(), &paths, &services, &schema, &site, &mut report);
    let notify = notify(&mut site, complete, &mut report);
    let failed = report.has_errors();
    let enabled = services.values().filter(|service| service.enabled);
    for service in enabled.filter(|_| !failed) {
        certificates::report(host, service, &mut report);
    }
    if !failed {
        unworkable::report(host, &services, &schema, &mut report);
    }
    let remarks = report.into_sorted();
    if failed {
        return Err(Problems(remarks));
    }
    let secrets = secrets(host, &paths, given_secrets);
    let plan = Plan {
        paths,
        services: services
            .into_iter()
            .map(|(name, service)| (name, Box::new(service)))
            .collect(),
        control: site.control,
        manage_accounts: site.manage_accounts.unwrap_or(true),
        notify,
        secrets,
        missing_secrets,
        remarks,
    };
    match size::check(&plan) {
        Some(problem) => Err(Problems(vec![problem])),
        None => Ok(plan),
    }
}

/// All that is in the secrets file, which has been checked, and what was given elsewhere.
fn secrets(host: &dyn Host, paths: &Paths, given: Vec<(String, String, String)>) -> Secrets {
    let text = host.read(&paths.secrets_file()).unwrap_or_default();
    let table = toml::from_str(&String::from_utf8_lossy(&text));
    let mut secrets = Secrets(table.unwrap_or_default());
    for (section, key, value) in given {
        secrets.add(&section, &key, &value);
    }
    secrets
}

/// Targets of notifications. Targets in a file that cannot be read are unknown.
fn notify(site: &mut Site, complete: bool, report: &mut Report) -> Vec<NotifyTarget> {
    let drafts = std::mem::take(&mut site.notify);
    if !complete {
        return Vec::new();
    }
    drafts
        .into_iter()
        .filter_map(|(name, draft)| draft.finish(&name, report))
        .collect()
}

/// Without root no service can have a user of its own.
fn warn_without_root(
    host: &dyn Host,
    services: &BTreeMap<String, Service>,
    site: &Site,
    report: &mut Report,
) {
    let own = services
        .values()
        .any(|service| service.enabled && service.user.is_some());
    if host.uid() != 0 && own {
        let message = "without root all services run as the supervisor's own user: \
            each can read and signal the others, and no account is created";
        report.warning(&Place::whole(&site.path), "", message);
    }
}

fn services(resolver: &mut Resolver<'_>, complete: bool) -> BTreeMap<String, Service> {
    let schema = resolver.schema;
    let mut out = BTreeMap::new();
    for (name, document) in &schema.services {
        if document.unreadable {
            continue;
        }
        let enabled = complete && resolver.enabled(&ident(name)).unwrap_or(false);
        let mut service = build::build(resolver, name, document, enabled);
        if !enabled && complete {
            service.enable_hint = enable_hint(resolver, name, document);
        }
        if let Some(reason) = &service.broken {
            resolver.report.warning(
                &document.whole,
                "",
                format!("`{name}` cannot run on this host: {reason}"),
            );
        }
        out.insert(name.clone(), service);
    }
    unused_templates(resolver);
    out
}

/// A template without instances is checked all the same.
fn unused_templates(resolver: &mut Resolver<'_>) {
    let schema = resolver.schema;
    for (name, template) in &schema.templates {
        let document = &template.document;
        if document.unreadable || !template.instances.is_empty() {
            continue;
        }
        build::build(resolver, name, document, false);
        resolver.report.note(
            &document.whole,
            "",
            format!(
                "`{name}@` has no instances, so nothing of it runs: {name}.instances names them"
            ),
        );
    }
}

/// How a disabled service is enabled.
fn enable_hint(resolver: &mut Resolver<'_>, name: &str, document: &Document) -> String {
    let file = resolver.site.path.display().to_string();
    let own = ident(name);
    let name = &instances::key(name);
    if resolver.site.enable.contains_key(&own) {
        return format!("set {name}.enable = true in {file}");
    }
    if let Some(base) = resolver.schema.base(&own)
        && resolver.switched(&own).is_some()
    {
        let base = &resolver.schema.namespaces[base].name;
        return format!("set {base}.enable = true in {file}");
    }
    if let Some(group) = resolver.group_off(&own) {
        return format!("remove {}.enable = false from {file}", group.name);
    }
    if resolver.by_role(&own).is_none()
        && let Some(node) = document.table.get("enable").map(|entry| &entry.node)
        && let Some(text) = node.text()
    {
        let unset = resolver.unset_names(&own, text, &node.at);
        if !unset.is_empty() {
            return format!("set {} in {file}", text::list(&unset));
        }
        if let Some(other) = resolver.disabled_cause(&own, text, &node.at) {
            return enable_hint(resolver, &other, &resolver.schema.services[&other]);
        }
    }
    format!("set {name}.enable = true in {file}")
}
