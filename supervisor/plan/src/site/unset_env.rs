//! `SERVICE.unset_env` of the site file: variables that a service is not to have although its
//! service file sets them, as systemd's `UnsetEnvironment=`.
//!
//! The names are only read here; `service::env::unset` takes them out of an environment.

use std::collections::BTreeMap;

use crate::{
    read::{
        document::{Entry, Kind},
        ident::env_name,
    },
    report::{place::Place, problem::Report},
};

/// Names of variables, each with its place.
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
