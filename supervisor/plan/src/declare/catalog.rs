//! `catalog.toml`: names that belong to no single service.
//!
//! `[settings]` (or `[keys]`) are keys at the top of the site file. `[sections]` gives a service's
//! settings a second name (`NAME = "service"`), or declares settings that are no service's
//! (`[sections.NAME]`). `[groups]` are turned off as one; a group is a list of services or
//! `{ services, settings }`. `[flags]` are names that may be switched off though they are not
//! shipped: a list, or a table that says of each why it cannot be on. `[roles]` turn services on
//! and off: a list to turn on, or `{ enable, disable }`.

use std::collections::BTreeMap;

use crate::{
    declare::{
        schema::{Namespace, Role, Schema, Switch},
        setting::settings,
    },
    read::{
        document::{Document, Entry, Kind, Node},
        fields::Fields,
        ident::{ident, is_valid_name},
    },
    report::{problem::Report, suggest::did_you_mean},
};

impl Schema {
    /// Declares what `catalog.toml` names. Must follow all services: sections, groups and roles refer to them.
    pub(crate) fn add_catalog(&mut self, document: &Document, report: &mut Report) {
        self.unreadable = document.unreadable;
        let mut fields = Fields::new(&document.table, document.whole.clone(), "");
        // `[keys]` is the older name of `[settings]`.
        for word in ["settings", "keys"] {
            if let Some(keys) = fields.entry(word).and_then(|entry| entry.node.table()) {
                self.keys
                    .extend(settings(keys, word, false, &self.service_keys, report));
            }
        }
        if let Some(entry) = fields.entry("sections") {
            self.name_sections(&entry.node, report);
        }
        if let Some(entry) = fields.entry("groups") {
            self.add_groups(&entry.node, report);
        }
        if let Some(entry) = fields.entry("flags") {
            self.add_flags(&entry.node, report);
        }
        if let Some(entry) = fields.entry("roles") {
            self.add_roles(&entry.node, report);
        }
        fields.finish(&[], report);
    }

    pub(crate) fn name_sections(&mut self, node: &Node, report: &mut Report) {
        for (section, entry) in entries_of(node, "sections", report) {
            let key = format!("sections.{section}");
            if let Some(declared) = entry.node.table() {
                let namespace = Namespace {
                    name: section.clone(),
                    settings: settings(declared, &key, false, &self.service_keys, report),
                    ..Namespace::default()
                };
                self.namespaces.entry(ident(section)).or_insert(namespace);
                continue;
            }
            let Some(service) = entry.node.text() else {
                report.error(
                    &entry.node.at,
                    key,
                    "must be the name of a service, or a table of settings",
                );
                continue;
            };
            let Some(owner) = self.namespace(service).filter(|namespace| namespace.own) else {
                if !self.unreadable {
                    let names: Vec<&str> = self.services.keys().map(String::as_str).collect();
                    report
                        .error(
                            &entry.node.at,
                            key,
                            format!("there is no service `{service}`"),
                        )
                        .hint_some(did_you_mean(service, names));
                }
                continue;
            };
            let unreadable = owner.unreadable;
            if self.namespaces.contains_key(&ident(section)) {
                continue;
            }
            let namespace = Namespace {
                name: section.clone(),
                service: Some(service.to_owned()),
                alias_of: Some(ident(service)),
                unreadable,
                switch: Switch::Service,
                ..Namespace::default()
            };
            self.namespaces.insert(ident(section), namespace);
        }
    }

    pub(crate) fn add_groups(&mut self, node: &Node, report: &mut Report) {
        for (group, entry) in entries_of(node, "groups", report) {
            let key = format!("groups.{group}");
            let (members, settings) = if let Some(table) = entry.node.table() {
                let mut fields = Fields::new(table, entry.key_at.clone(), &key);
                let members = fields.node("services").map(|n| names(n, &key, report));
                let declared = fields.node("settings").and_then(Node::table);
                let declared =
                    declared.map(|t| settings(t, &key, true, &self.service_keys, report));
                fields.entry("doc");
                fields.finish(&[], report);
                (members.unwrap_or_default(), declared.unwrap_or_default())
            } else {
                (names(&entry.node, &key, report), BTreeMap::new())
            };
            for member in &members {
                if self.namespace(member).is_none() {
                    let namespace = flag(member);
                    self.namespaces.insert(ident(member), namespace);
                }
            }
            let namespace = self
                .namespaces
                .entry(ident(group))
                .or_insert_with(|| flag(group));
            namespace.settings.extend(settings);
            namespace.switch = Switch::Group(members);
        }
    }

    pub(crate) fn add_flags(&mut self, node: &Node, report: &mut Report) {
        let all: Vec<(String, Option<String>)> = match &node.kind {
            Kind::Table(table) => table
                .iter()
                .map(|(name, entry)| {
                    let reason = entry.node.text().filter(|text| !text.is_empty());
                    (name.clone(), reason.map(str::to_owned))
                })
                .collect(),
            _ => names(node, "flags", report)
                .into_iter()
                .map(|name| (name, None))
                .collect(),
        };
        for (name, reason) in all {
            let namespace = Namespace {
                reason,
                ..flag(&name)
            };
            self.namespaces.entry(ident(&name)).or_insert(namespace);
        }
    }

    pub(crate) fn add_roles(&mut self, node: &Node, report: &mut Report) {
        for (name, entry) in entries_of(node, "roles", report) {
            let key = format!("roles.{name}");
            let mut role = Role::default();
            if let Some(table) = entry.node.table() {
                let mut fields = Fields::new(table, entry.key_at.clone(), &key);
                role.enable = fields
                    .node("enable")
                    .map_or_else(Vec::new, |n| names(n, &key, report));
                role.disable = fields
                    .node("disable")
                    .map_or_else(Vec::new, |n| names(n, &key, report));
                fields.entry("doc");
                fields.finish(&[], report);
            } else {
                role.enable = names(&entry.node, &key, report);
            }
            for service in role.enable.iter().chain(&role.disable) {
                if self.namespace(service).is_none() {
                    report
                        .error(
                            &entry.node.at,
                            &key,
                            format!("there is no service `{service}`"),
                        )
                        .hint_some(did_you_mean(
                            service,
                            self.services.keys().map(String::as_str),
                        ));
                }
            }
            self.roles.insert(name.clone(), role);
        }
    }
}

pub(crate) fn flag(name: &str) -> Namespace {
    Namespace {
        name: name.to_owned(),
        switch: Switch::Flag,
        ..Namespace::default()
    }
}

pub(crate) fn entries_of<'n>(
    node: &'n Node,
    key: &str,
    report: &mut Report,
) -> Vec<(&'n String, &'n Entry)> {
    if let Some(table) = node.table() {
        return table.iter().collect();
    }
    report.error(
        &node.at,
        key,
        format!("must be a table, not {}", node.what()),
    );
    Vec::new()
}

pub(crate) fn names(node: &Node, key: &str, report: &mut Report) -> Vec<String> {
    let Kind::List(list) = &node.kind else {
        report.error(
            &node.at,
            key,
            format!("must be a list of names, not {}", node.what()),
        );
        return Vec::new();
    };
    let mut out = Vec::new();
    for item in list {
        match item.text() {
            Some(text) if is_valid_name(text) => out.push(text.to_owned()),
            _ => {
                report.error(&item.at, key, "must be a list of names");
            }
        }
    }
    out
}
