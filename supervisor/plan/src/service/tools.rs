//! `[tools.NAME]` of a service: a program that people run by `ctl NAME …`, with arguments of their
//! own, made ready by the plan: which program, whom it speaks to, as whom.
//!
//! A tool is shown to all who may look, and lies open in the process list: a secret in it is an
//! error. Of a disabled service only what is said of the tool is known. `ctl` executes it; the
//! supervisor never does.

use std::collections::BTreeMap;

use api::{Tool, ToolAssert};

use crate::{
    declare::schema::Schema,
    model::Service,
    read::{
        document::Node,
        fields::Fields,
        form,
        ident::{env_name, is_valid_name},
        typed::{Type, Typed},
    },
    report::problem::Report,
    service::{
        described::Described,
        key::{Key, KeyTable, compare},
        reader::Reader,
        tables,
    },
};

pub(crate) const KEYS: &[Key] = &[Key {
    name: "tools",
    doc: "programs that people run by `ctl NAME …`, with arguments of their own: `[tools.NAME]`",
    read: |reader, fields, service| service.tools = tools(reader, &service.name, fields),
    describe,
    compare: compare!(tools, InPlace),
    tables: &[
        KeyTable {
            header: "[tools.NAME]",
            intro: "A program of the service's for people: `ctl NAME ARGUMENT…` executes it. It is shown to all who may look, so nothing in it may be secret.",
            keys: &[
                (
                    "command",
                    "program and first arguments; the caller's follow. Root executes it only where nobody else can change it, or as `user`",
                ),
                ("description", "what it is, in one line"),
                (
                    "command_hint",
                    "what brings the program where it is missing",
                ),
                (
                    "disabled_hint",
                    "what to do instead where the service is not enabled",
                ),
                ("env", "variables that it gets besides the caller's"),
                ("unset_env", "variables of the caller that it does not get"),
                (
                    "user",
                    "account that root becomes for it, as by `su`; anybody else stays who they are",
                ),
                ("asserts", "what must hold for it, see below"),
            ],
        },
        KeyTable {
            header: "[[tools.NAME.asserts]]",
            intro: "What must hold for the tool to do what is wanted of it; what does not is said instead.",
            keys: &[
                (
                    "with",
                    "only where this is among the caller's arguments, as it is or with `=…` behind it",
                ),
                ("that", "a template that gives true or false"),
                ("accounts", "accounts that it holds for; others are told"),
                ("message, hint", "what is said"),
                (
                    "level",
                    "`error` (the default), or `warning`: it is said, and the tool runs all the same",
                ),
            ],
        },
    ],
    ..Key::IDLE
}];

/// Tools of one service; more are a mistake.
const TOOLS_MAX: usize = 32;

fn describe(service: &Service, out: &mut Described) {
    for tool in &service.tools {
        let key = |what: &str| format!("tools.{}.{what}", tool.name);
        out.put(key("command"), &tool.command);
        for (name, value) in &tool.env {
            out.put(key(&format!("env.{name}")), value);
        }
        out.put(key("unset_env"), &tool.unset_env);
        out.put(key("user"), &tool.user);
    }
}

/// Reads the tools of a service.
fn tools(reader: &mut Reader<'_, '_>, service: &str, fields: &mut Fields<'_>) -> Vec<Tool> {
    let Some(entry) = fields.entry("tools") else {
        return Vec::new();
    };
    let Some(table) = entry.node.table() else {
        let message = format!("must be tables, [tools.NAME], not {}", entry.node.what());
        reader.report().error(&entry.node.at, "tools", message);
        return Vec::new();
    };
    if table.len() > TOOLS_MAX {
        let message = format!("more than {TOOLS_MAX} tools");
        reader.report().error(&entry.key_at, "tools", message);
        return Vec::new();
    }
    let mut tools = Vec::new();
    for (name, entry) in table {
        let key = format!("tools.{name}");
        let Some(inner) = entry.node.table() else {
            let message = format!("must be a table, not {}", entry.node.what());
            reader.report().error(&entry.node.at, key, message);
            continue;
        };
        if !is_valid_name(name) {
            let message = "a tool's name has letters, digits, `-` and `_` only";
            reader.report().error(&entry.key_at, key, message);
            continue;
        }
        let fields = Fields::new(inner, entry.key_at.clone(), &key);
        tools.push(Tool {
            name: name.clone(),
            service: service.to_owned(),
            ..tool(reader, fields)
        });
    }
    tools
}

fn tool(reader: &mut Reader<'_, '_>, mut owned: Fields<'_>) -> Tool {
    let fields = &mut owned;
    let tool = Tool {
        enabled: reader.render,
        description: words(reader, fields, "description"),
        disabled_hint: words(reader, fields, "disabled_hint"),
        command: command(reader, fields),
        command_hint: words(reader, fields, "command_hint"),
        env: env(reader, fields),
        unset_env: unset_env(reader, fields),
        user: user(reader, fields),
        asserts: asserts(reader, fields),
        ..Tool::default()
    };
    reader.finish(owned);
    tool
}

/// Found by its path alone: what is first in root's PATH is another matter.
fn command(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<String> {
    let key = fields.key("command");
    let at = fields.node("command").map(|node| node.at.clone());
    let hint = "write command = [\"/path/to/program\"]; the caller's arguments follow";
    let Some(at) = at else {
        let at = fields.at.clone();
        reader
            .report()
            .error(&at, key, "a tool needs a command")
            .hint(hint);
        return Vec::new();
    };
    let argv = reader.argv_key(fields, "command").unwrap_or_default();
    if argv
        .first()
        .is_some_and(|program| !program.starts_with('/'))
    {
        let message = format!("must begin with the path of a program, not `{}`", argv[0]);
        reader.report().error(&at, key, message).hint(hint);
    }
    argv
}

/// A value that everybody may see, or none where the service is disabled.
fn shown(reader: &mut Reader<'_, '_>, node: &Node, key: &str, optional: bool) -> Option<String> {
    match reader.typed(node, key, Type::Text, optional)? {
        (_, true) => {
            reader
                .report()
                .error(&node.at, key, "would show a secret")
                .hint("a tool is shown to all who may look: let it read the secret from a file");
            None
        }
        (Typed::Text(text), false) if text.contains('\0') => {
            reader.report().error(&node.at, key, "cannot contain a NUL");
            None
        }
        (value, false) => Some(value.text()),
    }
}

/// Words for people, in one line.
fn words(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, key: &'static str) -> String {
    let Some(node) = fields.node(key) else {
        return String::new();
    };
    let text = shown(reader, node, &fields.key(key), false).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn env(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let Some(node) = fields.node("env") else {
        return env;
    };
    let key = fields.key("env");
    let Some(table) = node.table() else {
        let message = format!("must be a table of variables, not {}", node.what());
        reader.report().error(&node.at, key, message);
        return env;
    };
    for (name, entry) in table {
        let key = format!("{key}.{name}");
        if let Err(why) = env_name(name) {
            reader.report().error(&entry.key_at, key, why);
        } else if let Some(value) = shown(reader, &entry.node, &key, true) {
            env.insert(name.clone(), value);
        }
    }
    env
}

fn unset_env(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<String> {
    let names = reader.list_key(fields, "unset_env").unwrap_or_default();
    for name in &names {
        if let (Err(why), Some(node)) = (env_name(name), fields.node("unset_env")) {
            let key = fields.key("unset_env");
            reader.report().error(&node.at, key, why);
        }
    }
    names
}

/// The account that root becomes. A supervisor that is not root gives no service an account of its
/// own.
fn user(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<String> {
    let node = fields.node("user")?;
    let key = fields.key("user");
    let name = shown(reader, node, &key, false)?;
    if let Err(why) = form::account(&name) {
        reader.blame(node, &key, why);
        return None;
    }
    (reader.resolver.host.uid() == 0).then_some(name)
}

fn asserts(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<ToolAssert> {
    let tables = tables::tables(reader, fields, "asserts");
    let asserts = tables.into_iter().map(|table| assert(reader, table));
    asserts
        .filter(|it| !it.holds || !it.accounts.is_empty())
        .collect()
}

fn assert(reader: &mut Reader<'_, '_>, mut owned: Fields<'_>) -> ToolAssert {
    let fields = &mut owned;
    let asked = fields.entry("that").is_some() | fields.entry("accounts").is_some();
    let levels = [("error", false), ("warning", true)];
    let assert = ToolAssert {
        with: reader.text_key(fields, "with"),
        holds: reader.bool_key(fields, "that").unwrap_or(true),
        accounts: reader.list_key(fields, "accounts").unwrap_or_default(),
        warning: reader
            .word_key(fields, "level", &levels)
            .unwrap_or_default(),
        message: words(reader, fields, "message"),
        hint: words(reader, fields, "hint"),
    };
    let (at, key) = (fields.at.clone(), fields.key(""));
    let key = key.trim_end_matches('.');
    for (missing, what) in [
        (!asked, "needs that or accounts"),
        (fields.entry("message").is_none(), "needs a message"),
    ] {
        if missing {
            reader.report().error(&at, key, what);
        }
    }
    reader.finish(owned);
    assert
}

/// A tool's name means one tool.
pub(crate) fn check(services: &BTreeMap<String, Service>, schema: &Schema, report: &mut Report) {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (service, name) in services
        .iter()
        .flat_map(|(service, it)| it.tools.iter().map(move |tool| (service, &tool.name)))
    {
        if let Some(other) = owners.insert(name, service) {
            let at = schema.services[service].table.get("tools").map_or_else(
                || schema.services[service].whole.clone(),
                |it| it.key_at.clone(),
            );
            report
                .error(
                    &at,
                    format!("tools.{name}"),
                    format!("`{other}` has a tool `{name}` already"),
                )
                .hint("give one of the two another name");
        }
    }
}
