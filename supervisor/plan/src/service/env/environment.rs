//! The environment of a service: PATH < `[env]` < `env_files` < settings < `SERVICE.unset_env` <
//! `SERVICE.env` of the site file.

use std::collections::BTreeMap;

use crate::{
    declare::setting::SERVICE_KEYS,
    model::{Source, Variable},
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
        env::{
            unset,
            written::{Environment, Written},
        },
        reader::Reader,
    },
};

/// Linux' `MAX_ARG_STRLEN`.
const MAX_VARIABLE_BYTES: usize = 128 << 10;
/// Half of what Linux takes with the usual limit of the stack, arguments included.
const MAX_ENVIRONMENT_BYTES: usize = 1 << 20;

/// What every service gets unless it says otherwise.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// PATH < `[env]` < `env_files` < settings < `SERVICE.unset_env` < `SERVICE.env`.
pub(crate) fn environment(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Environment {
    let mut env = Environment::default();
    let mut worked_out = BTreeMap::new();
    let base = Variable {
        value: PATH.to_owned(),
        source: Source::Base,
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
                    source: Source::Computed,
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
    let base = reader.resolver.world.base(&reader.space);
    let maps = base.and_then(|base| site.env.get(base)).into_iter();
    for map in maps.chain(site.env.get(&reader.space)) {
        for (name, var) in map {
            let from = worked_out.get(name).filter(|from| !from.is_empty());
            let before = env.variables.get(name);
            let replaces =
                before.is_some_and(|it| it.source == Source::Computed && it.value != var.value);
            if let (Some(from), true) = (from, replaces) {
                let own = setting_that_becomes(reader, name);
                // More than an address and its port is not said in another way.
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
                source: Source::EnvMap,
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
    let world = reader.resolver.world;
    let declaring = reader.resolver.declaring.get(&reader.space)?;
    declaring.iter().find_map(|space| {
        let space = &world.spaces[*space];
        let mut settings = space.settings.iter();
        let found = settings.find(|(_, it)| it.env.as_deref() == Some(variable));
        found.map(|(key, _)| format!("{}.{key}", space.name))
    })
}

/// The kernel starts no program with more: it would be seen once the service is down.
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
    let space = reader.space.clone();
    let origin = TemplateSource::Value(&node.at);
    let names = reader
        .resolver
        .names(&space, text, origin, key, &Locals::NONE);
    let names = names.unwrap_or_default().into_values();
    let mut settings: Vec<String> = names
        .filter_map(|name| match name {
            Name::Setting(space, key) => Some(format!("{space}.{key}")),
            Name::Key(key) => Some(key),
            _ => None,
        })
        .collect();
    settings.sort();
    settings.dedup();
    settings
}

/// A variable of `[env]`; one that is a lone setting without value is none.
pub(crate) fn computed(
    reader: &mut Reader<'_, '_>,
    node: &Node,
    key: &str,
) -> Option<(String, bool)> {
    let (text, secret) = match &node.kind {
        Kind::Text(text) if !is_template(text) => (text.clone(), false),
        Kind::Text(text) => {
            let names = lone_name(text).and_then(|_| {
                reader.resolver.names(
                    &reader.space.clone(),
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
            let problem = reader.report().error(&node.at, key, message);
            if let Some((_, name)) = key.split_once('.')
                && SERVICE_KEYS.contains(&name)
            {
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

pub(crate) fn check_env(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) {
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

/// Sets what settings say; answers the names of all that they may set.
fn from_settings(reader: &mut Reader<'_, '_>, env: &mut Environment) -> Vec<String> {
    let mut names = Vec::new();
    let world = reader.resolver.world;
    let declaring = reader.resolver.declaring.get(&reader.space).cloned();
    for space_name in declaring.unwrap_or_default() {
        for (key, setting) in &world.spaces[space_name].settings {
            // A secret that is to be made is wanted also where no template names it.
            if setting.env.is_none() && setting.generate.is_none() {
                continue;
            }
            names.extend(setting.env.clone());
            let name = Name::Setting(space_name.to_owned(), key.clone());
            match (reader.resolver.resolve(&name), &setting.env) {
                (Outcome::Set { value, secret }, Some(variable)) => {
                    let secret =
                        secret || crate::read::secrecy::looks_secret(variable, &value.text());
                    let value = value.text();
                    let written = written(reader, space_name, key, setting.at.clone());
                    let found = Variable {
                        value,
                        source: Source::Setting,
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
fn written(reader: &Reader<'_, '_>, space: &str, key: &str, declared: Place) -> Written {
    let world = reader.resolver.world;
    let given = |space: &str| {
        let place = (space.to_owned(), key.to_owned());
        reader.resolver.site.settings.get(&place)
    };
    let base = world.base(space);
    let own = given(space);
    let named = if own.is_some() {
        space
    } else {
        base.unwrap_or(space)
    };
    let name = &world.spaces[named].name;
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
            key: if ident(name) == reader.space || base.is_some() {
                format!("settings.{key}")
            } else {
                format!("sections.{full}")
            },
            setting: Some(full),
            given: false,
        },
    }
}
