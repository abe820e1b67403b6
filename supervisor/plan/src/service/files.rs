//! `[[files]]`: rendered, checked, then swapped in.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use api::PlanImpact;
use serde_json::json;

use crate::{
    model::{OnChange, RenderedFile, Service, reload_token},
    read::{document::Node, fields::Fields},
    resolve::{
        locals::Locals,
        outcome::{Name, Outcome, TemplateSource},
    },
    service::{
        account::account,
        described::{Described, mode},
        key::{Differences, Key, KeyTable},
        reader::Reader,
        tables::{owner, path, tables},
    },
};

pub(crate) const KEYS: &[Key] = &[Key {
    name: "files",
    doc: "rendered from templates, checked, then swapped in; one that is missing at a start is written again",
    read: |reader, fields, service| {
        let account = service.user.is_some() || service.group.is_some();
        service.files = files(reader, fields, account);
    },
    describe,
    compare: files_differ,
    tables: &[KeyTable {
        header: "[[files]]",
        intro: "",
        keys: &[
            ("path, mode", "default mode `\"0640\"`"),
            ("template", "path of a template below services.d"),
            ("content", "or the text itself"),
            (
                "validate",
                "command that checks `{{ candidate }}` before it is swapped in",
            ),
            ("on_change", "`restart` (default), `reload` or `nothing`"),
            ("create_only", "made where it is missing, then left alone"),
            (
                "user, group",
                "owner; default: root, or the service's user in a directory of its own, and the service's group",
            ),
            ("secret", "must not be shown"),
        ],
    }],
    ..Key::IDLE
}];

fn describe(service: &Service, out: &mut Described) {
    for file in &service.files {
        let mut value = json!({ "mode": mode(file.mode), "bytes": file.content.len() });
        owner(&mut value, file.user.as_ref(), file.group.as_ref());
        if file.create_only {
            value["create_only"] = json!(true);
        }
        if !file.validate.is_empty() {
            value["validate"] = json!(file.validate);
        }
        out.put(format!("files.\"{}\"", file.path.display()), value);
    }
}

fn files_differ(old: &Service, new: &Service, out: &mut Differences) {
    for file in &new.files {
        let name = file.path.display();
        let before = old.files.iter().find(|before| before.path == file.path);
        let Some(before) = before else {
            out.file(file.on_change.impact(new), &file.path, "added");
            continue;
        };
        if before.content != file.content && !file.create_only {
            out.file(file.on_change.impact(new), &file.path, "changed");
        }
        let owner =
            (before.mode, &before.user, &before.group) != (file.mode, &file.user, &file.group);
        if owner && !file.create_only {
            out.add(
                PlanImpact::InPlace,
                format!("mode or owner of file {name} changed"),
            );
        }
        if (&before.validate, before.on_change, before.create_only)
            != (&file.validate, file.on_change, file.create_only)
        {
            out.add(
                PlanImpact::InPlace,
                format!("handling of file {name} changed"),
            );
        }
    }
    for file in old
        .files
        .iter()
        .filter(|file| new.files.iter().all(|now| now.path != file.path))
    {
        out.add(
            PlanImpact::InPlace,
            format!("file {} is not rendered any more", file.path.display()),
        );
    }
}

impl OnChange {
    /// Effect of a changed file on this service. A service that cannot reload is restarted.
    pub(crate) fn impact(self, service: &Service) -> PlanImpact {
        match self {
            Self::Reload if service.reload.is_some() => PlanImpact::Reload,
            Self::Reload | Self::Restart => PlanImpact::Restart,
            Self::Nothing => PlanImpact::InPlace,
        }
    }
}

/// `as_account`: the service runs as one of its own.
fn files(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    as_account: bool,
) -> Vec<RenderedFile> {
    let mut out = Vec::new();
    for fields in tables(reader, fields, "files") {
        let at = fields.at.clone();
        let Some(file) = file(reader, fields, as_account) else {
            continue;
        };
        if out
            .iter()
            .any(|other: &RenderedFile| other.path == file.path)
        {
            let message = format!("{} is rendered twice", file.path.display());
            reader.report().error(&at, "files.path", message);
        }
        out.push(file);
    }
    out
}

fn file(
    reader: &mut Reader<'_, '_>,
    mut fields: Fields<'_>,
    as_account: bool,
) -> Option<RenderedFile> {
    let path = path(reader, &mut fields);
    reader.locals = Locals::of("reload_token", reload_token::BLANK);
    let content = content(reader, &mut fields);
    reader.locals = Locals::NONE;
    let mode = reader.mode_key(&mut fields, "mode");
    let user = account(reader, &mut fields, "user");
    let group = account(reader, &mut fields, "group");
    let candidate = path.as_deref().map(candidate_of).unwrap_or_default();
    reader.locals = Locals::of("candidate", candidate.display().to_string());
    let validate = reader.argv_key(&mut fields, "validate").unwrap_or_default();
    reader.locals = Locals::NONE;
    let words = [
        ("reload", OnChange::Reload),
        ("restart", OnChange::Restart),
        ("nothing", OnChange::Nothing),
    ];
    let on_change = reader
        .word_key(&mut fields, "on_change", &words)
        .unwrap_or(OnChange::Restart);
    let create_only = reader.bool_key(&mut fields, "create_only").unwrap_or(false);
    let declared = reader.bool_key(&mut fields, "secret").unwrap_or(false);
    let at = fields.at.clone();
    reader.finish(fields);
    let Rendered {
        content,
        tainted,
        private,
    } = content?;
    if create_only && reload_token::has_token(&content) {
        let message = "has a `reload_token`, but is written only once";
        let problem = reader.report().error(&at, "files.create_only", message);
        problem.hint("leave one of the two out: the token is another at each start and reload");
    }
    let secret = declared || tainted;
    // Members of root's group may be ordinary users.
    let has_group = as_account || user.is_some() || group.is_some();
    let default = if secret && !has_group { 0o600 } else { 0o640 };
    let mode = mode.unwrap_or(default);
    if secret && mode & 0o007 != 0 {
        let message = format!("holds a secret, but its mode {mode:04o} lets everybody at it");
        reader
            .report()
            .error(&at, "files.mode", message)
            .hint(format!("write mode = \"{default:04o}\""));
    }
    Some(RenderedFile {
        path: path?,
        content,
        mode,
        user,
        group,
        validate,
        candidate,
        on_change,
        create_only,
        secret,
        private,
    })
}

/// The candidate lies beside the file: it can be renamed into place, and relative includes work.
fn candidate_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.candidate"))
}

/// The content of a file, and what of it is hidden.
struct Rendered {
    content: String,
    /// A secret has got into it.
    tainted: bool,
    private: BTreeSet<String>,
}

fn content(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<Rendered> {
    let template = fields.node("template");
    let content = fields.node("content");
    match (template, content) {
        (Some(node), None) => {
            let key = fields.key("template");
            from_template(reader, node, &key)
        }
        (None, Some(node)) => {
            let key = fields.key("content");
            let (value, tainted) =
                reader.typed(node, &key, crate::read::typed::Type::Text, false)?;
            let text = node.text().unwrap_or_default();
            Some(Rendered {
                content: value.text(),
                tainted,
                private: private_lines(reader, text, TemplateSource::Value(&node.at), &key),
            })
        }
        _ => {
            let name = fields.key("template");
            reader
                .report()
                .error(&fields.at, name, "needs either template or content");
            None
        }
    }
}

fn from_template(reader: &mut Reader<'_, '_>, node: &Node, key: &str) -> Option<Rendered> {
    let name = reader.text(node, key)?;
    let file = reader.template_file(&name, &node.at, key)?;
    let text = &file.main.text;
    let (value, tainted) = reader.eval(text, TemplateSource::File(&file), key, false)?;
    Some(Rendered {
        content: crate::read::typed::plain_text(&value),
        tainted,
        private: private_lines(reader, text, TemplateSource::File(&file), key),
    })
}

/// Lines that a template copies from settings of several lines.
fn private_lines(
    reader: &mut Reader<'_, '_>,
    text: &str,
    origin: TemplateSource<'_>,
    key: &str,
) -> BTreeSet<String> {
    let namespace = reader.namespace.clone();
    let resolver = &mut *reader.resolver;
    let schema = resolver.schema;
    let names = resolver.names(&namespace, text, origin, key, &reader.locals);
    let mut lines = BTreeSet::new();
    for name in names.unwrap_or_default().into_values() {
        let Name::Setting(namespace, key) = &name else {
            continue;
        };
        if !schema.namespaces[namespace].settings[key].multi_line {
            continue;
        }
        if let Outcome::Set { value, .. } = resolver.resolve(&name) {
            let texts = value.texts().into_iter().flat_map(str::lines);
            lines.extend(texts.map(|line| line.trim().to_owned()));
        }
    }
    lines.remove("");
    lines
}
