//! Service files that are templates: `worker@.toml` makes `worker@1`, `worker@blue`, …
//!
//! Which instances there are says `instances` of the file, or `worker.instances` of the site file,
//! which wins: a list of names, or a number (3 is 1, 2 and 3). All have the settings of the
//! template, `worker.KEY`; `"worker@1".KEY` is for one of them alone. `{{ instance }}` is the part
//! of the name behind the `@`.

use std::collections::BTreeSet;

use crate::{
    declare::{
        schema::{Namespace, Schema, Switch, Template},
        setting::settings,
    },
    read::{
        document::{Document, Kind, Node},
        ident::{ident, is_valid_name},
    },
    report::problem::Report,
};

/// Most instances of one template.
const MAX_INSTANCES: usize = 1000;
/// Most services of a host.
const MAX_ALL: usize = 10_000;
/// Longest name of an instance with that of its template: the name of a directory and a cgroup.
const MAX_NAME: usize = 64;

impl Schema {
    /// Declares a template (its name without `@`) and the services that it makes.
    pub(crate) fn add_template(
        &mut self,
        name: &str,
        document: Document,
        site: &Document,
        report: &mut Report,
    ) {
        if let Some(other) = self.namespace(name) {
            let message = format!("the name cannot be told from `{}`", other.name);
            report
                .error(&document.whole, name, message)
                .hint("rename one of the two files");
            return;
        }
        if let Some(entry) = document.table.get("sections") {
            let message = "a template can have no sections of its own";
            report
                .error(&entry.key_at, "sections", message)
                .hint("declare the settings under [settings]");
        }
        let table = document
            .table
            .get("settings")
            .and_then(|it| it.node.table());
        let settings = table
            .map(|table| settings(table, "settings", true, &self.service_keys, report))
            .unwrap_or_default();
        let instances = instances(name, &document, site, report);
        if self.services.len() + instances.len() > MAX_ALL {
            let message = format!("there are more than {MAX_ALL} services with these instances");
            report.error(&document.whole, "instances", message);
            return;
        }
        let shared = Namespace {
            name: name.to_owned(),
            settings,
            unreadable: document.unreadable,
            instance: Some(String::new()),
            ..Namespace::default()
        };
        for instance in &instances {
            let whole = format!("{name}@{instance}");
            let namespace = Namespace {
                name: whole.clone(),
                service: Some(whole.clone()),
                own: true,
                switch: Switch::Service,
                base: Some(ident(name)),
                instance: Some(instance.clone()),
                ..shared.clone()
            };
            self.namespaces.insert(ident(&whole), namespace);
            self.services.insert(whole, document.clone());
        }
        let instances = instances.iter().map(|it| format!("{name}@{it}")).collect();
        let namespace = Namespace {
            switch: Switch::Template,
            ..shared
        };
        self.namespaces.insert(ident(name), namespace);
        let template = Template {
            document,
            instances,
        };
        self.templates.insert(name.to_owned(), template);
    }

    /// The template of an instance, by its plain name.
    pub(crate) fn base(&self, namespace: &str) -> Option<&str> {
        self.namespaces.get(namespace)?.base.as_deref()
    }

    /// The template whose instances `NAME@` means.
    pub(crate) fn template(&self, name: &str) -> Option<&Template> {
        let name = ident(name.strip_suffix('@')?);
        let mut all = self.templates.iter();
        all.find(|(known, _)| ident(known) == name)
            .map(|(_, template)| template)
    }
}

/// A service's name as the site file has to write it.
pub(crate) fn key(name: &str) -> String {
    if name.contains('@') {
        format!("\"{name}\"")
    } else {
        name.to_owned()
    }
}

/// The names of the instances, as the site file says them or else the service file.
fn instances(name: &str, document: &Document, site: &Document, report: &mut Report) -> Vec<String> {
    let mut namespaces = site.table.iter();
    let own = namespaces
        .find(|(namespace, _)| ident(namespace) == ident(name))
        .and_then(|(_, entry)| entry.node.table()?.get("instances"));
    let (node, key) = match (own, document.table.get("instances")) {
        (Some(entry), _) => (&entry.node, format!("{name}.instances")),
        (None, Some(entry)) => (&entry.node, "instances".to_owned()),
        (None, None) => return Vec::new(),
    };
    let written = names(node, &key, report);
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for (at, instance) in written {
        if !is_valid_name(&instance) || name.len() + 1 + instance.len() > MAX_NAME {
            let message = format!(
                "`{}` cannot be the name of an instance",
                instance.escape_debug()
            );
            report
                .error(&at.at, &key, message)
                .hint("use letters, digits, `-` and `_`");
        } else if !seen.insert(ident(&instance)) {
            let message = format!("`{instance}` is there twice, or differs by `-` and `_` alone");
            report.error(&at.at, &key, message);
        } else if out.len() == MAX_INSTANCES {
            let message = format!("there are more than {MAX_INSTANCES} instances");
            report.error(&at.at, &key, message);
            break;
        } else {
            out.push(instance);
        }
    }
    out
}

fn names<'n>(node: &'n Node, key: &str, report: &mut Report) -> Vec<(&'n Node, String)> {
    let most = i64::try_from(MAX_INSTANCES).unwrap_or(i64::MAX);
    match &node.kind {
        Kind::Int(n) if (0..=most).contains(n) => (1..=*n).map(|n| (node, n.to_string())).collect(),
        Kind::List(list) => list
            .iter()
            .filter_map(|item| {
                let name = match &item.kind {
                    Kind::Text(text) => text.clone(),
                    Kind::Int(int) => int.to_string(),
                    _ => {
                        let message = format!("must be names, not {}", item.what());
                        report.error(&item.at, key, message);
                        return None;
                    }
                };
                Some((item, name))
            })
            .collect(),
        _ => {
            let message = format!("must be a list of names, or a number up to {most}");
            report
                .error(&node.at, key, message)
                .hint("write instances = [\"1\", \"2\"], or instances = 2");
            Vec::new()
        }
    }
}

/// The hint for a file such as `worker@1.toml`: an instance has no file.
pub(crate) fn instance_file_hint(stem: &str, known: &[String]) -> String {
    let (template, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let templates = known.iter().filter_map(|name| name.strip_suffix('@'));
    let near = crate::report::suggest::nearest(template, templates).unwrap_or(template);
    format!(
        "an instance has no file of its own: add \"{instance}\" to `instances` of {near}@.toml, \
         and set what is its own alone by {}.KEY in the site file",
        key(&format!("{near}@{instance}"))
    )
}

/// The hint for a dependency `NAME@` where there is no such template.
pub(crate) fn no_template_hint(name: &str, schema: &Schema) -> Option<String> {
    let wanted = name.strip_suffix('@').unwrap_or(name);
    let near = crate::report::suggest::nearest(wanted, schema.templates.keys().map(String::as_str));
    near.map(|near| format!("did you mean `{near}@`?"))
}
