//! `catalog.toml`: names that belong to no single service.
//!
//! `[settings]` are keys at the top of the site file. `[sections]` gives a service's settings a
//! second name (`NAME = "service"`), or declares settings that are no service's
//! (`[sections.NAME]`). `[[unavailable]]` names services of another catalogue that cannot run here,
//! with the reason: a site file may have their settings and their `enable = false`, and nothing
//! comes of it. `[groups]` are turned off as one; a group is a list of services or
//! `{ services, settings }`. `[roles]` turn services on and off: a list to turn on, or
//! `{ enable, disable }`.
//!
//! Order: services first, then sections, then what is unavailable, since a group may name any of
//! these; roles come last and name services alone.

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
    /// Declares what `catalog.toml` names. Must follow all services: sections, groups and roles
    /// refer to them.
    pub(crate) fn add_catalog(&mut self, document: &Document, report: &mut Report) {
        self.unreadable = document.unreadable;
        let mut fields = Fields::new(&document.table, document.whole.clone(), "");
        if let Some(keys) = fields
            .entry("settings")
            .and_then(|entry| entry.node.table())
        {
            self.keys.extend(settings(
                keys,
                "settings",
                false,
                &self.service_keys,
                report,
            ));
        }
        if let Some(entry) = fields.entry("sections") {
            self.name_sections(&entry.node, report);
        }
        if let Some(entry) = fields.entry("unavailable") {
            self.add_unavailable(&entry.node, report);
        }
        if let Some(entry) = fields.entry("groups") {
            self.add_groups(&entry.node, report);
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
                    self.no_service(member, &entry.node, &key, report);
                }
            }
            let namespace = self
                .namespaces
                .entry(ident(group))
                .or_insert_with(|| Namespace {
                    name: group.clone(),
                    ..Namespace::default()
                });
            namespace.settings.extend(settings);
            namespace.switch = Switch::Group(members);
        }
    }

    fn add_unavailable(&mut self, node: &Node, report: &mut Report) {
        const KEY: &str = "unavailable";
        let Kind::List(items) = &node.kind else {
            let message = format!("must be tables, [[unavailable]], not {}", node.what());
            report.error(&node.at, KEY, message);
            return;
        };
        for item in items {
            let Some(table) = item.table() else {
                let message = format!("must be a table, not {}", item.what());
                report.error(&item.at, KEY, message);
                continue;
            };
            let mut fields = Fields::new(table, item.at.clone(), KEY);
            let named = fields.node("names").map(|it| names(it, KEY, report));
            let reason = fields.node("reason").and_then(Node::text);
            fields.finish(&[], report);
            let (Some(named), Some(reason)) = (named, reason) else {
                report.error(&item.at, KEY, "needs names, a list, and reason, a text");
                continue;
            };
            for name in named {
                let namespace = Namespace {
                    name: name.clone(),
                    switch: Switch::Unavailable(reason.to_owned()),
                    ..Namespace::default()
                };
                // A service of the administrator's own by this name can run.
                self.namespaces.entry(ident(&name)).or_insert(namespace);
            }
        }
    }

    fn no_service(&self, name: &str, node: &Node, key: &str, report: &mut Report) {
        let services = self.services.keys().map(String::as_str);
        report
            .error(&node.at, key, format!("there is no service `{name}`"))
            .hint_some(did_you_mean(name, services));
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
                let namespace = self.namespace(service);
                if namespace.is_none_or(|it| it.switch.unavailable().is_some()) {
                    self.no_service(service, &entry.node, &key, report);
                }
            }
            self.roles.insert(name.clone(), role);
        }
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
