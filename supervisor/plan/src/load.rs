//! From files to plan.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use crate::{
    check::{certificates, graph, places, ports, size, unworkable},
    declare::{
        instances::{self, instance_file_hint},
        patterns,
        schema::{World, plain, valid_name},
    },
    host::machine::Host,
    model::{NotifyTarget, Paths, Plan, Secrets, Service},
    read::document::{self, Document, Place, merge},
    report::problem::{Problems, Report},
    resolve::resolver::Resolver,
    service::{build, files::Places, tools},
    site::{
        daemon::RESERVED,
        secrets,
        values::{self, Site},
    },
};

/// Where the catalogue is when nothing is said.
const CATALOG_DIR: &str = "/usr/share/mattervisor/services.d";
/// A `services.d` with more files than this is a mistake.
const MAX_SERVICES: usize = 1000;

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The root under which everything lies; `/` when installed.
    pub root: PathBuf,
    /// The catalogue's `services.d`; none: `/usr/share/mattervisor/services.d`.
    pub catalog: Option<PathBuf>,
}

impl Paths {
    /// The paths under a root; relative ones are taken from the current directory.
    pub fn new(options: &Options) -> Self {
        // Services have working directories of their own, so a relative path is taken from ours.
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let root = whole(&options.root);
        Self {
            etc_dir: root.join("etc/mattervisor"),
            state_dir: root.join("var/lib/mattervisor"),
            log_dir: root.join("var/log/mattervisor"),
            run_dir: root.join("run/mattervisor"),
            catalog_dir: whole(options.catalog.as_deref().unwrap_or(Path::new(CATALOG_DIR))),
            root,
        }
    }

    /// What the administrator edits.
    pub fn site_file(&self) -> PathBuf {
        self.etc_dir.join("mattervisor.toml")
    }

    /// Where secrets are, mode 0600.
    pub fn secrets_file(&self) -> PathBuf {
        self.etc_dir.join("secrets.toml")
    }
}

/// Reads and checks everything. All problems of all files come at once; warnings and notes of a
/// plan that is right are in [`Plan::remarks`].
pub fn load(host: &dyn Host, options: &Options) -> Result<Plan, Problems> {
    load_noting(host, options, &mut None)
}

/// The same, and where each variable of each enabled service was written, as far as that is known.
pub fn load_with_origins(
    host: &dyn Host,
    options: &Options,
) -> (Result<Plan, Problems>, crate::resolve::origins::Origins) {
    let mut origins = Some(crate::resolve::origins::Origins::new());
    let plan = load_noting(host, options, &mut origins);
    (plan, origins.unwrap_or_default())
}

fn load_noting(
    host: &dyn Host,
    options: &Options,
    origins: &mut Option<crate::resolve::origins::Origins>,
) -> Result<Plan, Problems> {
    let paths = Paths::new(options);
    let mut report = Report::default();
    let (world, mut site, damaged) = said(host, options, &paths, &mut report);
    // Without them nearly every template would seem to lack something.
    let complete = !damaged && !world.damaged;
    let mut resolver = Resolver::new(host, &paths, &world, &site, &mut report);
    resolver.origins = origins.take();
    let services = services(&mut resolver, &paths, complete);
    let mut missing_secrets = std::mem::take(&mut resolver.missing_secrets);
    let given_secrets = std::mem::take(&mut resolver.given_secrets);
    *origins = resolver.origins.take();
    drop(resolver);
    missing_secrets.sort_by(|a, b| (&a.service, &a.key).cmp(&(&b.service, &b.key)));
    missing_secrets.dedup();
    let mut services = services;
    warn_without_root(host, &services, &site, &mut report);
    graph::check(&mut services, &world, &mut report);
    ports::check(&services, &world, &site, &mut report);
    tools::check(&services, &world, &mut report);
    places::check(host.uid(), &paths, &services, &world, &site, &mut report);
    let notify = notify(&mut site, complete, &mut report);
    let failed = report.has_errors();
    let enabled = services.values().filter(|service| service.enabled);
    for service in enabled.filter(|_| !failed) {
        certificates::report(host, service, &mut report);
    }
    if !failed {
        unworkable::report(host, &services, &world, &mut report);
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

/// Who is told. What a file that cannot be read says of them is not known.
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

/// What may be said on this host, what the administrator says, and whether part of that could not
/// be read.
pub(crate) fn said(
    host: &dyn Host,
    options: &Options,
    paths: &Paths,
    report: &mut Report,
) -> (World, Site, bool) {
    let site_file = paths.site_file();
    let document = document::read(host, &site_file, report);
    let document = document.unwrap_or_else(|| Document::empty(&site_file));
    let world = world(host, options, paths, &document, report);
    let (site, damaged) = site(host, paths, &document, &world, report);
    (world, site, damaged)
}

/// Everything declared by the catalogue and the administrator's own service files.
fn world(
    host: &dyn Host,
    options: &Options,
    paths: &Paths,
    site: &Document,
    report: &mut Report,
) -> World {
    let own_dir = paths.etc_dir.join("services.d");
    let shipped = documents(host, &paths.catalog_dir, report);
    if shipped.is_none() {
        let at = Place::whole(&paths.catalog_dir);
        if options.catalog.is_some() {
            report
                .error(&at, "", "there is no catalogue here")
                .hint("--catalog names the directory with the service files");
        } else {
            report
                .warning(
                    &at,
                    "",
                    "there is no catalogue here: only your own services run",
                )
                .hint("--catalog or MATTERVISOR_CATALOG names the directory of the shipped service files");
        }
    }
    let mut all = shipped.unwrap_or_default();
    let catalog = all.remove("catalog");
    for (name, document) in documents(host, &own_dir, report).unwrap_or_default() {
        if name == "catalog" {
            report.warning(
                &document.whole,
                "",
                "only the catalogue can have a catalog.toml; this one is not read",
            );
            continue;
        }
        match all.get_mut(&name) {
            Some(below) => {
                below.damaged |= document.damaged;
                merge(&mut below.table, document.table);
            }
            None => {
                all.insert(name, document);
            }
        }
    }
    let mut world = World::default();
    for (name, mut document) in all {
        patterns::expand(&mut document, report);
        match name.strip_suffix('@') {
            Some(template) => world.add_template(template, document, site, report),
            None => world.add_service(&name, document, report),
        }
    }
    if let Some(catalog) = catalog {
        world.add_catalog(&catalog, report);
    }
    world
}

/// The TOML files of a directory by stem. None: there is no such directory.
fn documents(
    host: &dyn Host,
    dir: &Path,
    report: &mut Report,
) -> Option<BTreeMap<String, Document>> {
    let at = Place::whole(dir);
    let files = match host.list(dir) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            report.error(&at, "", format!("cannot read the directory: {error}"));
            return Some(BTreeMap::new());
        }
    };
    let mut out = BTreeMap::new();
    for path in files {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || path.extension().is_none_or(|ext| ext != "toml") {
            continue;
        }
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let plain_name = name.strip_suffix('@').unwrap_or(&name);
        if !valid_name(plain_name) || RESERVED.contains(&plain_name) {
            report
                .error(
                    &Place::whole(&path),
                    "",
                    format!("`{}` cannot be the name of a service", name.escape_debug()),
                )
                .hint(if valid_name(plain_name) {
                    "the name has a meaning of its own in the site file: choose another".to_owned()
                } else if name.contains('@') {
                    let known: Vec<String> = out.keys().cloned().collect();
                    instance_file_hint(&name, &known)
                } else {
                    "use letters, digits, `-` and `_`".to_owned()
                });
            continue;
        }
        if out.len() == MAX_SERVICES {
            report.error(
                &at,
                "",
                format!("there are more than {MAX_SERVICES} service files"),
            );
            break;
        }
        if let Some(document) = document::read(host, &path, report) {
            out.insert(name, document);
        }
    }
    Some(out)
}

/// What the administrator says, and whether part of it could not be read.
fn site(
    host: &dyn Host,
    paths: &Paths,
    document: &Document,
    world: &World,
    report: &mut Report,
) -> (Site, bool) {
    let mut damaged = document.damaged;
    let mut site = values::read(document, world, false, report);
    site.check_mode(host, report);
    let path = paths.secrets_file();
    if let Some(document) = document::read(host, &path, report) {
        damaged |= document.damaged;
        secrets::check_secrets_mode(host, &path, report);
        let secrets = values::read(&document, world, true, report);
        site.add_secrets(secrets, report);
    }
    (site, damaged)
}

fn services(
    resolver: &mut Resolver<'_>,
    paths: &Paths,
    complete: bool,
) -> BTreeMap<String, Service> {
    let places = Places {
        dirs: vec![paths.etc_dir.join("services.d"), paths.catalog_dir.clone()],
    };
    let world = resolver.world;
    let mut out = BTreeMap::new();
    for (name, document) in &world.services {
        if document.damaged {
            continue;
        }
        let enabled = complete && resolver.enabled(&plain(name)).unwrap_or(false);
        let mut service = build::build(resolver, name, document, enabled, &places);
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
    unused_templates(resolver, &places);
    out
}

/// A template without instances is checked all the same.
fn unused_templates(resolver: &mut Resolver<'_>, places: &Places) {
    let world = resolver.world;
    for (name, template) in &world.templates {
        let document = &template.document;
        if document.damaged || !template.instances.is_empty() {
            continue;
        }
        build::build(resolver, name, document, false, places);
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
    let own = plain(name);
    let name = &instances::key(name);
    if resolver.site.enable.contains_key(&own) {
        return format!("set {name}.enable = true in {file}");
    }
    if let Some(base) = resolver.world.base(&own)
        && resolver.switched(&own).is_some()
    {
        let base = &resolver.world.spaces[base].name;
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
            return format!("set {} in {file}", unset.join(" and "));
        }
        if let Some(other) = resolver.disabled_cause(&own, text, &node.at) {
            return enable_hint(resolver, &other, &resolver.world.services[&other]);
        }
    }
    format!("set {name}.enable = true in {file}")
}
