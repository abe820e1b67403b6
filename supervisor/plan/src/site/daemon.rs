//! Settings of the supervisor itself in the site file: `[control]`, `[manage_accounts]`, `[log]`
//! and `[notify.NAME]`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{
        ForwardTo, NotifyBy, NotifyOn, NotifyTarget,
        log::{FORMATS, LogDefault, PLACES, STDOUT_ONLY},
        plan::ControlAccess,
    },
    read::{
        document::{Entry, Kind, Node},
        fields::{Fields, bool_of, table_of},
        ident::is_valid_name,
        typed::{Type, Typed},
        url::Url,
    },
    report::{place::Place, problem::Report, suggest::did_you_mean},
};

/// Names at the top of the site file that no service, section or setting can have.
pub(crate) const RESERVED: &[&str] = &["control", "log", "manage_accounts", "notify", "roles"];

/// Values of `on`.
const EVENTS: &[(&str, NotifyOn)] = &[
    ("failed", NotifyOn::Failed),
    ("restarted", NotifyOn::Restarted),
    ("unhealthy", NotifyOn::Unhealthy),
    ("recovered", NotifyOn::Recovered),
    ("disk", NotifyOn::Disk),
    ("deleted-binary", NotifyOn::DeletedBinary),
    ("certificate", NotifyOn::Certificate),
    ("overdue", NotifyOn::Overdue),
];
/// Most targets of one file.
const MAX_TARGETS: usize = 32;

pub(crate) fn control(entry: &Entry, report: &mut Report) -> ControlAccess {
    let mut control = ControlAccess::default();
    let Some(table) = table_of(entry, "control", report) else {
        return control;
    };
    let mut fields = Fields::new(table, entry.key_at.clone(), "control");
    control.admin_group = text(&mut fields, "admin_group", report);
    control.viewer_group = text(&mut fields, "viewer_group", report);
    fields.finish(&[], report);
    control
}

fn text(fields: &mut Fields<'_>, key: &'static str, report: &mut Report) -> Option<String> {
    let node = fields.node(key)?;
    match Typed::from_node(Type::Text, node) {
        Ok(value) => Some(value.text()),
        Err(why) => {
            report.error(&node.at, fields.key(key), why);
            None
        }
    }
}

pub(crate) fn manage_accounts(entry: &Entry, report: &mut Report) -> Option<bool> {
    if let Kind::Bool(on) = entry.node.kind {
        report
            .error(
                &entry.node.at,
                "manage_accounts",
                "must be a table, not true or false",
            )
            .hint(format!("write manage_accounts.enable = {on}"));
        return None;
    }
    let table = table_of(entry, "manage_accounts", report)?;
    let mut fields = Fields::new(table, entry.key_at.clone(), "manage_accounts");
    let node = fields.node("enable");
    let on = node.and_then(|node| bool_of(node, "manage_accounts.enable", report));
    fields.finish(&[], report);
    on
}

/// Where the lines of all services go besides their files.
pub(crate) fn log(entry: &Entry, report: &mut Report) -> LogDefault {
    let mut log = LogDefault::default();
    let Some(table) = table_of(entry, "log", report) else {
        return log;
    };
    let mut fields = Fields::new(table, entry.key_at.clone(), "log");
    log.forward = word(&mut fields, "forward", PLACES, report).flatten();
    log.format = word(&mut fields, "format", FORMATS, report);
    if let Some(entry) = fields.entry("format")
        && log.forward != Some(ForwardTo::Stdout)
    {
        report.error(&entry.key_at, "log.format", STDOUT_ONLY);
    }
    fields.finish(&[], report);
    log
}

fn word<T: Copy>(
    fields: &mut Fields<'_>,
    key: &'static str,
    words: &[(&str, T)],
    report: &mut Report,
) -> Option<T> {
    let node = fields.node(key)?;
    one_of(node, &fields.key(key), words, report)
}

fn one_of<T: Copy>(node: &Node, key: &str, words: &[(&str, T)], report: &mut Report) -> Option<T> {
    let text = node.text().unwrap_or_default();
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let given = node
        .text()
        .map_or(node.what().to_owned(), |text| format!("`{text}`"));
    let message = format!("must be one of {}, not {given}", all.join(", "));
    report
        .error(&node.at, key, message)
        .hint_some(did_you_mean(text, all));
    None
}

/// A target of notifications, of which the site file and `secrets.toml` may each hold a part.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    at: Option<Place>,
    webhook: Option<String>,
    command: Option<Vec<String>>,
    sendmail: Option<Vec<String>>,
    from: Option<String>,
    on: Option<BTreeSet<NotifyOn>>,
    /// Part of the target is wrong, and that was reported.
    failed: bool,
}

/// The targets of one file.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    /// Targets by name.
    pub(crate) targets: BTreeMap<String, Draft>,
    /// The first secret among the targets, by its key.
    pub(crate) secret: Option<(String, Place)>,
}

/// Reads all `[notify.NAME]`.
pub(crate) fn notify(entry: &Entry, report: &mut Report) -> Notify {
    let mut notify = Notify::default();
    let Some(table) = table_of(entry, "notify", report) else {
        return notify;
    };
    for (name, entry) in table {
        let key = format!("notify.{name}");
        if !is_valid_name(name) {
            let message = format!("`{}` cannot be the name of a target", name.escape_debug());
            report
                .error(&entry.key_at, &key, message)
                .hint("use letters, digits, `-` and `_`");
            continue;
        }
        let Some(table) = entry.node.table() else {
            let what = entry.node.what();
            report
                .error(&entry.node.at, &key, format!("must be a table, not {what}"))
                .hint(format!(
                    "write [notify.{name}] and below it webhook, command or sendmail"
                ));
            continue;
        };
        if notify.targets.len() == MAX_TARGETS {
            let message = format!("there are more than {MAX_TARGETS} targets");
            report.error(&entry.key_at, &key, message);
            break;
        }
        let mut fields = Fields::new(table, entry.key_at.clone(), &key);
        let draft = draft(&mut fields, report);
        fields.finish(&[], report);
        if draft.webhook.is_some() {
            notify
                .secret
                .get_or_insert_with(|| (format!("{key}.webhook"), entry.key_at.clone()));
        }
        notify.targets.insert(name.clone(), draft);
    }
    notify
}

fn draft(fields: &mut Fields<'_>, report: &mut Report) -> Draft {
    let mut out = Draft {
        at: Some(fields.at.clone()),
        ..Draft::default()
    };
    if let Some(node) = fields.node("webhook") {
        // The URL is its own password: no message shows it.
        let url = node.text().filter(|text| {
            Url::parse(text).is_ok_and(|url| matches!(url.scheme.as_str(), "http" | "https"))
        });
        if url.is_none() {
            let message = "must be a URL that begins with http:// or https://";
            report.error(&node.at, fields.key("webhook"), message);
        }
        out.failed |= url.is_none();
        out.webhook = url.map(str::to_owned);
    }
    out.command = strings(fields, "command", false, &mut out.failed, report);
    out.sendmail = strings(fields, "sendmail", true, &mut out.failed, report);
    if let Some((node, list)) = fields.node("sendmail").zip(out.sendmail.as_ref())
        && let Some(wrong) = list.iter().find(|address| !is_address(address))
    {
        let message = format!("`{}` is not a mail address", wrong.escape_debug());
        report.error(&node.at, fields.key("sendmail"), message);
    }
    out.from = text(fields, "from", report);
    if let Some((node, from)) = fields.node("from").zip(out.from.as_ref())
        && !is_address(from)
    {
        let message = format!("`{}` is not a mail address", from.escape_debug());
        report.error(&node.at, fields.key("from"), message);
    }
    if let Some(node) = fields.node("on") {
        let one = std::slice::from_ref(node);
        let list = if let Kind::List(list) = &node.kind {
            list
        } else {
            one
        };
        let key = fields.key("on");
        let words = list.iter().map(|item| one_of(item, &key, EVENTS, report));
        out.on = Some(words.flatten().collect());
    }
    out
}

/// A mail address goes into a header, so it is one word.
fn is_address(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text
            .chars()
            .all(|c| !c.is_whitespace() && !c.is_control() && c != ',')
}

/// A list of strings. `single`: one string is a list of it.
fn strings(
    fields: &mut Fields<'_>,
    key: &'static str,
    single: bool,
    failed: &mut bool,
    report: &mut Report,
) -> Option<Vec<String>> {
    let node = fields.node(key)?;
    let one = std::slice::from_ref(node);
    let list = match &node.kind {
        Kind::List(list) => list.as_slice(),
        _ if single => one,
        _ => &[],
    };
    let texts: Option<Vec<String>> = list
        .iter()
        .map(|item| item.text().map(str::to_owned).filter(|t| !t.contains('\0')))
        .collect();
    let texts = texts.filter(|texts| texts.first().is_some_and(|first| !first.is_empty()));
    if texts.is_none() {
        *failed = true;
        let message = match key {
            "command" => "must be a list of program and arguments; no shell reads it",
            _ => "must be mail addresses such as [\"admin@example.com\"]",
        };
        report.error(&node.at, fields.key(key), message);
    }
    texts
}

impl Draft {
    /// Fills what the site file leaves open from `secrets.toml`.
    pub(crate) fn add(&mut self, below: Self) {
        self.at = self.at.take().or(below.at);
        self.webhook = self.webhook.take().or(below.webhook);
        self.command = self.command.take().or(below.command);
        self.sendmail = self.sendmail.take().or(below.sendmail);
        self.from = self.from.take().or(below.from);
        self.on = self.on.take().or(below.on);
        self.failed |= below.failed;
    }

    /// The complete target, once both files are read.
    pub(crate) fn finish(self, name: &str, report: &mut Report) -> Option<NotifyTarget> {
        let at = self.at?;
        let key = format!("notify.{name}");
        let sendmail = self.sendmail.is_some();
        let mut ways = Vec::new();
        ways.extend(self.webhook.map(NotifyBy::Webhook));
        ways.extend(self.command.map(NotifyBy::Command));
        let from = self.from;
        if from.is_some() && !sendmail {
            let message = "`from` has a meaning with `sendmail` only";
            report.error(&at, &key, message);
        }
        ways.extend(self.sendmail.map(|to| NotifyBy::Sendmail { to, from }));
        if ways.len() != 1 {
            if !self.failed {
                let hint = "for another way write another [notify.NAME]";
                let message = "needs one of webhook, command and sendmail";
                report.error(&at, key, message).hint(hint);
            }
            return None;
        }
        let all = EVENTS.iter().map(|(_, event)| *event);
        Some(NotifyTarget {
            name: name.to_owned(),
            by: ways.remove(0),
            // Restarts are frequent: only who names them is told.
            on: self
                .on
                .unwrap_or_else(|| all.filter(|on| *on != NotifyOn::Restarted).collect()),
        })
    }
}
