//! What differs between two plans, and what each difference means for a running service.

use std::{collections::BTreeMap, path::Path};

use crate::{
    compare::{
        change::{Change, ChangeKind},
        rebinding,
    },
    model::{NotifyAccess, OnChange, Plan, ReadyKind, Service},
};

/// What changes, by name of the service. Every service of either plan is there, but those that
/// are disabled in both.
pub fn changes(old: &Plan, new: &Plan) -> BTreeMap<String, Change> {
    let mut out = BTreeMap::new();
    let names = old.services.keys().chain(new.services.keys());
    for name in names {
        let before = old.services.get(name).filter(|service| service.enabled);
        let after = new.services.get(name).filter(|service| service.enabled);
        let change = match (before, after) {
            (None, None) => continue,
            (None, Some(_)) => {
                let why = if old.services.contains_key(name) {
                    "enabled"
                } else {
                    "added"
                };
                Change {
                    kind: ChangeKind::Start,
                    reasons: vec![why.to_owned()],
                }
            }
            (Some(_), None) => {
                let why = if new.services.contains_key(name) {
                    "disabled"
                } else {
                    "removed"
                };
                Change {
                    kind: ChangeKind::Stop,
                    reasons: vec![why.to_owned()],
                }
            }
            (Some(before), Some(after)) => compare(before, after),
        };
        out.insert(name.clone(), change);
    }
    rebinding::check(old, new, &mut out);
    out
}

/// Adds files that are on disk otherwise than the new plan has them, though the plans agree: what
/// runs may have read them. `files` are names of services, each with a path.
pub fn add_altered<'a>(
    changes: &mut BTreeMap<String, Change>,
    new: &Plan,
    files: impl Iterator<Item = (&'a str, &'a Path)>,
) {
    for (name, path) in files {
        let (Some(change), Some(service)) = (changes.get_mut(name), new.services.get(name)) else {
            continue;
        };
        let file = service.files.iter().find(|file| file.path == path);
        let named = format!("file {} ", path.display());
        let known = change.reasons.iter().any(|why| why.starts_with(&named));
        // One that starts reads it then.
        if let Some(file) = file
            && !known
            && change.kind != ChangeKind::Start
        {
            change.because(
                kind_of(file.on_change, service),
                format!("{named}was missing or altered"),
            );
        }
    }
}

/// Adds directories that are there and belong to another account than the new plan says: they change
/// hands while nothing runs that has them. Names of services, each with a path.
pub fn add_owner_changes<'a>(
    changes: &mut BTreeMap<String, Change>,
    directories: impl Iterator<Item = (&'a str, &'a Path)>,
) {
    for (name, path) in directories {
        // One that starts finds it done.
        if let Some(change) = changes.get_mut(name)
            && !matches!(change.kind, ChangeKind::Start | ChangeKind::Stop)
        {
            let what = format!("owner of directory {} changes", path.display());
            change.because(ChangeKind::Restart, what);
        }
    }
}

/// What changes of the supervisor itself, in words. Never a value.
pub fn site_changes(old: &Plan, new: &Plan) -> Vec<String> {
    let differs = [
        ("control", old.control != new.control),
        (
            "manage_accounts",
            old.manage_accounts != new.manage_accounts,
        ),
    ];
    let named = differs.into_iter().filter(|(_, differs)| *differs);
    let mut out: Vec<String> = named.map(|(what, _)| format!("{what} changed")).collect();
    let target = |plan: &Plan, name: &str| plan.notify.iter().find(|it| it.name == name).cloned();
    for after in &new.notify {
        match target(old, &after.name) {
            None => out.push(format!("notify {} added", after.name)),
            Some(before) if before != *after => out.push(format!("notify {} changed", after.name)),
            Some(_) => {}
        }
    }
    for before in &old.notify {
        if target(new, &before.name).is_none() {
            out.push(format!("notify {} removed", before.name));
        }
    }
    out
}

fn compare(old: &Service, new: &Service) -> Change {
    let mut change = Change {
        kind: ChangeKind::Keep,
        reasons: Vec::new(),
    };
    process(old, new, &mut change);
    environment(old, new, &mut change);
    files(old, new, &mut change);
    in_place(old, new, &mut change);
    change
}

/// What a process has from its birth.
fn process(old: &Service, new: &Service, change: &mut Change) {
    let differs = [
        ("type", old.oneshot != new.oneshot),
        ("command", old.command != new.command),
        ("user", old.user != new.user || old.uid != new.uid),
        ("group", old.group != new.group || old.gid != new.gid),
        ("groups", old.groups != new.groups),
        ("working_dir", old.working_dir != new.working_dir),
        ("umask", old.umask != new.umask),
        ("nice", old.nice != new.nice),
        ("oom_score_adj", old.oom_score_adj != new.oom_score_adj),
        ("io_priority", old.io_priority != new.io_priority),
        ("cpu_affinity", old.cpu_affinity != new.cpu_affinity),
        ("stdin", old.stdin != new.stdin),
        ("limits", old.limits != new.limits),
        ("no_new_privs", old.no_new_privs != new.no_new_privs),
        ("capabilities", old.capabilities != new.capabilities),
        (
            "capability_bounding_set",
            old.capability_bounding_set != new.capability_bounding_set,
        ),
        (
            "ambient_capabilities",
            old.ambient_capabilities != new.ambient_capabilities,
        ),
        // Without a notify socket from its birth it cannot say so.
        ("notify", old.has_notify_socket() != new.has_notify_socket()),
        (
            "notify_access",
            by_main_alone(old) != by_main_alone(new) && new.has_notify_socket(),
        ),
        ("ready.fd", ready_fd(old) != ready_fd(new)),
        // It is told by its environment how often to say so.
        ("watchdog.timeout", watchdog_ms(old) != watchdog_ms(new)),
        ("what it needs on this host", old.broken != new.broken),
    ];
    for (what, _) in differs.into_iter().filter(|(_, differs)| *differs) {
        change.because(ChangeKind::Restart, format!("{what} changed"));
    }
}

fn by_main_alone(service: &Service) -> bool {
    service.notify_access == Some(NotifyAccess::Main)
}

const fn ready_fd(service: &Service) -> Option<i32> {
    match service.ready.kind {
        ReadyKind::Fd(number) => Some(number),
        _ => None,
    }
}

fn watchdog_ms(service: &Service) -> Option<u64> {
    service.watchdog.map(|it| it.timeout_ms)
}

fn environment(old: &Service, new: &Service, change: &mut Change) {
    for (name, variable) in new.env.iter() {
        match old.env.get(name) {
            None => change.because(ChangeKind::Restart, format!("env {name} added")),
            Some(before) if before.value != variable.value => {
                change.because(ChangeKind::Restart, format!("env {name} changed"));
            }
            Some(_) => {}
        }
    }
    for name in old.env.keys().filter(|name| !new.env.contains_key(name)) {
        change.because(ChangeKind::Restart, format!("env {name} removed"));
    }
}

fn files(old: &Service, new: &Service, change: &mut Change) {
    for file in &new.files {
        let name = file.path.display();
        let before = old.files.iter().find(|before| before.path == file.path);
        let Some(before) = before else {
            change.because(kind_of(file.on_change, new), format!("file {name} added"));
            continue;
        };
        if before.content != file.content && !file.create_only {
            change.because(kind_of(file.on_change, new), format!("file {name} changed"));
        }
        let owner =
            (before.mode, &before.user, &before.group) != (file.mode, &file.user, &file.group);
        if owner && !file.create_only {
            change.because(
                ChangeKind::InPlace,
                format!("mode or owner of file {name} changed"),
            );
        }
        if (&before.validate, before.on_change, before.create_only)
            != (&file.validate, file.on_change, file.create_only)
        {
            change.because(
                ChangeKind::InPlace,
                format!("handling of file {name} changed"),
            );
        }
    }
    for file in old
        .files
        .iter()
        .filter(|file| new.files.iter().all(|now| now.path != file.path))
    {
        change.because(
            ChangeKind::InPlace,
            format!("file {} is not rendered any more", file.path.display()),
        );
    }
}

/// A service that cannot reload is restarted.
fn kind_of(on_change: OnChange, service: &Service) -> ChangeKind {
    match on_change {
        OnChange::Reload if service.reload.is_some() => ChangeKind::Reload,
        OnChange::Reload | OnChange::Restart => ChangeKind::Restart,
        OnChange::Nothing => ChangeKind::InPlace,
    }
}

fn in_place(old: &Service, new: &Service, change: &mut Change) {
    let differs = [
        ("description", old.description != new.description),
        ("home", old.home != new.home),
        ("validate", old.validate != new.validate),
        ("requires", old.requires != new.requires),
        ("wants", old.wants != new.wants),
        ("binds_to", old.binds_to != new.binds_to),
        ("after", old.after != new.after),
        ("listens", old.listens != new.listens),
        ("command_hint", old.command_hint != new.command_hint),
        ("listens_hint", old.listens_hint != new.listens_hint),
        ("stale_sockets", old.stale_sockets != new.stale_sockets),
        ("tools", old.tools != new.tools),
        ("credentials", old.credentials != new.credentials),
        ("certificates", old.certificates != new.certificates),
        ("watches", old.watches != new.watches),
        ("status_files", old.status_files != new.status_files),
        ("ready", old.ready != new.ready),
        ("liveness", old.liveness != new.liveness),
        ("health", old.health != new.health),
        ("restart policy", old.restart != new.restart),
        (
            "exit_when_failed",
            old.exit_when_failed != new.exit_when_failed,
        ),
        ("schedule", old.schedule != new.schedule),
        ("job", old.job != new.job),
        ("log_files", old.log_files != new.log_files),
        ("stop", old.stop != new.stop),
        ("reload", old.reload != new.reload),
        ("log", old.log != new.log),
        ("directories", old.directories != new.directories),
    ];
    for (what, _) in differs.into_iter().filter(|(_, differs)| *differs) {
        change.because(ChangeKind::InPlace, format!("{what} changed"));
    }
}
