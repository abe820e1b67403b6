//! The files of configuration, read and checked: what the service files declare, and what the site
//! file and `secrets.toml` say of it.

use std::{collections::BTreeMap, io, path::Path};

use crate::{
    declare::{instances::instance_file_hint, patterns, schema::Schema},
    host::machine::Host,
    load::options::Options,
    model::plan::Paths,
    read::{
        document::{self, Document, merge},
        ident::is_valid_name,
    },
    report::{place::Place, problem::Report},
    service::keys,
    site::{
        daemon::RESERVED,
        secrets,
        values::{self, Site},
    },
};

/// A `services.d` with more files than this is a mistake.
const MAX_SERVICES: usize = 1000;

/// The schema of this host, and the administrator's values.
pub(crate) struct Inputs {
    pub(crate) schema: Schema,
    pub(crate) site: Site,
    /// A file that the administrator writes could be read in part only.
    pub(crate) unreadable: bool,
}

/// Reads and checks all files but the templates.
pub(crate) fn read_inputs(
    host: &dyn Host,
    options: &Options,
    paths: &Paths,
    report: &mut Report,
) -> Inputs {
    let site_file = paths.site_file();
    let document = document::read(host, &site_file, report);
    let document = document.unwrap_or_else(|| Document::empty(&site_file));
    let schema = schema(host, options, paths, &document, report);
    let (site, unreadable) = site(host, paths, &document, &schema, report);
    Inputs {
        schema,
        site,
        unreadable,
    }
}

/// Everything declared by the catalogue and the administrator's own service files.
fn schema(
    host: &dyn Host,
    options: &Options,
    paths: &Paths,
    site: &Document,
    report: &mut Report,
) -> Schema {
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
                below.unreadable |= document.unreadable;
                merge(&mut below.table, document.table);
            }
            None => {
                all.insert(name, document);
            }
        }
    }
    let mut schema = Schema {
        service_keys: keys::names(),
        ..Schema::default()
    };
    for (name, mut document) in all {
        patterns::expand(&mut document, report);
        match name.strip_suffix('@') {
            Some(template) => schema.add_template(template, document, site, report),
            None => schema.add_service(&name, document, report),
        }
    }
    if let Some(catalog) = catalog {
        schema.add_catalog(&catalog, report);
    }
    schema
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
        if !is_valid_name(plain_name) || RESERVED.contains(&plain_name) {
            report
                .error(
                    &Place::whole(&path),
                    "",
                    format!("`{}` cannot be the name of a service", name.escape_debug()),
                )
                .hint(if is_valid_name(plain_name) {
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

/// The administrator's values, and whether part of them could not be read.
fn site(
    host: &dyn Host,
    paths: &Paths,
    document: &Document,
    schema: &Schema,
    report: &mut Report,
) -> (Site, bool) {
    let mut unreadable = document.unreadable;
    let mut site = values::read(document, schema, false, report);
    site.check_mode(host, report);
    let path = paths.secrets_file();
    if let Some(document) = document::read(host, &path, report) {
        unreadable |= document.unreadable;
        secrets::check_secrets_mode(host, &path, report);
        let secrets = values::read(&document, schema, true, report);
        site.add_secrets(secrets, report);
    }
    (site, unreadable)
}
