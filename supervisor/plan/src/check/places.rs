//! Directories, files and sockets of services lie neither in each other's directories nor in the
//! supervisor's own places.
//!
//! The owner of a directory can replace anything in it: what is root's, or another
//! account's, must not be looked for there. Found here, it is told before anything is done; the
//! disk may still hold a link that leads elsewhere, which is refused when it is walked through.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    check::graph::place,
    declare::schema::Schema,
    model::{Paths, Service},
    read::ident::ident,
    report::{place::Place, problem::Report},
    site::values::Site,
};

/// Names that the supervisor uses in its run directory.
const IN_RUN: &[&str] = &["runs", "lock", "ctl.sock", "notify"];
/// Names that the supervisor uses in its state directory.
const IN_STATE: &[&str] = &[
    "plan.json",
    "kept-plans.json",
    "holds.json",
    "maintenance.json",
    "schedule.json",
    "owner-changes.json",
    "changes",
    "jobs",
    "lock",
];
/// Files of the administrator.
const IN_ETC: &[&str] = &["mattervisor.toml", "secrets.toml", "services.d"];

/// A directory or file of a service, and whose it is.
struct Wanted<'s> {
    service: &'s str,
    key: &'static str,
    path: &'s Path,
    /// The owner; none: root.
    owner: Option<&'s str>,
}

/// Looks at all that enabled services want to have made.
pub(crate) fn check(
    uid: u32,
    paths: &Paths,
    services: &BTreeMap<String, Service>,
    schema: &Schema,
    site: &Site,
    report: &mut Report,
) {
    let enabled = || services.values().filter(|service| service.enabled);
    let directories: Vec<_> = enabled().flat_map(directories).collect();
    let files: Vec<_> = enabled().flat_map(files).collect();
    let copies: Vec<_> = enabled().flat_map(copies).collect();
    let status_files: Vec<_> = enabled().flat_map(status_files).collect();
    let sockets: Vec<_> = enabled().flat_map(sockets).collect();
    let all = directories.iter().chain(&files).chain(&copies);
    for it in all.chain(&status_files).chain(&sockets) {
        let at = || said(it, schema, site);
        if let Some((what, hint)) = own_place(paths, it) {
            let (at, key) = at();
            let message = format!("`{}` cannot have {}: {what}", it.service, it.path.display());
            report.error(&at, key, message).hint(hint);
            continue;
        }
        // Without root they all have one owner.
        if uid == 0
            && let Some(other) = directories.iter().find(|other| clash(it, other))
        {
            let (at, key) = at();
            report
                .error(&at, key, clash_of(it, other))
                .hint("choose a directory that is not another account's, nor below one");
        }
    }
}

fn directories(service: &Service) -> impl Iterator<Item = Wanted<'_>> {
    let wanted = |it| Wanted::of(service, "directories", it);
    let all = service.directories.iter();
    all.map(move |it| wanted((&it.path, it.user.as_ref().or(service.user.as_ref()))))
}

/// A file without a user of its own is the service's where its directory is.
fn files(service: &Service) -> impl Iterator<Item = Wanted<'_>> {
    let wanted = |it| Wanted::of(service, "files", it);
    let all = service.files.iter();
    all.map(move |it| wanted((&it.path, it.user.as_ref().or(service.user.as_ref()))))
}

/// A copy of a credential is root's.
fn copies(service: &Service) -> impl Iterator<Item = Wanted<'_>> {
    let all = service.credentials.iter();
    all.map(|it| Wanted::of(service, "credentials", (&it.path, None)))
}

/// A status file belongs to root.
fn status_files(service: &Service) -> impl Iterator<Item = Wanted<'_>> {
    let all = service.status_files.iter();
    all.map(|it| Wanted::of(service, "status_files", (&it.path, None)))
}

/// A socket is its service's.
fn sockets(service: &Service) -> impl Iterator<Item = Wanted<'_>> {
    let wanted = |it| Wanted::of(service, "stale_sockets", it);
    let all = service.stale_sockets.iter();
    all.map(move |it| wanted((it, service.user.as_ref())))
}

impl<'s> Wanted<'s> {
    fn of(
        service: &'s Service,
        key: &'static str,
        (path, user): (&'s Path, Option<&'s String>),
    ) -> Self {
        Self {
            service: &service.name,
            key,
            path,
            owner: owner(user),
        }
    }
}

fn owner(user: Option<&String>) -> Option<&str> {
    user.map(String::as_str)
        .filter(|user| !matches!(*user, "root" | "0"))
}

/// Why a path collides with the supervisor's own, and what to do.
fn own_place(paths: &Paths, it: &Wanted<'_>) -> Option<(String, &'static str)> {
    let path = it.path;
    let roots = [
        &paths.etc_dir,
        &paths.state_dir,
        &paths.log_dir,
        &paths.run_dir,
    ];
    if let Some(own) = roots.iter().find(|own| own.starts_with(path)) {
        let what = if own.as_path() == path {
            "that is the supervisor's own directory".to_owned()
        } else {
            format!("the supervisor's {} lies below it", own.display())
        };
        return Some((what, "name a directory of its own below it"));
    }
    if path.starts_with(&paths.log_dir) {
        let what = "that is where the supervisor keeps the logs".to_owned();
        return Some((what, "choose another directory"));
    }
    let kept =
        |dir: &PathBuf, names: &[&str]| names.iter().any(|name| path.starts_with(dir.join(name)));
    let kept = kept(&paths.run_dir, IN_RUN)
        || kept(&paths.state_dir, IN_STATE)
        || kept(&paths.etc_dir, IN_ETC);
    kept.then(|| {
        let what = "the supervisor keeps something of its own there".to_owned();
        (what, "choose another name")
    })
}

/// Whether `it` lies in a directory of another account, or both are one path with two owners.
fn clash(it: &Wanted<'_>, other: &Wanted<'_>) -> bool {
    let same = it.path == other.path;
    let below = !same && it.path.starts_with(other.path);
    it.owner != other.owner && (same || below && other.owner.is_some())
}

fn clash_of(it: &Wanted<'_>, other: &Wanted<'_>) -> String {
    let (path, theirs) = (it.path.display(), other.path.display());
    let (name, user) = (it.service, it.owner.unwrap_or("root"));
    let (service, owner) = (other.service, other.owner.unwrap_or("root"));
    if it.path == other.path {
        return format!("{path} of `{name}` is to be {user}'s, but of `{service}` {owner}'s");
    }
    format!(
        "{path} of `{name}` is to be {user}'s, but lies in {theirs} of `{service}`, where {owner} could put anything in its place"
    )
}

/// Where the site file names the path, or else the service file.
fn said(it: &Wanted<'_>, schema: &Schema, site: &Site) -> (Place, String) {
    let text = it.path.to_str().unwrap_or_default();
    let mut own = (site.settings.iter()).filter(|((namespace, _), given)| {
        *namespace == ident(it.service) && given.value.text() == text
    });
    own.next().map_or_else(
        || {
            let document = &schema.services[it.service];
            let key = match it.key {
                "stale_sockets" => it.key.to_owned(),
                table => format!("{table}.path"),
            };
            (place(document, it.key, text), key)
        },
        |((_, key), given)| (given.at.clone(), format!("{}.{key}", it.service)),
    )
}
