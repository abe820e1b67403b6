//! Differences between two plans, and the effect of each on a running service.

use std::{collections::BTreeMap, path::Path};

use api::PlanImpact;

use crate::{
    compare::{change::Change, rebinding},
    model::{Plan, Service},
    service::{key::Differences, keys},
};

/// Changes by name of the service: an entry for every service of either plan, except services that
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
                Change::new(PlanImpact::Start, why)
            }
            (Some(_), None) => {
                let why = if new.services.contains_key(name) {
                    "disabled"
                } else {
                    "removed"
                };
                Change::new(PlanImpact::Stop, why)
            }
            (Some(before), Some(after)) => compare(before, after),
        };
        out.insert(name.clone(), change);
    }
    rebinding::check(old, new, &mut out);
    out
}

/// Adds files that differ on disk from the new plan, though the plans agree: what
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
        // A service that starts reads its files then.
        if let Some(file) = file
            && !change.files.contains(path)
            && change.impact != PlanImpact::Start
        {
            change.because(
                file.on_change.impact(service),
                format!("file {} was missing or altered", path.display()),
            );
        }
    }
}

/// Adds directories that are there and belong to another account than the new plan says: they
/// change hands while nothing runs that has them. Names of services, each with a path.
pub fn add_owner_changes<'a>(
    changes: &mut BTreeMap<String, Change>,
    directories: impl Iterator<Item = (&'a str, &'a Path)>,
) {
    for (name, path) in directories {
        // A service that starts finds its directories changed.
        if let Some(change) = changes.get_mut(name)
            && !matches!(change.impact, PlanImpact::Start | PlanImpact::Stop)
        {
            let what = format!("owner of directory {} changes", path.display());
            change.because(PlanImpact::Restart, what);
        }
    }
}

/// Changes of the supervisor itself, for people. Never shows a value.
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
    let mut found = Differences::default();
    let broken = old.broken != new.broken;
    for key in keys::all() {
        (key.compare)(old, new, &mut found);
    }
    found.changed(PlanImpact::Restart, "what it needs on this host", broken);
    // The costliest reason comes first.
    found
        .reasons
        .sort_by_key(|(impact, _)| std::cmp::Reverse(*impact));
    let impact = found
        .reasons
        .first()
        .map_or(PlanImpact::Keep, |(impact, _)| *impact);
    let reasons = found
        .reasons
        .into_iter()
        .map(|(_, reason)| reason)
        .collect();
    Change {
        impact,
        reasons,
        files: found.files,
    }
}
