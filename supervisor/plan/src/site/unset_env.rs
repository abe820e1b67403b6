//! `SERVICE.unset_env` of the site file: variables that a service is not to have although its service
//! file sets them, as systemd's `UnsetEnvironment=`.
//!
//! Owner: [`read`] notes the names, [`apply`] takes them out of an environment before `SERVICE.env`
//! comes on top. What the administrator sets and unsets at once is an error: neither would win visibly.

use std::collections::BTreeMap;

use crate::{
    declare::setting::env_name,
    read::document::{Entry, Kind, Place},
    report::{problem::Report, suggest::did_you_mean},
    service::{env::environment::Environment, reader::Reader},
};

/// Names, and where each is written.
pub(crate) type Unset = BTreeMap<String, Place>;

/// The names that a service's `unset_env` has.
pub(crate) fn read(dotted: &str, entry: &Entry, report: &mut Report) -> Unset {
    let mut unset = Unset::new();
    let Kind::List(list) = &entry.node.kind else {
        let message = format!("must be a list of names, not {}", entry.node.what());
        report.error(&entry.node.at, dotted, message);
        return unset;
    };
    for item in list {
        match item.text().map(|name| (name, env_name(name))) {
            Some((name, Ok(()))) => {
                unset.insert(name.to_owned(), item.at.clone());
            }
            Some((_, Err(why))) => {
                report.error(&item.at, dotted, why);
            }
            None => {
                let message = format!("must be names, not {}", item.what());
                report.error(&item.at, dotted, message);
            }
        }
    }
    unset
}

/// Takes out what the site file unsets for this service. `declared`: the names that its service file
/// may set.
pub(crate) fn apply(reader: &mut Reader<'_, '_>, declared: &[String], env: &mut Environment) {
    let site = reader.resolver.site;
    let space = reader.space.clone();
    let base = reader.resolver.world.base(&space);
    let spaces: Vec<&str> = base.into_iter().chain([space.as_str()]).collect();
    let lists = spaces.iter().filter_map(|it| site.unset_env.get(*it));
    let key = format!("{space}.unset_env");
    for (name, at) in lists.flatten() {
        let mut maps = spaces.iter().filter_map(|it| site.env.get(*it));
        let mapped = maps.find_map(|map| map.get(name));
        let mapped = mapped.map(|var| var.key.clone());
        let given = env.written.get(name).filter(|written| written.given);
        if let Some(other) = mapped.or_else(|| given.map(|written| written.key.clone())) {
            reader
                .report()
                .error(at, &key, format!("{other} sets {name}"))
                .hint("remove one of the two");
            continue;
        }
        if env.variables.remove(name).is_none() && !declared.contains(name) {
            reader
                .report()
                .warning(at, &key, format!("nothing sets {name}"))
                .hint_some(did_you_mean(name, declared.iter().map(String::as_str)));
        }
        env.written.remove(name);
    }
}
