//! Says the plan that runs, and what the files would make of it, in the words of the API. Blocks
//! where it reads files; not for the control thread.

use api::{
    ConfigKey, DiffReply, ErrorKind, ErrorReply, KeyDiff, PlanReply, ServiceConfig, ServiceDiff,
    VariableChange, VariableDiff,
};
use plan::{Options, Plan, PlanImpact, RenderedFile, Service, describe, file_diff};

use crate::load_plan;

/// Problems that are told; the rest is counted by `ctl check-config`.
const PROBLEMS_TOLD_MAX: usize = 50;
/// Lines of one file that are told, of the old and of the new one each; the rest is counted.
const LINES_TOLD_MAX: usize = 40;

/// The plan, or of it those services that are named.
pub(crate) fn plan(plan: &Plan, names: &[String]) -> PlanReply {
    let wanted = |name: &String| names.is_empty() || names.contains(name);
    let services = plan.services.values().filter(|it| wanted(&it.name));
    let services = services.map(|service| ServiceConfig {
        name: service.name.clone(),
        keys: describe::service(service).into_iter().map(key).collect(),
    });
    let site = if names.is_empty() {
        describe::site(plan)
    } else {
        Vec::new()
    };
    PlanReply {
        site: site.into_iter().map(key).collect(),
        services: services.collect(),
    }
}

fn key(shown: describe::Shown) -> ConfigKey {
    ConfigKey {
        key: shown.key,
        value: shown.value,
        secret: shown.secret,
        source: shown.source,
    }
}

/// Differences between the plan that runs and that of the files, of services of either plan.
pub(crate) fn diff(
    options: &Options,
    running: &Plan,
    names: &[String],
) -> Result<DiffReply, ErrorReply> {
    let new = load_plan::load_only(options, Some(running));
    let new = new.map_err(|problems| refused(&problems))?.plan;
    // A name of either plan is one that may be asked about.
    let mut both = running.services.clone();
    both.extend(
        new.services
            .iter()
            .map(|(name, it)| (name.clone(), it.clone())),
    );
    let names = crate::service_query::matching(names, &both)?;
    let wanted = |name: &String| names.is_empty() || names.contains(name);
    let changes = plan::changes(running, &new).into_iter();
    let changes =
        changes.filter(|(name, change)| change.impact != PlanImpact::Keep && wanted(name));
    let services = changes.map(|(name, change)| ServiceDiff {
        keys: keys(running, &new, &name),
        variables: variables(running, &new, &name),
        name,
        action: change.impact,
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
    let before = describe::service(old);
    let after = describe::service(new);
    let value = |list: &[describe::Shown], key: &str| {
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
    let mut differ: Vec<_> = all.filter(|it| it.before != it.after).collect();
    for (before, after) in same_file(old, new) {
        let key = format!("files.\"{}\"", after.path.display());
        if before.content == after.content {
            continue;
        }
        let hidden = || vec![plan::HIDDEN.to_owned()];
        let told = file_diff::changed(before, after);
        let (gone, come) = told.unwrap_or_else(|| (hidden(), hidden()));
        // Its lines say more than its length; blank ones and their order do not count.
        if gone.len() + come.len() > 0 {
            differ.retain(|it| it.key != key);
        }
        lines(&mut differ, &key, gone, come);
    }
    differ
}

/// Variables that differ, for a service that is in both plans.
fn variables(old: &Plan, new: &Plan, name: &str) -> Vec<VariableDiff> {
    let (Some(old), Some(new)) = (old.services.get(name), new.services.get(name)) else {
        return Vec::new();
    };
    let diff = |name: &String, change| VariableDiff {
        name: name.clone(),
        change,
    };
    let set = new
        .env
        .iter()
        .filter_map(|(name, after)| match old.env.get(name) {
            None => Some(diff(name, VariableChange::Added)),
            Some(before) if before.value != after.value => {
                Some(diff(name, VariableChange::Changed))
            }
            Some(_) => None,
        });
    let removed = old.env.keys().filter(|name| !new.env.contains_key(name));
    set.chain(removed.map(|name| diff(name, VariableChange::Removed)))
        .collect()
}

/// Files of both, that differ in what they contain alone.
fn same_file<'a>(
    old: &'a Service,
    new: &'a Service,
) -> impl Iterator<Item = (&'a RenderedFile, &'a RenderedFile)> {
    new.files.iter().filter_map(|after| {
        let before = old.files.iter().find(|it| it.path == after.path)?;
        let as_after = RenderedFile {
            content: after.content.clone(),
            ..before.clone()
        };
        (as_after == *after).then_some((before, after))
    })
}

/// Lines of a file, as pairs of what was and what will be.
fn lines(out: &mut Vec<KeyDiff>, key: &str, gone: Vec<String>, come: Vec<String>) {
    let side = |mut lines: Vec<String>| {
        let more = lines.len().saturating_sub(LINES_TOLD_MAX);
        lines.truncate(LINES_TOLD_MAX);
        lines.extend((more > 0).then(|| format!("and {more} more lines")));
        lines
    };
    let (gone, come) = (side(gone), side(come));
    for index in 0..gone.len().max(come.len()) {
        let at = |lines: &[String]| lines.get(index).map(|it| it.as_str().into());
        out.push(KeyDiff {
            key: key.to_owned(),
            before: at(&gone),
            after: at(&come),
        });
    }
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
