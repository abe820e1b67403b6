//! Declarations of settings, wherever they stand.

use std::collections::BTreeMap;

use regex_lite::Regex;

use crate::{
    read::{
        document::{Kind, Node, Table},
        fields::{Fields, misplaced},
        ident::{env_name, is_valid_name},
        secret_spec::Spec,
        typed::{TYPES, Type, Typed},
    },
    report::{place::Place, problem::Report, suggest::did_you_mean},
};

/// Names that templates have without any declaration.
pub(crate) const BUILTINS: &[&str] = &[
    "root",
    "run_dir",
    "state_dir",
    "log_dir",
    "etc_dir",
    "catalog_dir",
    "cpus",
    "memory_bytes",
    "supervisor_capabilities",
    "supervisor_uid",
    "supervisor_account",
    "program_dir",
    "candidate",
    "environment",
    "reload_token",
    "instance",
    "situation",
];

/// The regular expression that a text must match, and what that means in words.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) regex: Regex,
    /// The end of the sentence "must be …".
    pub(crate) words: String,
}

/// A declared setting.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) at: Place,
    pub(crate) ty: Type,
    pub(crate) default: Option<Node>,
    pub(crate) env: Option<String>,
    pub(crate) secret: bool,
    pub(crate) generate: Option<Spec>,
    pub(crate) find: Vec<Node>,
    /// How to install what `find` does not find.
    pub(crate) find_hint: Option<String>,
    pub(crate) version_file: Option<Node>,
    pub(crate) values: Vec<String>,
    /// Whether a URL may have no path.
    pub(crate) bare: bool,
    /// A file whose first line is the value, where the file is there.
    pub(crate) read: Option<Node>,
    /// The text that precedes the value in that file; the file may be a binary.
    pub(crate) read_after: Option<String>,
    /// Line ends and tabs are allowed. Without it a value cannot leave its line of a rendered file.
    pub(crate) multi_line: bool,
    /// The pattern that each text of the value must match.
    pub(crate) pattern: Option<Pattern>,
    /// Longest text of the value, in bytes.
    pub(crate) max_bytes: Option<usize>,
    /// Accepted, but without effect: why, and what to write instead.
    pub(crate) obsolete: Option<String>,
}

/// The settings of a table. `own`: of a service itself; `top`: keys that belong above all headers.
pub(crate) fn settings(
    table: &Table,
    prefix: &str,
    own: bool,
    top: &[&str],
    report: &mut Report,
) -> BTreeMap<String, Setting> {
    let mut out: BTreeMap<String, Setting> = BTreeMap::new();
    for (name, entry) in table {
        let key = format!("{prefix}.{name}");
        let Some(inner) = entry.node.table() else {
            let what = entry.node.what();
            let message = format!("must be a table such as {{ type = \"string\" }}, not {what}");
            let problem = report.error(&entry.node.at, key, message);
            if top.contains(&name.as_str()) {
                problem.hint(misplaced(name, prefix));
            }
            continue;
        };
        if !is_valid_name(name) || name.contains('-') {
            report.error(
                &entry.key_at,
                key,
                "a setting's name has letters, digits and `_` only",
            );
            continue;
        }
        if BUILTINS.contains(&name.as_str())
            || (own && matches!(name.as_str(), "enable" | "env" | "unset_env"))
        {
            report
                .error(
                    &entry.key_at,
                    key,
                    format!("`{name}` has a meaning of its own"),
                )
                .hint("choose another name");
            continue;
        }
        if let Some(setting) = setting(inner, &entry.key_at, &key, top, report) {
            let twin = setting.env.as_ref().and_then(|env| {
                out.iter()
                    .find(|(_, other): &(_, &Setting)| other.env.as_ref() == Some(env))
            });
            if let (Some((other, _)), Some(env)) = (twin, &setting.env) {
                let message = format!("`{other}` sets the variable {env} too");
                report.error(&entry.key_at, format!("{key}.env"), message);
            }
            out.insert(name.clone(), setting);
        }
    }
    out
}

fn setting(
    table: &Table,
    at: &Place,
    key: &str,
    top: &[&str],
    report: &mut Report,
) -> Option<Setting> {
    let mut fields = Fields::new(table, at.clone(), key);
    if let Some(obsolete) = text(&mut fields, "obsolete", report) {
        fields.finish(top, report);
        return Some(without_effect(at, obsolete));
    }
    let ty = type_of(&mut fields, report);
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
    let (find, find_hint) = find(&mut fields, ty, report);
    let values = string_list(&mut fields, "values", report);
    let version_file = fields.node("version_file").cloned();
    let read = fields.node("read").cloned();
    let read_after = read_after(&mut fields, report);
    let multi_line = flag(&mut fields, "multi_line", report);
    let pattern = pattern(&mut fields, report);
    let max_bytes = max_bytes(&mut fields, report);
    text(&mut fields, "doc", report);
    let default = fields.node("default").cloned();
    if let (Some(ty), Some(node)) = (ty, &default)
        && !has_template(node)
        && let Err(why) = Typed::from_node(ty, node)
    {
        report.error(&node.at, fields.key("default"), why);
    }
    fields.finish(top, report);
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
        find_hint,
        version_file,
        values,
        bare,
        read,
        read_after,
        multi_line,
        pattern,
        max_bytes,
        obsolete: None,
    })
}

/// Reads `read_after`, the text that precedes the value in the file that `read` names.
fn read_after(fields: &mut Fields<'_>, report: &mut Report) -> Option<String> {
    let before = text(fields, "read_after", report)?;
    if before.is_empty() {
        let message = "would be anywhere in the file";
        report.error(&fields.at, fields.key("read_after"), message);
        return None;
    }
    Some(before)
}

/// Reads `find`, patterns of paths, and `find_hint`, how to get what is not found.
fn find(
    fields: &mut Fields<'_>,
    ty: Option<Type>,
    report: &mut Report,
) -> (Vec<Node>, Option<String>) {
    let find = string_list(fields, "find", report);
    let hint = text(fields, "find_hint", report);
    let wrong = [
        (
            !find.is_empty() && ty != Some(Type::Path),
            "find",
            "only a setting of type path can be found",
        ),
        (
            find.is_empty() && hint.is_some(),
            "find_hint",
            "means nothing without find",
        ),
    ];
    for (_, key, message) in wrong.into_iter().filter(|(wrong, ..)| *wrong) {
        report.error(&fields.at, fields.key(key), message);
    }
    (find, hint)
}

/// Reads `pattern`, which must match the whole text, and `pattern_words`, its meaning in words.
fn pattern(fields: &mut Fields<'_>, report: &mut Report) -> Option<Pattern> {
    let pattern = text(fields, "pattern", report);
    let words = text(fields, "pattern_words", report);
    let Some(pattern) = pattern else {
        if words.is_some() {
            let message = "means nothing without pattern";
            report.error(&fields.at, fields.key("pattern_words"), message);
        }
        return None;
    };
    let Some(words) = words else {
        report
            .error(&fields.at, fields.key("pattern_words"), "is missing")
            .hint("say what the value must be, to end the sentence \"must be …\"");
        return None;
    };
    match Regex::new(&format!("^(?:{pattern})$")) {
        Ok(regex) => Some(Pattern { regex, words }),
        Err(error) => {
            let message = format!("is not a regular expression: {error}");
            report.error(&fields.at, fields.key("pattern"), message);
            None
        }
    }
}

fn max_bytes(fields: &mut Fields<'_>, report: &mut Report) -> Option<usize> {
    let node = fields.node("max_bytes")?;
    let bytes = match node.kind {
        Kind::Int(int) => usize::try_from(int).ok().filter(|bytes| *bytes > 0),
        _ => None,
    };
    if bytes.is_none() {
        let message = "must be a number of bytes, at least 1";
        report.error(&node.at, fields.key("max_bytes"), message);
    }
    bytes
}

/// A setting that is accepted and has no effect.
fn without_effect(at: &Place, why: String) -> Setting {
    Setting {
        at: at.clone(),
        ty: Type::Text,
        default: None,
        env: None,
        secret: false,
        generate: None,
        find: Vec::new(),
        find_hint: None,
        version_file: None,
        values: Vec::new(),
        bare: false,
        read: None,
        read_after: None,
        multi_line: false,
        pattern: None,
        max_bytes: None,
        obsolete: Some(why),
    }
}

/// Whether a value is a template or a list or table with one in it.
pub(crate) fn has_template(node: &Node) -> bool {
    match &node.kind {
        Kind::Text(text) => crate::read::expression::is_template(text),
        Kind::List(list) => list.iter().any(has_template),
        Kind::Table(table) => table.values().any(|entry| has_template(&entry.node)),
        _ => false,
    }
}

pub(crate) fn text(
    fields: &mut Fields<'_>,
    key: &'static str,
    report: &mut Report,
) -> Option<String> {
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

pub(crate) fn string_list(
    fields: &mut Fields<'_>,
    key: &'static str,
    report: &mut Report,
) -> Vec<Node> {
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

/// Reads `type`; a string unless given. None: there is no such type, which is reported.
fn type_of(fields: &mut Fields<'_>, report: &mut Report) -> Option<Type> {
    let Some(node) = fields.node("type") else {
        return Some(Type::Text);
    };
    let ty = node.text().and_then(Type::named);
    if ty.is_none() {
        let known: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        let hint = did_you_mean(node.text().unwrap_or_default(), known.iter().copied());
        let all = format!("the types are {}", known.join(", "));
        report
            .error(&node.at, fields.key("type"), "there is no such type")
            .hint(hint.unwrap_or(all));
    }
    ty
}

fn flag(fields: &mut Fields<'_>, name: &'static str, report: &mut Report) -> bool {
    let Some(node) = fields.node(name) else {
        return false;
    };
    if let Kind::Bool(value) = node.kind {
        return value;
    }
    let message = format!("must be true or false, not {}", node.what());
    report.error(&node.at, fields.key(name), message);
    false
}
