//! `job` of a oneshot: it runs when its work is asked for, and what its schedule asks for.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    model::Service,
    read::{document::Kind, fields::Fields},
    service::{
        key::{Key, field, flag},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[
    Key {
        check,
        ..flag!(
            job,
            InPlace,
            "`true`: a oneshot that runs only when its work is asked for, by `POST /v1/jobs/NAME` or its schedule; one at a time on a host"
        )
    },
    field!(
        announcement,
        InPlace,
        "of a job: what users are told of a service that it has stopped, behind that service's name, as `is being restored`; at most 100 characters, none of them `<`, `>`, `&`, a quote or a backslash",
        announcement
    ),
];

/// Most bytes of a schedule's arguments, as JSON.
const ARGUMENTS_BYTES_MAX: usize = 16 << 10;

/// Longest announcement of a job to users, in characters.
const ANNOUNCEMENT_CHARACTERS_MAX: usize = 100;

/// Announcement of a job to users: words that fit unchanged on a page, in JSON and on a terminal.
fn announcement(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, key: &'static str) -> String {
    let Some(node) = fields.node(key) else {
        return String::new();
    };
    let Some(text) = reader.text(node, key) else {
        return String::new();
    };
    let is_bad = |it: &char| it.is_control() || "<>&\"'\\".contains(*it);
    let wrong = match text.chars().find(is_bad) {
        Some(bad) => Some(format!(
            "has {bad:?} in it, which pages and JSON would have to quote"
        )),
        None if text.chars().count() > ANNOUNCEMENT_CHARACTERS_MAX => Some(format!(
            "has more than {ANNOUNCEMENT_CHARACTERS_MAX} characters"
        )),
        None if text.trim() != text || (text.is_empty()) => {
            Some("is empty, or begins or ends with a blank".to_owned())
        }
        None => None,
    };
    if let Some(wrong) = wrong {
        let problem = reader.report().error(&node.at, key, wrong);
        problem.hint("write what follows the name of a service: \"is being restored\"");
    }
    text
}

/// A job is a oneshot with the supervisor's account, which nothing but a request starts.
fn check(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, service: &mut Service) {
    let scheduled = service.schedule.as_ref();
    if !service.job {
        if let Some(node) = fields.node("schedule")
            && scheduled.is_some_and(|it| !it.arguments.is_empty())
        {
            let message = "only a job takes arguments";
            let report = reader.report();
            let problem = report.error(&node.at, "schedule.arguments", message);
            problem.hint("write job = true");
        }
        if let Some(entry) = fields.entry("announcement") {
            let message = "only a job has something to announce";
            let report = reader.report();
            let problem = report.error(&entry.key_at, "announcement", message);
            problem.hint("write job = true");
        }
        return;
    }
    let wrong = [
        (
            "type",
            !service.oneshot,
            "only a oneshot can be a job",
            "write type = \"oneshot\"",
        ),
        (
            "user",
            service.user.is_some(),
            "a job has the supervisor's own account, whose directory it works in",
            "leave it out; the job's program may give up what it does not need",
        ),
        (
            "schedule.at_start",
            scheduled.is_some_and(|it| it.at_start),
            "a start does not run a job",
            "leave it out, or write catch_up = true",
        ),
        (
            "exit_when_failed",
            service.exit_when_failed,
            "work that has failed does not end the supervisor",
            "leave it out",
        ),
    ];
    for (key, _, message, hint) in wrong.into_iter().filter(|(_, is_so, ..)| *is_so) {
        let first = key.split('.').next().unwrap_or(key);
        let keys = ["type", "user", "schedule", "exit_when_failed", "job"];
        let named = keys.into_iter().find(|it| *it == first);
        let at = named.and_then(|it| fields.entry(it));
        let at = at.or_else(|| fields.entry("job"));
        if let Some(entry) = at {
            let at = entry.key_at.clone();
            reader.report().error(&at, key, message).hint(hint);
        }
    }
}

/// `arguments` of a schedule: texts, numbers, true and false by their names.
pub(crate) fn arguments(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    let name = fields.key("arguments");
    let Some(node) = fields.node("arguments") else {
        return out;
    };
    let Some(table) = node.table() else {
        let what = node.what();
        let message = format!("must be a table, not {what}");
        reader.report().error(&node.at, &name, message);
        return out;
    };
    for (key, entry) in table {
        let name = format!("{name}.{key}");
        let value = match &entry.node.kind {
            Kind::Bool(value) => Some(Value::from(*value)),
            Kind::Int(value) => Some(Value::from(*value)),
            Kind::Text(_) => reader.text(&entry.node, &name).map(Value::from),
            _ => {
                let message = "must be a text, a whole number, true or false";
                reader.report().error(&entry.node.at, &name, message);
                None
            }
        };
        out.extend(value.map(|value| (key.clone(), value)));
    }
    let bytes = serde_json::to_string(&out).map_or(0, |text| text.len());
    if bytes > ARGUMENTS_BYTES_MAX {
        let message = format!("takes more than {ARGUMENTS_BYTES_MAX} bytes as JSON");
        reader.report().error(&node.at, &name, message);
    }
    out
}
