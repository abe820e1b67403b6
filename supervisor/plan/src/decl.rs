//! What may be said: settings, sections, top-level keys, groups, flags and roles, as the service
//! files and `catalog.toml` declare them.
//!
//! `[settings]` of a service file declares `SERVICE.key`. `[sections.NAME]` of a service file
//! declares `NAME.key` for a section that belongs to the service (`mattermost_nginx` to nginx).
//! A section that only `catalog.toml` names is another name of its service's own settings.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    fields::{Fields, misplaced},
    near::did_you_mean,
    problem::Report,
    secrets::Spec,
    source::{Document, Kind, Node, Place, Table},
    value::{TYPES, Type, Typed},
};

/// Keys of a service file at top level; also the order of the reference.
pub(crate) const SERVICE_KEYS: [&str; 37] = [
    "description",
    "command",
    "enable",
    "type",
    "user",
    "group",
    "groups",
    "uid",
    "gid",
    "home",
    "umask",
    "working_dir",
    "nice",
    "oom_score_adj",
    "no_new_privs",
    "capabilities",
    "requires",
    "wants",
    "binds_to",
    "after",
    "listens",
    "validate",
    "settings",
    "sections",
    "env",
    "ready",
    "liveness",
    "health",
    "restart",
    "stop",
    "reload",
    "limits",
    "log",
    "log_files",
    "directories",
    "files",
    "doc",
];

/// Names that templates have without any declaration.
pub(crate) const BUILTINS: [&str; 10] = [
    "root",
    "run_dir",
    "state_dir",
    "log_dir",
    "etc_dir",
    "catalog_dir",
    "cpus",
    "memory_bytes",
    "supervisor_uid",
    "candidate",
];

/// One declared setting.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) at: Place,
    pub(crate) ty: Type,
    pub(crate) default: Option<Node>,
    pub(crate) env: Option<String>,
    pub(crate) secret: bool,
    pub(crate) generate: Option<Spec>,
    pub(crate) find: Vec<Node>,
    pub(crate) version_file: Option<Node>,
    pub(crate) values: Vec<String>,
    /// A URL without path.
    pub(crate) bare: bool,
}

/// Settings under one name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Space {
    /// The name as files write it.
    pub(crate) name: String,
    /// The service it belongs to; none: nothing runs by this name here.
    pub(crate) service: Option<String>,
    /// Whether it is the service itself.
    pub(crate) own: bool,
    pub(crate) settings: BTreeMap<String, Setting>,
    /// Another name of this space's settings.
    pub(crate) alias_of: Option<String>,
    /// Of a service that could not be read: anything may be said of it.
    pub(crate) damaged: bool,
    /// May be switched.
    pub(crate) switch: Switch,
}

/// What `NAME.enable` does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Switch {
    #[default]
    None,
    /// Switches the service.
    Service,
    /// Switches these services off.
    Group(Vec<String>),
    /// A service that is not shipped: can only be off.
    Flag,
}

/// A role: what it turns on and off.
#[derive(Clone, Debug, Default)]
pub(crate) struct Role {
    pub(crate) enable: Vec<String>,
    pub(crate) disable: Vec<String>,
}

/// Everything declared. Spaces are keyed by [`plain`] names.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) keys: BTreeMap<String, Setting>,
    pub(crate) spaces: BTreeMap<String, Space>,
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) services: BTreeMap<String, Document>,
    /// `catalog.toml` could not be read: unknown names prove nothing.
    pub(crate) damaged: bool,
}

/// A name as templates write it.
pub(crate) fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// Whether a service or setting can be called this.
pub(crate) fn valid_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 64
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

impl World {
    pub(crate) fn space(&self, name: &str) -> Option<&Space> {
        self.spaces.get(&plain(name))
    }

    /// The space whose settings `name` means, by its plain name.
    pub(crate) fn canonical(&self, name: &str) -> Option<(String, &Space)> {
        let space = self.space(name)?;
        match &space.alias_of {
            Some(owner) => self.spaces.get(owner).map(|space| (owner.clone(), space)),
            None => Some((plain(name), space)),
        }
    }

    /// Declares a service and its sections.
    pub(crate) fn add_service(&mut self, name: &str, document: Document, report: &mut Report) {
        if let Some(other) = self.space(name).filter(|space| space.name != name) {
            let message = format!("the name cannot be told from `{}` in templates", other.name);
            report
                .error(&document.whole, name, message)
                .hint("rename one of the two files");
        }
        let mut space = Space {
            name: name.to_owned(),
            service: Some(name.to_owned()),
            own: true,
            damaged: document.damaged,
            switch: Switch::Service,
            ..Space::default()
        };
        if let Some(entry) = document.table.get("settings")
            && let Some(table) = entry.node.table()
        {
            space.settings = settings(table, "settings", true, report);
        }
        self.spaces.insert(plain(name), space);
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
            if self.spaces.contains_key(&plain(section)) {
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
            let space = Space {
                name: section.clone(),
                service: Some(service.to_owned()),
                settings: settings(table, &prefix, false, report),
                ..Space::default()
            };
            self.spaces.insert(plain(section), space);
        }
    }

    /// Declares what is not one service's. After all services.
    pub(crate) fn add_catalog(&mut self, document: &Document, report: &mut Report) {
        self.damaged = document.damaged;
        let mut fields = Fields::new(&document.table, document.whole.clone(), "");
        // `[settings]` is the word of service files, `[keys]` the other name of it.
        for word in ["settings", "keys"] {
            if let Some(keys) = fields.entry(word).and_then(|entry| entry.node.table()) {
                self.keys.extend(settings(keys, word, false, report));
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

    fn name_sections(&mut self, node: &Node, report: &mut Report) {
        for (section, entry) in table_of(node, "sections", report) {
            let key = format!("sections.{section}");
            let Some(service) = entry.node.text() else {
                report.error(&entry.node.at, key, "must be the name of a service");
                continue;
            };
            let Some(owner) = self.space(service).filter(|space| space.own) else {
                if !self.damaged {
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
            let damaged = owner.damaged;
            if self.spaces.contains_key(&plain(section)) {
                continue;
            }
            let space = Space {
                name: section.clone(),
                service: Some(service.to_owned()),
                alias_of: Some(plain(service)),
                damaged,
                switch: Switch::Service,
                ..Space::default()
            };
            self.spaces.insert(plain(section), space);
        }
    }

    fn add_groups(&mut self, node: &Node, report: &mut Report) {
        for (group, entry) in table_of(node, "groups", report) {
            let key = format!("groups.{group}");
            let (members, settings) = if let Some(table) = entry.node.table() {
                let mut fields = Fields::new(table, entry.key_at.clone(), &key);
                let members = fields.node("services").map(|n| names(n, &key, report));
                let declared = fields.node("settings").and_then(Node::table);
                let declared = declared.map(|t| settings(t, &key, true, report));
                fields.entry("doc");
                fields.finish(&[], report);
                (members.unwrap_or_default(), declared.unwrap_or_default())
            } else {
                (names(&entry.node, &key, report), BTreeMap::new())
            };
            for member in &members {
                if self.space(member).is_none() {
                    let space = flag(member);
                    self.spaces.insert(plain(member), space);
                }
            }
            let space = self
                .spaces
                .entry(plain(group))
                .or_insert_with(|| flag(group));
            space.settings.extend(settings);
            space.switch = Switch::Group(members);
        }
    }

    fn add_flags(&mut self, node: &Node, report: &mut Report) {
        let all: Vec<String> = match &node.kind {
            Kind::Table(table) => table.keys().cloned().collect(),
            _ => names(node, "flags", report),
        };
        for name in all {
            self.spaces
                .entry(plain(&name))
                .or_insert_with(|| flag(&name));
        }
    }

    fn add_roles(&mut self, node: &Node, report: &mut Report) {
        for (name, entry) in table_of(node, "roles", report) {
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
                if self.space(service).is_none() {
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

    /// All names that can stand at the left of a dotted key.
    pub(crate) fn space_names(&self) -> BTreeSet<&str> {
        self.spaces
            .values()
            .map(|space| space.name.as_str())
            .collect()
    }
}

fn flag(name: &str) -> Space {
    Space {
        name: name.to_owned(),
        switch: Switch::Flag,
        ..Space::default()
    }
}

fn table_of<'n>(
    node: &'n Node,
    key: &str,
    report: &mut Report,
) -> Vec<(&'n String, &'n crate::source::Entry)> {
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

fn names(node: &Node, key: &str, report: &mut Report) -> Vec<String> {
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
            Some(text) if valid_name(text) => out.push(text.to_owned()),
            _ => {
                report.error(&item.at, key, "must be a list of names");
            }
        }
    }
    out
}

fn settings(
    table: &Table,
    prefix: &str,
    own: bool,
    report: &mut Report,
) -> BTreeMap<String, Setting> {
    let mut out = BTreeMap::new();
    for (name, entry) in table {
        let key = format!("{prefix}.{name}");
        let Some(inner) = entry.node.table() else {
            let what = entry.node.what();
            let message = format!("must be a table such as {{ type = \"string\" }}, not {what}");
            let problem = report.error(&entry.node.at, key, message);
            if SERVICE_KEYS.contains(&name.as_str()) {
                problem.hint(misplaced(name, prefix));
            }
            continue;
        };
        if !valid_name(name) || name.contains('-') {
            report.error(
                &entry.key_at,
                key,
                "a setting's name has letters, digits and `_` only",
            );
            continue;
        }
        if BUILTINS.contains(&name.as_str()) || (own && matches!(name.as_str(), "enable" | "env")) {
            report
                .error(
                    &entry.key_at,
                    key,
                    format!("`{name}` has a meaning of its own"),
                )
                .hint("choose another name");
            continue;
        }
        if let Some(setting) = setting(inner, &entry.key_at, &key, report) {
            out.insert(name.clone(), setting);
        }
    }
    out
}

fn setting(table: &Table, at: &Place, key: &str, report: &mut Report) -> Option<Setting> {
    let mut fields = Fields::new(table, at.clone(), key);
    let ty = match fields.node("type") {
        None => Some(Type::Text),
        Some(node) => {
            let ty = node.text().and_then(Type::named);
            if ty.is_none() {
                let known = TYPES.map(|(name, _)| name);
                let hint = did_you_mean(node.text().unwrap_or_default(), known);
                let all = format!("the types are {}", known.join(", "));
                report
                    .error(&node.at, fields.key("type"), "there is no such type")
                    .hint(hint.unwrap_or(all));
            }
            ty
        }
    };
    let flag = |fields: &mut Fields<'_>, name: &'static str, report: &mut Report| match fields
        .node(name)
    {
        None => false,
        Some(Node {
            kind: Kind::Bool(value),
            ..
        }) => *value,
        Some(node) => {
            let what = node.what();
            report.error(
                &node.at,
                fields.key(name),
                format!("must be true or false, not {what}"),
            );
            false
        }
    };
    let secret = flag(&mut fields, "secret", report);
    let bare = flag(&mut fields, "bare", report);
    let env = text(&mut fields, "env", report);
    if let Some(env) = &env
        && let Err(why) = env_name(env)
    {
        report.error(at, fields.key("env"), why);
    }
    let generate = text(&mut fields, "generate", report).and_then(|spec| {
        Spec::parse(&spec)
            .map_err(|why| {
                report.error(at, format!("{key}.generate"), why);
            })
            .ok()
    });
    let find = string_list(&mut fields, "find", report);
    let values = string_list(&mut fields, "values", report);
    let version_file = fields.node("version_file").cloned();
    text(&mut fields, "doc", report);
    let default = fields.node("default").cloned();
    if let (Some(ty), Some(node)) = (ty, &default)
        && !has_template(node)
        && let Err(why) = Typed::from_node(ty, node)
    {
        report.error(&node.at, fields.key("default"), why);
    }
    if !find.is_empty() && ty != Some(Type::Path) {
        report.error(
            at,
            fields.key("find"),
            "only a setting of type path can be found",
        );
    }
    fields.finish(&SERVICE_KEYS, report);
    let values = values
        .iter()
        .filter_map(|n| n.text().map(str::to_owned))
        .collect();
    Some(Setting {
        at: at.clone(),
        ty: ty?,
        default,
        env,
        secret,
        generate,
        find,
        version_file,
        values,
        bare,
    })
}

/// Whether a value is a template or a list or table with one in it.
pub(crate) fn has_template(node: &Node) -> bool {
    match &node.kind {
        Kind::Text(text) => crate::template::is_template(text),
        Kind::List(list) => list.iter().any(has_template),
        Kind::Table(table) => table.values().any(|entry| has_template(&entry.node)),
        _ => false,
    }
}

fn text(fields: &mut Fields<'_>, key: &'static str, report: &mut Report) -> Option<String> {
    let node = fields.node(key)?;
    if node.text().is_none() {
        report.error(
            &node.at,
            fields.key(key),
            format!("must be a string, not {}", node.what()),
        );
    }
    node.text().map(str::to_owned)
}

fn string_list(fields: &mut Fields<'_>, key: &'static str, report: &mut Report) -> Vec<Node> {
    let Some(node) = fields.node(key) else {
        return Vec::new();
    };
    if let Kind::List(list) = &node.kind
        && list.iter().all(|item| item.text().is_some())
    {
        return list.clone();
    }
    report.error(&node.at, fields.key(key), "must be a list of strings");
    Vec::new()
}

/// Whether a variable can be called this.
pub(crate) fn env_name(name: &str) -> Result<(), String> {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if first && rest {
        return Ok(());
    }
    Err(format!(
        "`{}` cannot be the name of an environment variable",
        name.escape_debug()
    ))
}
