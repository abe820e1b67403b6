//! Dependencies of the plan: names are checked, edges to disabled services dropped, loops
//! refused.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    declare::{instances::no_template_hint, schema::Schema},
    model::Service,
    read::{document::Document, ident::ident},
    report::{place::Place, problem::Report, suggest::did_you_mean},
};

const KINDS: [&str; 4] = ["requires", "wants", "binds_to", "after"];

fn edges<'s>(service: &'s mut Service, kind: &str) -> &'s mut BTreeSet<String> {
    match kind {
        "requires" => &mut service.requires,
        "wants" => &mut service.wants,
        "binds_to" => &mut service.binds_to,
        _ => &mut service.after,
    }
}

/// Checks and tidies the dependencies of all services.
pub(crate) fn check(
    services: &mut BTreeMap<String, Service>,
    schema: &Schema,
    report: &mut Report,
) {
    let documents = &schema.services;
    let enabled: BTreeMap<String, bool> = services
        .iter()
        .map(|(name, service)| (name.clone(), service.enabled))
        .collect();
    let jobs: BTreeSet<String> = services
        .iter()
        .filter(|(_, service)| service.job)
        .map(|(name, _)| name.clone())
        .collect();
    for (name, service) in services.iter_mut() {
        let on = service.enabled;
        for kind in KINDS {
            for wanted in with_instances(std::mem::take(edges(service, kind)), schema) {
                let at = place(&documents[name], kind, &wanted);
                // Files may write the name as templates do.
                let known = enabled
                    .keys()
                    .find(|n| **n == wanted || ident(n) == ident(&wanted));
                let Some(known) = known else {
                    // A service whose file could not be read is not unknown.
                    if !documents.contains_key(&wanted) {
                        unknown(&at, kind, &wanted, &enabled, schema, report);
                    }
                    continue;
                };
                if jobs.contains(known) && ["requires", "binds_to"].contains(&kind) {
                    let message =
                        format!("`{known}` is a job, which runs when its work is asked for");
                    let problem = report.error(&at, kind, message);
                    problem.hint("write it under `after`, if the order matters");
                    continue;
                }
                if enabled[known] {
                    edges(service, kind).insert(known.clone());
                } else if on {
                    let message = format!(
                        "`{known}` is disabled on this host, so `{name}` does not wait for it"
                    );
                    report.note(&at, kind, message);
                    if kind != "after" {
                        service.disabled_needs.insert(known.clone());
                    }
                }
            }
        }
    }
    find_loops(services, documents, report);
}

/// `worker@` means all instances. What is no template stays, and is reported as unknown.
fn with_instances(names: BTreeSet<String>, schema: &Schema) -> BTreeSet<String> {
    let all = names
        .into_iter()
        .flat_map(|name| match schema.template(&name) {
            Some(template) => template.instances.clone(),
            None => vec![name],
        });
    all.collect()
}

fn unknown(
    at: &Place,
    kind: &str,
    wanted: &str,
    enabled: &BTreeMap<String, bool>,
    schema: &Schema,
    report: &mut Report,
) {
    let (message, hint) = if wanted.ends_with('@') {
        let message = format!("there is no template `{wanted}`");
        (message, no_template_hint(wanted, schema))
    } else {
        let mut hint = match schema
            .namespace(wanted)
            .and_then(|it| it.switch.unavailable())
        {
            Some(reason) => Some(format!("`{wanted}` cannot run here: {reason}")),
            None => did_you_mean(wanted, enabled.keys().map(String::as_str)),
        };
        if schema.templates.contains_key(wanted) {
            hint = Some(format!("`{wanted}@` means all instances"));
        }
        (format!("there is no service `{wanted}`"), hint)
    };
    report.error(at, kind, message).hint_some(hint);
}

/// Where a word stands in a list of a service file.
pub(crate) fn place(document: &Document, kind: &str, wanted: &str) -> Place {
    let Some(entry) = document.table.get(kind) else {
        return document.whole.clone();
    };
    if let crate::read::document::Kind::List(list) = &entry.node.kind
        && let Some(item) = list.iter().find(|item| item.text() == Some(wanted))
    {
        return item.at.clone();
    }
    entry.node.at.clone()
}

/// Reports each loop once. No recursion: a long chain must not overflow the stack.
fn find_loops(
    services: &BTreeMap<String, Service>,
    documents: &BTreeMap<String, Document>,
    report: &mut Report,
) {
    let next = |name: &str| -> Vec<&str> {
        services.get(name).map_or_else(Vec::new, |s| {
            let all = s
                .requires
                .iter()
                .chain(&s.wants)
                .chain(&s.binds_to)
                .chain(&s.after);
            all.map(String::as_str).collect()
        })
    };
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in services.keys() {
        if done.contains(start.as_str()) {
            continue;
        }
        let mut path: Vec<(&str, Vec<&str>)> = vec![(start, next(start))];
        while let Some((name, rest)) = path.last_mut() {
            let name = *name;
            let Some(target) = rest.pop() else {
                done.insert(name);
                path.pop();
                continue;
            };
            if done.contains(target) {
                continue;
            }
            if let Some(begin) = path.iter().position(|(on_path, _)| *on_path == target) {
                let mut names: Vec<&str> = path[begin..].iter().map(|(name, _)| *name).collect();
                names.push(target);
                let kind = KINDS
                    .into_iter()
                    .find(|kind| documents[name].table.contains_key(*kind))
                    .unwrap_or("after");
                report
                    .error(
                        &place(&documents[name], kind, target),
                        kind,
                        format!("the services wait for each other: {}", names.join(" -> ")),
                    )
                    .hint("remove one of these dependencies");
                continue;
            }
            path.push((target, next(target)));
        }
    }
}
