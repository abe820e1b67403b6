//! Says the plan that runs, and what the files would make of it, in the words of the API. Blocks
//! where it reads files; not for the control thread.

use api::{
    ConfigKey, DiffReply, ErrorKind, ErrorReply, KeyDiff, PlanReply, ServiceConfig, ServiceDiff,
};
use plan::{ChangeKind, Options, Plan, shown};

use crate::configuration;

/// Problems that are told; the rest is counted by `ctl check-config`.
const PROBLEMS_TOLD_MAX: usize = 50;

/// The plan, or of it those services that are named.
pub(crate) fn plan(plan: &Plan, names: &[String]) -> PlanReply {
    let wanted = |name: &String| names.is_empty() || names.contains(name);
    let services = plan.services.values().filter(|it| wanted(&it.name));
    let services = services.map(|service| ServiceConfig {
        name: service.name.clone(),
        keys: shown::service(service).into_iter().map(key).collect(),
    });
    let site = if names.is_empty() {
        shown::site(plan)
    } else {
        Vec::new()
    };
    PlanReply {
        site: site.into_iter().map(key).collect(),
        services: services.collect(),
    }
}

fn key(shown: shown::Shown) -> ConfigKey {
    ConfigKey {
        key: shown.key,
        value: shown.value,
        secret: shown.secret,
        source: shown.source.map(str::to_owned),
    }
}

/// What a reconfigure would change of it. The names may be of either plan.
pub(crate) fn diff(
    options: &Options,
    running: &Plan,
    names: &[String],
) -> Result<DiffReply, ErrorReply> {
    let new = configuration::load_only(options).map_err(|problems| refused(&problems))?;
    // A name of either plan is one that may be asked about.
    let mut both = running.services.clone();
    both.extend(
        new.services
            .iter()
            .map(|(name, it)| (name.clone(), it.clone())),
    );
    let names = crate::control::matching(names, &both)?;
    let wanted = |name: &String| names.is_empty() || names.contains(name);
    let changes = plan::changes(running, &new).into_iter();
    let changes = changes.filter(|(name, change)| change.kind != ChangeKind::Keep && wanted(name));
    let services = changes.map(|(name, change)| ServiceDiff {
        keys: keys(running, &new, &name),
        name,
        action: change.kind.to_string(),
        reasons: change.reasons,
    });
    let site = if names.is_empty() {
        plan::site_changes(running, &new)
    } else {
        Vec::new()
    };
    Ok(DiffReply {
        site,
        services: services.collect(),
    })
}

/// Values before and after, for a service that is in both plans.
fn keys(old: &Plan, new: &Plan, name: &str) -> Vec<KeyDiff> {
    let (Some(old), Some(new)) = (old.services.get(name), new.services.get(name)) else {
        return Vec::new();
    };
    if !(old.enabled && new.enabled) {
        return Vec::new();
    }
    let before = shown::service(old);
    let after = shown::service(new);
    let value = |list: &[shown::Shown], key: &str| {
        let found = list.iter().find(|it| it.key == key);
        found.map(|it| it.value.clone())
    };
    let mut all: Vec<&str> = before
        .iter()
        .chain(&after)
        .map(|it| it.key.as_str())
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|key| seen.insert(*key));
    let all = all.into_iter().map(|key| KeyDiff {
        key: key.to_owned(),
        before: value(&before, key),
        after: value(&after, key),
    });
    all.filter(|it| it.before != it.after).collect()
}

fn refused(problems: &[plan::Problem]) -> ErrorReply {
    let said = problems.iter().take(PROBLEMS_TOLD_MAX);
    let said: Vec<String> = said.map(ToString::to_string).collect();
    ErrorReply {
        kind: ErrorKind::Configuration,
        message: format!("the configuration does not check:\n{}", said.join("\n")),
        hint: Some("mend the files and try again".to_owned()),
    }
}
