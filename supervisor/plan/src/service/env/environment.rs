//! The environment of a service: PATH < `[env]` < `env_files` < settings < `SERVICE.unset_env` <
//! `SERVICE.env` of the site file.

use std::collections::BTreeMap;

use api::{PlanImpact, VariableSource};
use serde_json::json;

use crate::{
    model::{Service, Variable},
    read::{fields::Fields, ident::env_name, secrecy::looks_secret},
    service::{
        described::{Described, Shown},
        env::{
            computed::{check_env, computed, settings_of},
            env_file::env_files,
            lint::check,
            settings::{from_settings, setting_that_becomes},
            unset,
            written::{Environment, Written},
        },
        key::{Differences, Key, KeyTable},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "env",
        doc: "variables of its environment",
        read,
        describe,
        compare: environment_differs,
        ..Key::IDLE
    },
    Key {
        name: "env_files",
        doc: "files with further ones, as systemd's `EnvironmentFile=`; with `-` before the path one may be missing",
        ..Key::IDLE
    },
    Key {
        name: "variables",
        doc: "which variables the program knows, for checks",
        tables: &[KeyTable {
            header: "[variables]",
            intro: "Holds its environment to a table of the variables that its program knows. `variables = false` in a file of your own turns that off.",
            keys: &[
                ("prefix", "names that begin so, in any case, are checked"),
                (
                    "table",
                    "a file below services.d: a line a variable; name, type and whether it is secret, since, until, dies and note, parted by tabs. `mattermost/variables.tsv` says what they mean",
                ),
                (
                    "version",
                    "the installed version; without one, a name that any version has is right",
                ),
                (
                    "ignore",
                    "names that are not checked; a `*` at the end stands for anything",
                ),
                (
                    "public",
                    "names whose values anybody may see, though an env map sets them and the table does not know them; alone, without prefix and table, it checks nothing",
                ),
            ],
        }],
        ..Key::IDLE
    },
];

/// Linux' `MAX_ARG_STRLEN`.
const MAX_VARIABLE_BYTES: usize = 128 << 10;
/// Half of what Linux takes with the usual limit of the stack, arguments included.
const MAX_ENVIRONMENT_BYTES: usize = 1 << 20;

/// PATH of every service that does not set another.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Reads all layers of the environment. A disabled service's layers are only checked.
fn read(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, service: &mut Service) {
    let name = &service.name;
    if !service.enabled {
        check_env(reader, fields);
        check::check(reader, name, fields, None);
        return;
    }
    let mut environment = environment(reader, fields);
    check::check(reader, name, fields, Some(&mut environment));
    if let Some(origins) = &mut reader.resolver.origins {
        origins.insert(name.clone(), environment.origins());
    }
    reader.written = environment.written;
    service.env = environment.variables.into();
}

fn describe(service: &Service, out: &mut Described) {
    for (name, variable) in service.env.iter() {
        let source = variable.source;
        let value = json!(variable.value);
        let key = format!("env.{name}");
        if variable.is_hidden() || out.is_secret(&value) {
            out.hide(key, Some(source));
            continue;
        }
        // An empty variable is one.
        out.list.push(Shown {
            key,
            value,
            secret: false,
            source: Some(source),
        });
    }
}

fn environment_differs(old: &Service, new: &Service, out: &mut Differences) {
    for (name, variable) in new.env.iter() {
        match old.env.get(name) {
            None => out.add(PlanImpact::Restart, format!("env {name} added")),
            Some(before) if before.value != variable.value => {
                out.add(PlanImpact::Restart, format!("env {name} changed"));
            }
            Some(_) => {}
        }
    }
    for name in old.env.keys().filter(|name| !new.env.contains_key(name)) {
        out.add(PlanImpact::Restart, format!("env {name} removed"));
    }
}

/// PATH < `[env]` < `env_files` < settings < `SERVICE.unset_env` < `SERVICE.env`.
fn environment(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Environment {
    let mut env = Environment::default();
    let mut worked_out = BTreeMap::new();
    let base = Variable {
        value: PATH.to_owned(),
        source: VariableSource::Supervisor,
        secret: false,
        private: false,
    };
    env.variables.insert("PATH".to_owned(), base);
    let mut declared = vec!["PATH".to_owned()];
    if let Some(table) = fields.entry("env").and_then(|entry| entry.node.table()) {
        declared.extend(table.keys().cloned());
        for (name, entry) in table {
            let key = format!("env.{name}");
            if let Err(why) = env_name(name) {
                reader.report().error(&entry.key_at, key, why);
            } else if let Some((value, secret)) = computed(reader, &entry.node, &key) {
                let secret = secret || looks_secret(name, &value);
                let variable = Variable {
                    value,
                    source: VariableSource::ServiceFile,
                    secret,
                    private: false,
                };
                worked_out.insert(name.clone(), settings_of(reader, &entry.node, &key));
                let written = Written {
                    at: entry.key_at.clone(),
                    key,
                    setting: None,
                    given: false,
                };
                env.set(name.clone(), variable, written);
            }
        }
    } else {
        check_env(reader, fields);
    }
    env_files(reader, fields, &mut env);
    declared.extend(from_settings(reader, &mut env));
    unset::apply(reader, &declared, &mut env);
    from_env_maps(reader, &mut env, &worked_out);
    check_sizes(reader, &env);
    env
}

/// `SERVICE.env` of the site file. `worked_out`: the settings that each variable of `[env]` comes
/// from.
fn from_env_maps(
    reader: &mut Reader<'_, '_>,
    env: &mut Environment,
    worked_out: &BTreeMap<String, Vec<String>>,
) {
    let site = reader.resolver.site;
    let base = reader.resolver.schema.base(&reader.namespace);
    let maps = base.and_then(|base| site.env.get(base)).into_iter();
    for map in maps.chain(site.env.get(&reader.namespace)) {
        for (name, var) in map {
            let from = worked_out.get(name).filter(|from| !from.is_empty());
            let before = env.variables.get(name);
            let replaces = before.is_some_and(|it| {
                it.source == VariableSource::ServiceFile && it.value != var.value
            });
            if let (Some(from), true) = (from, replaces) {
                let own = setting_that_becomes(reader, name);
                // A value made from more than an address and its port has no single setting to
                // replace it.
                let instead = own.or_else(|| (from.len() <= 2).then(|| from.join(", ")));
                if let Some(instead) = instead {
                    let from = from.join(", ");
                    let message = format!(
                        "replaces what is worked out from {from}; whatever else is worked out from that does not follow"
                    );
                    let problem = reader.report().warning(&var.at, &var.key, message);
                    problem.hint(format!("set {instead} instead"));
                }
            }
            let variable = Variable {
                value: var.value.clone(),
                source: VariableSource::SiteFile,
                secret: var.secret,
                private: false,
            };
            let written = Written {
                at: var.at.clone(),
                key: var.key.clone(),
                setting: None,
                given: true,
            };
            env.set(name.clone(), variable, written);
        }
    }
}

/// Checks the kernel's limits for exec: beyond them the service would fail at its next start.
fn check_sizes(reader: &mut Reader<'_, '_>, env: &Environment) {
    let mut total = 0;
    for (name, variable) in &env.variables {
        // With `=` and the NUL at its end.
        let bytes = name.len() + variable.value.len() + 2;
        total += bytes;
        let Some(written) = env.written.get(name) else {
            continue;
        };
        if bytes > MAX_VARIABLE_BYTES {
            let message = format!(
                "is {bytes} bytes long, and no program starts with a variable of more than {MAX_VARIABLE_BYTES}"
            );
            let problem = reader
                .report()
                .error(&written.at, written.key.clone(), message);
            problem.hint("put it into a file that the program reads");
        }
    }
    if let Some(written) = env.written.values().next()
        && total > MAX_ENVIRONMENT_BYTES
    {
        let message = format!(
            "all variables together are {total} bytes long, and no more than {MAX_ENVIRONMENT_BYTES} fit"
        );
        reader.report().error(&written.at, "env", message);
    }
}
