//! The site file and `secrets.toml`: what the administrator says, checked against what is
//! declared.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    declare::{
        allowed::allowed,
        schema::{Namespace, Schema, Switch},
        setting::Setting,
    },
    model::{ControlAccess, log::LogDefault},
    read::{
        document::{Document, Entry, Kind, Node},
        expression::is_template,
        fields::{bool_of, misplaced, table_of},
        ident::env_name,
        secrecy::looks_secret,
        typed::{Type, Typed},
    },
    report::{place::Place, problem::Report, suggest::did_you_mean},
    site::{
        daemon,
        unknown_keys::{unknown_name, unknown_setting},
        unset_env::{self, Unset},
    },
};

/// A value that the site file or `secrets.toml` gives.
#[derive(Clone, Debug)]
pub(crate) struct SiteValue {
    pub(crate) value: Typed,
    pub(crate) at: Place,
    /// The key as written, where a section stands for the service's own settings.
    pub(crate) by_section: Option<String>,
}

/// One variable of `SERVICE.env`.
#[derive(Clone, Debug)]
pub(crate) struct EnvVar {
    pub(crate) value: String,
    pub(crate) secret: bool,
    pub(crate) at: Place,
    /// The key as the file writes it.
    pub(crate) key: String,
}

/// All values of the site file, with those of `secrets.toml` beneath them.
#[derive(Debug, Default)]
pub(crate) struct Site {
    pub(crate) path: PathBuf,
    pub(crate) keys: BTreeMap<String, SiteValue>,
    /// By identifier of the namespace and setting.
    pub(crate) settings: BTreeMap<(String, String), SiteValue>,
    /// By identifier of the service.
    pub(crate) env: BTreeMap<String, BTreeMap<String, EnvVar>>,
    /// By identifier of the service.
    pub(crate) unset_env: BTreeMap<String, Unset>,
    /// `NAME.enable` by identifier.
    pub(crate) enable: BTreeMap<String, (bool, Place)>,
    pub(crate) roles: Vec<(String, Place)>,
    pub(crate) control: ControlAccess,
    pub(crate) manage_accounts: Option<bool>,
    /// `[log]`, for all services.
    pub(crate) log: LogDefault,
    /// `[notify.NAME]` by name.
    pub(crate) notify: BTreeMap<String, daemon::Draft>,
    /// The first secret of the file, by its key.
    pub(crate) secret: Option<(String, Place)>,
}

/// Reads what a document says. `secrets`: it is `secrets.toml`.
pub(crate) fn read(
    document: &Document,
    schema: &Schema,
    secrets: bool,
    report: &mut Report,
) -> Site {
    let mut site = Site {
        path: document.whole.file().to_owned(),
        ..Site::default()
    };
    for (name, entry) in &document.table {
        if secrets
            && matches!(
                name.as_str(),
                "control" | "log" | "manage_accounts" | "roles"
            )
        {
            report.error(&entry.key_at, name, "this belongs in the site file");
            continue;
        }
        match name.as_str() {
            "control" => site.control = daemon::control(entry, report),
            "log" => site.log = daemon::log(entry, report),
            "notify" => {
                let notify = daemon::notify(entry, report);
                site.notify = notify.targets;
                site.secret = site.secret.take().or(notify.secret);
            }
            "manage_accounts" => site.manage_accounts = daemon::manage_accounts(entry, report),
            "roles" => roles(&mut site, entry, schema, report),
            _ if schema.keys.contains_key(name) => key(&mut site, name, entry, schema, report),
            _ => namespace(&mut site, name, entry, schema, report),
        }
    }
    site
}

fn roles(site: &mut Site, entry: &Entry, schema: &Schema, report: &mut Report) {
    let one = std::slice::from_ref(&entry.node);
    let list = if let Kind::List(list) = &entry.node.kind {
        list
    } else {
        one
    };
    for item in list {
        let Some(name) = item.text() else {
            report.error(
                &item.at,
                "roles",
                format!("must be names, not {}", item.what()),
            );
            continue;
        };
        if schema.roles.contains_key(name) {
            site.roles.push((name.to_owned(), item.at.clone()));
        } else if !schema.unreadable {
            report
                .error(&item.at, "roles", format!("there is no role `{name}`"))
                .hint_some(did_you_mean(name, schema.roles.keys().map(String::as_str)));
        }
    }
}

fn key(site: &mut Site, name: &str, entry: &Entry, schema: &Schema, report: &mut Report) {
    let setting = &schema.keys[name];
    if without_effect(setting, entry, name, report) {
        return;
    }
    if let Some(value) = typed(setting, &entry.node, name, report) {
        if setting.secret {
            site.secret
                .get_or_insert_with(|| (name.to_owned(), entry.key_at.clone()));
        }
        let given = SiteValue {
            value,
            at: entry.key_at.clone(),
            by_section: None,
        };
        site.keys.insert(name.to_owned(), given);
    }
}

/// Keeps a value. Where a section and the service itself both give one, the section's counts.
fn put(site: &mut Site, place: (String, String), given: SiteValue, own: &str, report: &mut Report) {
    let Some(before) = site.settings.remove(&place) else {
        site.settings.insert(place, given);
        return;
    };
    let (counts, idle) = if before.by_section.is_some() && given.by_section.is_none() {
        (before, given)
    } else {
        (given, before)
    };
    if let (Some(section), None) = (&counts.by_section, &idle.by_section)
        && counts.value != idle.value
    {
        let message = format!("has no effect: {section} says otherwise, and that counts");
        let own = if own == section {
            format!("{}.{}", place.0, place.1)
        } else {
            own.to_owned()
        };
        report.warning(&idle.at, own, message);
    }
    site.settings.insert(place, counts);
}

/// Notes a setting without effect, with the reason. False: the setting has an effect.
fn without_effect(setting: &Setting, entry: &Entry, key: &str, report: &mut Report) -> bool {
    let Some(reason) = &setting.obsolete else {
        return false;
    };
    report
        .note(&entry.key_at, key, "has no effect here")
        .hint(reason);
    true
}

fn namespace(site: &mut Site, name: &str, entry: &Entry, schema: &Schema, report: &mut Report) {
    let Some(namespace) = schema.namespace(name) else {
        if !schema.unreadable {
            unknown_name(name, entry, schema, report);
        }
        return;
    };
    let Some((canonical, owner)) = schema.canonical(name) else {
        return;
    };
    let Some(table) = entry.node.table() else {
        let what = entry.node.what();
        report
            .error(
                &entry.node.at,
                name,
                format!("must be a table of settings, not {what}"),
            )
            .hint(format!("write `{name}.KEY = VALUE`"));
        return;
    };
    let by_alias = namespace.alias_of.is_some();
    for (setting, entry) in table {
        let dotted = format!("{name}.{setting}");
        if let Some(declared) = owner.settings.get(setting) {
            if without_effect(declared, entry, &dotted, report) {
                continue;
            }
            let Some(value) = typed(declared, &entry.node, &dotted, report) else {
                continue;
            };
            if declared.secret {
                site.secret
                    .get_or_insert_with(|| (dotted.clone(), entry.key_at.clone()));
            }
            let given = SiteValue {
                value,
                at: entry.key_at.clone(),
                by_section: by_alias.then(|| dotted.clone()),
            };
            let place = (canonical.clone(), setting.clone());
            put(site, place, given, &dotted, report);
        } else if setting == "enable" && namespace.switch != Switch::None {
            switch(site, namespace, &canonical, entry, report);
        } else if setting == "env" && matches!(namespace.switch, Switch::Service | Switch::Template)
        {
            env(site, &canonical, &dotted, entry, schema, report);
        } else if setting == "unset_env"
            && matches!(namespace.switch, Switch::Service | Switch::Template)
        {
            let unset = unset_env::read(&dotted, entry, report);
            site.unset_env
                .entry(canonical.clone())
                .or_default()
                .extend(unset);
        } else if setting == "instances" && namespace.switch == Switch::Template {
            // Read before there was anything that could be set: see `instances`.
        } else if namespace.switch.unavailable().is_some() {
            without_service(site, name, setting, entry, report);
        } else if !namespace.unreadable {
            unknown_setting(namespace, owner, setting, entry, schema, report);
        }
    }
}

/// Notes a setting of a service that cannot run here. Nothing declares which of them are secrets:
/// their names tell.
fn without_service(site: &mut Site, name: &str, setting: &str, entry: &Entry, report: &mut Report) {
    let dotted = format!("{name}.{setting}");
    if looks_secret(setting, entry.node.text().unwrap_or_default()) {
        site.secret
            .get_or_insert_with(|| (dotted.clone(), entry.key_at.clone()));
    }
    let message = format!("has no effect: `{name}` cannot run here");
    report.note(&entry.key_at, dotted, message);
}

fn switch(
    site: &mut Site,
    namespace: &Namespace,
    canonical: &str,
    entry: &Entry,
    report: &mut Report,
) {
    let dotted = format!("{}.enable", namespace.name);
    let Some(on) = bool_of(&entry.node, &dotted, report) else {
        return;
    };
    if let Some(reason) = namespace.switch.unavailable() {
        if on {
            let message = format!("`{}` cannot run here: {reason}", namespace.name);
            report
                .error(&entry.node.at, &dotted, message)
                .hint(format!("remove the line, or write `{dotted} = false`"));
        }
        return;
    }
    if on && matches!(namespace.switch, Switch::Group(_)) {
        report
            .note(
                &entry.key_at,
                &dotted,
                "a group turns its services off; it turns none on",
            )
            .hint("write SERVICE.enable = true for each that shall run here");
    }
    // A service with several names is off when any of them says so.
    if on && site.enable.get(canonical).is_some_and(|(on, _)| !on) {
        return;
    }
    site.enable
        .insert(canonical.to_owned(), (on, entry.key_at.clone()));
}

fn env(
    site: &mut Site,
    service: &str,
    dotted: &str,
    entry: &Entry,
    schema: &Schema,
    report: &mut Report,
) {
    let Some(table) = table_of(entry, dotted, report) else {
        return;
    };
    for (name, entry) in table {
        let key = format!("{dotted}.{name}");
        let value = match &entry.node.kind {
            Kind::Text(text) => text.clone(),
            Kind::Int(int) => int.to_string(),
            Kind::Bool(bool) => bool.to_string(),
            _ => {
                let what = entry.node.what();
                let message = format!("must be a string, a number, true or false, not {what}");
                let problem = report.error(&entry.node.at, key, message);
                if schema.namespace(name).is_some() || schema.keys.contains_key(name) {
                    problem.hint(misplaced(name, dotted));
                }
                continue;
            }
        };
        if let Err(why) = env_name(name) {
            report.error(&entry.key_at, key, why);
            continue;
        }
        if schema.keys.contains_key(name) {
            report
                .warning(&entry.key_at, &key, "this sets an environment variable")
                .hint(misplaced(name, dotted));
        }
        if value.contains('\0') {
            report.error(&entry.node.at, key, "a variable cannot contain a NUL");
            continue;
        }
        let secret = schema.is_secret_variable(service, name, &value);
        if secret {
            site.secret
                .get_or_insert_with(|| (key.clone(), entry.key_at.clone()));
        }
        let vars = site.env.entry(service.to_owned()).or_default();
        let var = EnvVar {
            value,
            secret,
            at: entry.key_at.clone(),
            key,
        };
        vars.insert(name.clone(), var);
    }
}

fn typed(setting: &Setting, node: &Node, key: &str, report: &mut Report) -> Option<Typed> {
    // An empty string is a value: it sets an empty variable. A URL that something stands on is not.
    if setting.ty == Type::Url && !setting.bare && node.text() == Some("") {
        return Some(Typed::Text(String::new()));
    }
    match Typed::from_node(setting.ty, node).and_then(|value| allowed(setting, value)) {
        Ok(value) => Some(value),
        Err(why) => {
            // A secret's value must not come out in a message.
            let shown = match &node.kind {
                Kind::Text(text) => {
                    why.contains(text.as_str()) || why.contains(&text.escape_debug().to_string())
                }
                Kind::Int(int) => why.contains(&int.to_string()),
                _ => false,
            };
            let why = if setting.secret && shown {
                "has a value that its type does not allow".to_owned()
            } else {
                why
            };
            let problem = report.error(&node.at, key, why);
            if node.text().is_some_and(is_template) {
                problem.hint("the site file has no templates: write the value itself");
            }
            None
        }
    }
}
