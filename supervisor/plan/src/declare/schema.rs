//! What may be said: settings, sections, top-level keys, groups, roles and names of what is
//! unavailable, as the service files and `catalog.toml` declare them.
//!
//! `[settings]` of a service file declares `SERVICE.key`. `[sections.NAME]` of a service file
//! declares `NAME.key` for a section that belongs to the service (`chat_proxy` to `proxy`).
//! A section that only `catalog.toml` names is another name of its service's own settings.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    declare::setting::{Setting, settings},
    read::{
        document::{Document, Table},
        ident::ident,
        secrecy::looks_secret,
    },
    report::problem::Report,
};

/// Settings under one name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Namespace {
    /// The name as files write it.
    pub(crate) name: String,
    /// The service that the namespace belongs to; none: nothing runs by this name here.
    pub(crate) service: Option<String>,
    /// Whether the namespace is the service's own, not a section.
    pub(crate) own: bool,
    pub(crate) settings: BTreeMap<String, Setting>,
    /// The namespace whose settings this name stands for.
    pub(crate) alias_of: Option<String>,
    /// The service file could not be read, so no setting of it counts as unknown.
    pub(crate) unreadable: bool,
    /// Effect of `NAME.enable`.
    pub(crate) switch: Switch,
    /// Identifier of an instance's template, whose values count where the instance has none.
    pub(crate) base: Option<String>,
    /// Value of `{{ instance }}`; empty in a template itself.
    pub(crate) instance: Option<String>,
}

/// Effect of `NAME.enable`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Switch {
    #[default]
    None,
    /// Switches the service.
    Service,
    /// Switches all instances.
    Template,
    /// Switches these services off.
    Group(Vec<String>),
    /// Cannot be enabled, for this reason. All its settings are accepted, and none has an effect.
    Unavailable(String),
}

impl Switch {
    /// Why what it switches cannot run here.
    pub(crate) fn unavailable(&self) -> Option<&str> {
        match self {
            Self::Unavailable(reason) => Some(reason),
            _ => None,
        }
    }
}

/// A role: the services that it turns on and off.
#[derive(Clone, Debug, Default)]
pub(crate) struct Role {
    pub(crate) enable: Vec<String>,
    pub(crate) disable: Vec<String>,
}

/// A service file that makes instances.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) document: Document,
    /// Whole names: `worker@1`.
    pub(crate) instances: Vec<String>,
}

/// Everything that service files and `catalog.toml` declare. Namespaces are keyed by identifier
/// ([`ident`]).
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// Keys at the top of a service file: the hint for one below a header needs them.
    pub(crate) service_keys: Vec<&'static str>,
    pub(crate) keys: BTreeMap<String, Setting>,
    pub(crate) namespaces: BTreeMap<String, Namespace>,
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) services: BTreeMap<String, Document>,
    /// Templates by name without `@`.
    pub(crate) templates: BTreeMap<String, Template>,
    /// `catalog.toml` could not be read: unknown names prove nothing.
    pub(crate) unreadable: bool,
}

impl Schema {
    pub(crate) fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(&ident(name))
    }

    /// The namespace whose settings `name` means, with its identifier.
    pub(crate) fn canonical(&self, name: &str) -> Option<(String, &Namespace)> {
        let namespace = self.namespace(name)?;
        match &namespace.alias_of {
            Some(owner) => self
                .namespaces
                .get(owner)
                .map(|namespace| (owner.clone(), namespace)),
            None => Some((ident(name), namespace)),
        }
    }

    /// Declares a service and its sections.
    pub(crate) fn add_service(&mut self, name: &str, document: Document, report: &mut Report) {
        if let Some(other) = self
            .namespace(name)
            .filter(|namespace| namespace.name != name)
        {
            let message = format!("the name cannot be told from `{}` in templates", other.name);
            report
                .error(&document.whole, name, message)
                .hint("rename one of the two files");
        }
        let mut namespace = Namespace {
            name: name.to_owned(),
            service: Some(name.to_owned()),
            own: true,
            unreadable: document.unreadable,
            switch: Switch::Service,
            ..Namespace::default()
        };
        if let Some(entry) = document.table.get("settings")
            && let Some(table) = entry.node.table()
        {
            namespace.settings = settings(table, "settings", true, &self.service_keys, report);
        }
        self.namespaces.insert(ident(name), namespace);
        if let Some(entry) = document.table.get("sections")
            && let Some(sections) = entry.node.table()
        {
            self.add_sections(name, sections, report);
        }
        self.services.insert(name.to_owned(), document);
    }

    fn add_sections(&mut self, service: &str, sections: &Table, report: &mut Report) {
        for (section, entry) in sections {
            let prefix = format!("sections.{section}");
            if self.namespaces.contains_key(&ident(section)) {
                report.error(
                    &entry.key_at,
                    &prefix,
                    "the name is taken by another service or section",
                );
                continue;
            }
            let Some(table) = entry.node.table() else {
                let what = entry.node.what();
                report.error(
                    &entry.node.at,
                    &prefix,
                    format!("must be a table of settings, not {what}"),
                );
                continue;
            };
            let namespace = Namespace {
                name: section.clone(),
                service: Some(service.to_owned()),
                settings: settings(table, &prefix, false, &self.service_keys, report),
                ..Namespace::default()
            };
            self.namespaces.insert(ident(section), namespace);
        }
    }

    /// Whether a variable of an env map is a secret by the declaration of a setting or by its
    /// looks. `service`: its identifier.
    pub(crate) fn is_secret_variable(&self, service: &str, name: &str, value: &str) -> bool {
        let declared = self.namespaces.values().filter(|namespace| {
            let owner = namespace.service.as_deref().unwrap_or(&namespace.name);
            ident(owner) == service
        });
        let mut settings = declared.flat_map(|namespace| namespace.settings.values());
        settings.any(|it| it.secret && it.env.as_deref() == Some(name)) || looks_secret(name, value)
    }

    /// All names that can stand at the left of a dotted key.
    pub(crate) fn namespace_names(&self) -> BTreeSet<&str> {
        self.namespaces
            .values()
            .map(|namespace| namespace.name.as_str())
            .collect()
    }
}
