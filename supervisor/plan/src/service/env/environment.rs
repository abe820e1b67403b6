//! The environment of a service: PATH < `[env]` < `env_files` < settings < `SERVICE.unset_env` <
//! `SERVICE.env` of the site file.

use std::collections::BTreeMap;

use api::{PlanImpact, VariableSource};
use serde_json::json;

use crate::{
    model::{Service, Variable},
    read::{
        document::{Kind, Node},
        expression::{is_template, lone_name},
        fields::Fields,
        ident::{env_name, ident},
    },
    report::place::Place,
    resolve::{
        locals::Locals,
        outcome::{Name, Outcome, TemplateSource},
    },
    service::{
        described::{Described, Shown},
        env::{
            lint::check,
            unset,
            written::{Environment, Written},
        },
        key::{Differences, Key, Table},
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
        tables: &[Table {
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
                let secret = secret || crate::read::secrecy::looks_secret(name, &value);
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
    crate::service::env::env_file::env_files(reader, fields, &mut env);
    declared.extend(from_settings(reader, &mut env));
    unset::apply(reader, &declared, &mut env);
    from_env_maps(reader, &mut env, &worked_out);
    check_sizes(reader, &env);
    env
}

/// `SERVICE.env` of the site file. `worked_out`: the settings that each variable of `[env]` comes from.
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
                // A value made from more than an address and its port has no single setting to replace it.
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

/// The setting that becomes a variable, as a site file names it.
fn setting_that_becomes(reader: &Reader<'_, '_>, variable: &str) -> Option<String> {
    let schema = reader.resolver.schema;
    let declaring = reader.resolver.declaring.get(&reader.namespace)?;
    declaring.iter().find_map(|namespace| {
        let namespace = &schema.namespaces[*namespace];
        let mut settings = namespace.settings.iter();
        let found = settings.find(|(_, it)| it.env.as_deref() == Some(variable));
        found.map(|(key, _)| format!("{}.{key}", namespace.name))
    })
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

/// The settings that a variable of `[env]` is worked out from, as a site file names them.
fn settings_of(reader: &mut Reader<'_, '_>, node: &Node, key: &str) -> Vec<String> {
    let Some(text) = node.text().filter(|text| is_template(text)) else {
        return Vec::new();
    };
    let namespace = reader.namespace.clone();
    let origin = TemplateSource::Value(&node.at);
    let names = reader
        .resolver
        .names(&namespace, text, origin, key, &Locals::NONE);
    let names = names.unwrap_or_default().into_values();
    let mut settings: Vec<String> = names
        .filter_map(|name| match name {
            Name::Setting(namespace, key) => Some(format!("{namespace}.{key}")),
            Name::Key(key) => Some(key),
            _ => None,
        })
        .collect();
    settings.sort();
    settings.dedup();
    settings
}

/// A variable of `[env]`; one that is a lone setting without value is none.
fn computed(reader: &mut Reader<'_, '_>, node: &Node, key: &str) -> Option<(String, bool)> {
    let (text, secret) = match &node.kind {
        Kind::Text(text) if !is_template(text) => (text.clone(), false),
        Kind::Text(text) => {
            let names = lone_name(text).and_then(|_| {
                reader.resolver.names(
                    &reader.namespace.clone(),
                    text,
                    TemplateSource::Value(&node.at),
                    key,
                    &Locals::NONE,
                )
            });
            if let Some(name) = names.and_then(|names| names.into_values().next())
                && let Name::Setting(..) | Name::Key(_) = name
                && !text.contains('.')
            {
                // The value as the setting's type writes it: a list by spaces, a map as JSON.
                return match reader.resolver.resolve(&name) {
                    Outcome::Set { value, secret } => Some((value.text(), secret)),
                    Outcome::Unset {
                        missing: Some(reason),
                    } => {
                        reader.broken.get_or_insert(reason);
                        None
                    }
                    Outcome::Unset { missing: None } | Outcome::Failed => None,
                };
            }
            let (value, secret) = reader.eval(text, TemplateSource::Value(&node.at), key, true)?;
            // "No variable under this condition": `{{ x if y else none }}`.
            if value.is_none() {
                return None;
            }
            (crate::read::typed::plain_text(&value), secret)
        }
        Kind::Int(int) => (int.to_string(), false),
        Kind::Bool(bool) => (bool.to_string(), false),
        Kind::List(_) => (reader.list(node, key)?.join(" "), false),
        _ => {
            let what = node.what();
            let message = format!("must be a string, a number, true or false, not {what}");
            let misplaced_key = key.split_once('.').map(|(_, name)| name);
            let misplaced_key = misplaced_key.filter(|name| reader.is_key(name));
            let problem = reader.report().error(&node.at, key, message);
            if let Some(name) = misplaced_key {
                problem.hint(crate::read::fields::misplaced(name, "env"));
            }
            return None;
        }
    };
    if text.contains('\0') {
        reader
            .report()
            .error(&node.at, key, "a variable cannot contain a NUL");
        return None;
    }
    Some((text, secret))
}

fn check_env(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) {
    crate::service::env::env_file::env_files(reader, fields, &mut Environment::default());
    let Some(entry) = fields.entry("env") else {
        return;
    };
    let Some(table) = entry.node.table() else {
        let what = entry.node.what();
        reader.report().error(
            &entry.node.at,
            "env",
            format!("must be a table, not {what}"),
        );
        return;
    };
    for (name, entry) in table {
        let key = format!("env.{name}");
        if let Err(why) = env_name(name) {
            reader.report().error(&entry.key_at, key, why);
        } else if !matches!(&entry.node.kind, Kind::Text(text) if !is_template(text)) {
            match &entry.node.kind {
                Kind::Text(text) => {
                    reader.eval(text, TemplateSource::Value(&entry.node.at), &key, true);
                }
                _ => {
                    computed(reader, &entry.node, &key);
                }
            }
        }
    }
}

/// Sets the variables of settings. Returns the names of all that settings may set.
fn from_settings(reader: &mut Reader<'_, '_>, env: &mut Environment) -> Vec<String> {
    let mut names = Vec::new();
    let schema = reader.resolver.schema;
    let declaring = reader.resolver.declaring.get(&reader.namespace).cloned();
    for namespace_name in declaring.unwrap_or_default() {
        for (key, setting) in &schema.namespaces[namespace_name].settings {
            // Resolving a setting with `generate` has its secret made, also where no template names it.
            if setting.env.is_none() && setting.generate.is_none() {
                continue;
            }
            names.extend(setting.env.clone());
            let name = Name::Setting(namespace_name.to_owned(), key.clone());
            match (reader.resolver.resolve(&name), &setting.env) {
                (Outcome::Set { value, secret }, Some(variable)) => {
                    let secret =
                        secret || crate::read::secrecy::looks_secret(variable, &value.text());
                    let value = value.text();
                    let written = written(reader, namespace_name, key, setting.at.clone());
                    let found = Variable {
                        value,
                        source: VariableSource::Setting,
                        secret,
                        private: false,
                    };
                    env.set(variable.clone(), found, written);
                }
                (
                    Outcome::Unset {
                        missing: Some(reason),
                    },
                    Some(_),
                ) => {
                    reader.broken.get_or_insert(reason);
                }
                _ => {}
            }
        }
    }
    names
}

/// Where the value of a setting was written; its declaration, where nobody has set it.
fn written(reader: &Reader<'_, '_>, namespace: &str, key: &str, declared: Place) -> Written {
    let schema = reader.resolver.schema;
    let given = |namespace: &str| {
        let place = (namespace.to_owned(), key.to_owned());
        reader.resolver.site.settings.get(&place)
    };
    let base = schema.base(namespace);
    let own = given(namespace);
    let named = if own.is_some() {
        namespace
    } else {
        base.unwrap_or(namespace)
    };
    let name = &schema.namespaces[named].name;
    let full = format!("{name}.{key}");
    match own.or_else(|| given(base?)) {
        Some(given) => Written {
            at: given.at.clone(),
            key: full.clone(),
            setting: Some(full),
            given: true,
        },
        None => Written {
            at: declared,
            key: if ident(name) == reader.namespace || base.is_some() {
                format!("settings.{key}")
            } else {
                format!("sections.{full}")
            },
            setting: Some(full),
            given: false,
        },
    }
}
