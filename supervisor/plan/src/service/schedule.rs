//! `schedule` of a oneshot: a cron expression, or a time of day.

use crate::{
    model::Schedule,
    read::{document::Node, fields::Fields, typed::Type},
    report::suggest::did_you_mean,
    service::{
        cron::Cron,
        key::{Key, KeyTable, compare},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[Key {
    name: KEY,
    doc: "when a oneshot runs: a cron expression, or a table",
    read: |reader, fields, service| {
        service.schedule = scheduled(reader, fields, service.oneshot);
    },
    describe: |service, out| {
        if let Some(schedule) = &service.schedule {
            out.put("schedule.cron", &schedule.cron);
            out.put("schedule.jitter", text::exact_duration(schedule.jitter_ms));
            out.put("schedule.catch_up", schedule.catch_up);
            out.when("schedule.at_start", schedule.at_start);
            let overdue_after = schedule.overdue_after_ms.map(text::exact_duration);
            out.put("schedule.overdue_after", overdue_after);
            if !schedule.arguments.is_empty() {
                out.put("schedule.arguments", &schedule.arguments);
            }
        }
    },
    compare: compare!(schedule, InPlace),
    tables: &[KeyTable {
        header: "[schedule]",
        intro: "",
        keys: &[
            ("cron", "five fields as in crontab(5)"),
            ("at, days", "or a time of day, and days of the week"),
            ("jitter", "put off by up to that, at random"),
            (
                "catch_up",
                "what was missed while the supervisor was down is made up for",
            ),
            ("at_start", "`true`: it runs when the supervisor starts too"),
            (
                "overdue_after",
                "a good run is to have ended so long after each time, and what jitter puts off; otherwise it is told as overdue; unset: nobody has to know",
            ),
            (
                "arguments",
                "of a job: a table of what it is asked to do, for its program; no secrets",
            ),
        ],
    }],
    ..Key::IDLE
}];

const KEY: &str = "schedule";
/// Times are put off by at most a day.
const MAX_JITTER_MS: u64 = 86_400_000;
/// By the number that cron gives them.
const DAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];

/// `"0 3 * * *"`, `{ cron = … }` or `{ at = "03:00", days = […] }`. A lone setting without value
/// means none.
pub(crate) fn schedule(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<Schedule> {
    let node = fields.node(KEY)?;
    let Some(table) = node.table() else {
        return Some(Schedule {
            cron: cron(reader, node, KEY)?,
            jitter_ms: 0,
            catch_up: false,
            at_start: false,
            overdue_after_ms: None,
            arguments: std::collections::BTreeMap::new(),
        });
    };
    let mut inner = Fields::new(table, node.at.clone(), KEY);
    let fields = &mut inner;
    let by_cron = fields.node("cron");
    let by_time = fields.node("at");
    let days_node = fields.node("days");
    let name = fields.key("cron");
    let cron = by_cron.map(|node| cron(reader, node, &name));
    let at = by_time.map(|node| time(reader, node));
    let days = days_node.map(|node| days(reader, node));
    let jitter = reader.duration_key(fields, "jitter").unwrap_or(0);
    let catch_up = reader.bool_key(fields, "catch_up").unwrap_or(false);
    let at_start = reader.bool_key(fields, "at_start").unwrap_or(false);
    let overdue_after_ms = reader.positive_duration_key(fields, "overdue_after");
    let arguments = crate::service::job::arguments(reader, fields);
    if let Some(node) = fields.node("jitter").filter(|_| jitter > MAX_JITTER_MS) {
        let message = "must be at most 1d";
        reader.report().error(&node.at, "schedule.jitter", message);
    }
    if by_cron.is_some() == by_time.is_some() {
        reader
            .report()
            .error(&node.at, KEY, "needs either cron or at")
            .hint("write cron = \"0 3 * * *\" or at = \"03:00\"");
    }
    if let Some(days) = days_node.filter(|_| by_time.is_none()) {
        reader
            .report()
            .error(&days.at, "schedule.days", "has a meaning with `at` only");
    }
    reader.finish(inner);
    let cron = match (cron, at) {
        (Some(cron), _) => cron?,
        (None, Some(at)) => {
            let (hour, minute) = at?;
            let days = days.map_or(Some("*".to_owned()), |days| days)?;
            format!("{minute} {hour} * * {days}")
        }
        (None, None) => return None,
    };
    Some(Schedule {
        cron,
        jitter_ms: jitter,
        catch_up,
        at_start,
        overdue_after_ms,
        arguments,
    })
}

fn cron(reader: &mut Reader<'_, '_>, node: &Node, key: &str) -> Option<String> {
    let (value, _) = reader.typed(node, key, Type::Text, true)?;
    let text = value.text();
    if let Err(why) = Cron::parse(&text) {
        reader
            .report()
            .error(&node.at, key, format!("`{text}` {why}"));
        return None;
    }
    Some(text)
}

fn time(reader: &mut Reader<'_, '_>, node: &Node) -> Option<(u8, u8)> {
    let key = "schedule.at";
    let text = reader.text(node, key)?;
    let number = |text: &str, end: u8| {
        let digits = text.len() <= 2 && text.chars().all(|c| c.is_ascii_digit());
        text.parse().ok().filter(|n| digits && *n < end)
    };
    let found = text
        .split_once(':')
        .and_then(|(hour, minute)| number(hour, 24).zip(number(minute, 60)));
    if found.is_none() {
        let message = format!("must be a time of day such as \"03:00\", not `{text}`");
        reader.report().error(&node.at, key, message);
    }
    found
}

/// Days of the week as cron writes them.
fn days(reader: &mut Reader<'_, '_>, node: &Node) -> Option<String> {
    let key = "schedule.days";
    let mut out = Vec::new();
    for name in reader.list(node, key)? {
        let lower = name.to_ascii_lowercase();
        let found = DAYS
            .iter()
            .position(|day| lower.len() >= 3 && day.starts_with(&lower));
        let Some(number) = found else {
            let message = format!("`{name}` is no day of the week");
            let short = DAYS.map(|day| &day[..3]);
            let hint = did_you_mean(&lower, DAYS.into_iter().chain(short));
            let all = format!("the days are {}", short.join(", "));
            reader
                .report()
                .error(&node.at, key, message)
                .hint(hint.unwrap_or(all));
            return None;
        };
        out.push(number.to_string());
    }
    if out.is_empty() {
        reader.report().error(&node.at, key, "names no day");
        return None;
    }
    Some(out.join(","))
}

/// Only what ends can run again and again.
fn scheduled(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    oneshot: bool,
) -> Option<Schedule> {
    let schedule = schedule(reader, fields);
    if let Some(entry) = fields.entry("schedule").filter(|_| !oneshot) {
        reader
            .report()
            .error(
                &entry.key_at,
                "schedule",
                "only a oneshot can have a schedule",
            )
            .hint("write type = \"oneshot\"");
    }
    schedule
}
