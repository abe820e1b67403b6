//! Warnings of what is well written and yet cannot work on this host as it is now: programs and
//! directories that are not there. They may be installed before the service starts.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::{
    check::graph::place, declare::schema::Schema, host::machine::Host, model::Service,
    read::document::Document, report::problem::Report,
};

/// Looks at all services that run here.
pub(crate) fn report(
    host: &dyn Host,
    services: &BTreeMap<String, Service>,
    schema: &Schema,
    report: &mut Report,
) {
    let enabled = services
        .values()
        .filter(|service| service.enabled && service.broken.is_none());
    let made = made(enabled.clone());
    let lacks = |path: &Path| host.is_missing(path) && !made.contains(path);
    for service in enabled {
        let document = &schema.services[&service.name];
        let dir = &service.working_dir;
        let program = lacking_program(service, lacks);
        // The warning about a program below the directory covers the directory.
        let both = program.is_some() && Path::new(&service.command[0]).starts_with(dir);
        if let Some(message) = program {
            warn(document, "command", &message, service, report);
        }
        if lacks(dir) && !both {
            let message = format!("there is no directory {}", dir.display());
            warn(document, "working_dir", &message, service, report);
        }
    }
}

fn warn(document: &Document, key: &str, message: &str, service: &Service, report: &mut Report) {
    let hint = match service.command_hint.as_str() {
        "" => "the service fails at its start unless it is there by then",
        hint => hint,
    };
    let at = place(document, key, "");
    report.warning(&at, key, message).hint(hint);
}

fn lacking_program(service: &Service, lacks: impl Fn(&Path) -> bool) -> Option<String> {
    let name = service.command.first()?;
    if name.starts_with('/') {
        return lacks(Path::new(name)).then(|| format!("there is no program {name}"));
    }
    if name.contains('/') {
        return None; // Below its working directory.
    }
    let path = &service.env.get("PATH")?.value;
    let mut dirs = path.split(':').filter(|dir| !dir.is_empty());
    let lacking = dirs.all(|dir| lacks(&Path::new(dir).join(name)));
    lacking.then(|| format!("there is no program {name} in {path}"))
}

/// Paths that the plan itself makes before any service starts.
fn made<'s>(services: impl Iterator<Item = &'s Service>) -> BTreeSet<PathBuf> {
    let all = services.flat_map(|service| {
        let directories = service.directories.iter().map(|it| it.path.clone());
        let files = service.files.iter().map(|it| it.path.clone());
        directories.chain(files)
    });
    all.collect()
}
