//! `[restart]` and `[stop]`.

use std::collections::BTreeSet;

use api::PlanImpact;
use serde_json::json;

use crate::{
    model::{Escalation, Policy, Restart, Service, Stop},
    read::{document::Kind, fields::Fields, signal::Purpose},
    service::{
        described::{Described, milli},
        key::{Key, KeyTable, compare, flag},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "restart",
        doc: "what follows its end",
        read: |reader, fields, service| service.restart = restart(reader, fields, service),
        describe: describe_restart,
        compare: |old, new, out| {
            out.changed(
                PlanImpact::InPlace,
                "restart policy",
                old.restart != new.restart,
            );
        },
        tables: &[KeyTable {
            header: "[restart]",
            intro: "",
            keys: &[
                (
                    "policy",
                    "`always` (default; of a oneshot `on-failure`), `unless-stopped`, `on-failure`, `never`",
                ),
                (
                    "delay, factor, max_delay, jitter",
                    "pauses: `1s`, growing by 2, up to `1m`",
                ),
                ("reset_after", "up so long clears the count (`1m`)"),
                (
                    "limit",
                    "`{ starts = 5, within = \"1m\" }`: then it has failed. Default: none, of a job 5 further runs for one request",
                ),
                ("success", "exit codes and signals that count as success"),
                (
                    "prevent",
                    "exit codes and signals that no other run follows; default: none, of a job `[1]`",
                ),
            ],
        }],
        ..Key::IDLE
    },
    flag!(
        exit_when_failed,
        InPlace,
        "when it has failed for good, the supervisor stops everything and ends with 1"
    ),
    Key {
        name: "stop",
        doc: "how it is asked to end",
        read: |reader, fields, service| service.stop = stop(reader, fields),
        describe: describe_stop,
        compare: compare!(stop, InPlace),
        tables: &[KeyTable {
            header: "[stop]",
            intro: "",
            keys: &[
                (
                    "signal",
                    "default `TERM`; not `STOP`, `CONT`, `TSTP`, `TTIN` or `TTOU`",
                ),
                (
                    "escalate",
                    "`{ signal = \"TERM\", after = \"10s\" }`: a second signal, so long after the first",
                ),
                ("timeout", "time from the first signal to SIGKILL (`30s`)"),
            ],
        }],
        ..Key::IDLE
    },
];

/// Exit code of a job that has failed and left nothing open.
const JOB_FAILED: i32 = 1;
/// Most further runs of a job for one request, within a year.
const JOB_LIMIT: (u32, u64) = (5, 366 * 86_400_000);

/// Values of `policy`.
const POLICIES: &[(&str, Policy)] = &[
    ("always", Policy::Always),
    ("unless-stopped", Policy::UnlessStopped),
    ("on-failure", Policy::OnFailure),
    ("never", Policy::Never),
];

fn describe_restart(service: &Service, out: &mut Described) {
    let restart = &service.restart;
    let policy = POLICIES
        .iter()
        .find(|(_, policy)| *policy == restart.policy);
    out.put("restart.policy", policy.map(|(word, _)| word));
    out.put("restart.delay", text::exact_duration(restart.delay_ms));
    out.put(
        "restart.max_delay",
        text::exact_duration(restart.max_delay_ms),
    );
    out.put("restart.factor", milli(restart.factor_milli));
    out.put("restart.jitter", milli(restart.jitter_milli));
    out.put(
        "restart.reset_after",
        text::exact_duration(restart.reset_after_ms),
    );
    if let Some((starts, within)) = restart.limit {
        let limit = json!({ "starts": starts, "within": text::exact_duration(within) });
        out.put("restart.limit", limit);
    }
    let codes = restart.success_codes.iter().map(|code| json!(code));
    let signals = restart.success_signals.iter();
    let signals = signals.map(|number| json!(text::signal::shown(*number)));
    out.put("restart.success", codes.chain(signals).collect::<Vec<_>>());
    let codes = restart.prevent_codes.iter().map(|code| json!(code));
    let signals = restart.prevent_signals.iter();
    let signals = signals.map(|number| json!(text::signal::shown(*number)));
    out.put("restart.prevent", codes.chain(signals).collect::<Vec<_>>());
}

fn describe_stop(service: &Service, out: &mut Described) {
    out.put("stop.signal", text::signal::shown(service.stop.signal));
    if let Some(escalation) = service.stop.escalation {
        out.put(
            "stop.escalate.signal",
            text::signal::shown(escalation.signal),
        );
        out.put(
            "stop.escalate.after",
            text::exact_duration(escalation.after_ms),
        );
    }
    out.put(
        "stop.timeout",
        text::exact_duration(service.stop.timeout_ms),
    );
}

/// A oneshot that ended well is done; only its failures are followed by another run.
fn restart(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, service: &Service) -> Restart {
    let mut out = Restart::default();
    if service.oneshot {
        out.policy = Policy::OnFailure;
    }
    if service.job {
        out.prevent_codes.insert(JOB_FAILED);
        out.limit = Some(JOB_LIMIT);
    }
    let Some(mut fields) = fields.table("restart", reader.report()) else {
        return out;
    };
    let fields = &mut fields;
    if let Some(policy) = reader.word_key(fields, "policy", POLICIES) {
        out.policy = policy;
    }
    let set = |slot: &mut u64, found: Option<u64>| *slot = found.unwrap_or(*slot);
    // Without a pause, or if every death counted as the first, a service that cannot start would be
    // started for ever.
    set(
        &mut out.delay_ms,
        reader.positive_duration_key(fields, "delay"),
    );
    set(
        &mut out.max_delay_ms,
        reader.duration_key(fields, "max_delay"),
    );
    set(
        &mut out.reset_after_ms,
        reader.positive_duration_key(fields, "reset_after"),
    );
    if let Some(factor) = thousandths(reader, fields, "factor", 1000..=1_000_000) {
        out.factor_milli = factor;
    }
    if let Some(jitter) = thousandths(reader, fields, "jitter", 0..=1000) {
        out.jitter_milli = jitter;
    }
    out.max_delay_ms = out.max_delay_ms.max(out.delay_ms);
    if let Some(mut limit) = fields.table("limit", reader.report()) {
        let starts = reader.int_key(&mut limit, "starts", 1..=1_000_000);
        let within = reader.positive_duration_key(&mut limit, "within");
        out.limit = starts.zip(within);
        if limit.entry("starts").is_none() || limit.entry("within").is_none() {
            reader
                .report()
                .error(&limit.at, "restart.limit", "needs both starts and within")
                .hint("write limit = { starts = 5, within = \"1m\" }");
        }
        reader.finish(limit);
    }
    if let Some((codes, signals)) = exits(reader, fields, "success") {
        (out.success_codes, out.success_signals) = (codes, signals);
    }
    if let Some((codes, signals)) = exits(reader, fields, "prevent") {
        (out.prevent_codes, out.prevent_signals) = (codes, signals);
    }
    let fields = std::mem::replace(fields, Fields::new(&EMPTY, fields.at.clone(), ""));
    reader.finish(fields);
    out
}

static EMPTY: crate::read::document::Table = crate::read::document::Table::new();

/// Exit codes and numbers of signals.
type Exits = (BTreeSet<i32>, BTreeSet<i32>);

fn exits(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, key: &'static str) -> Option<Exits> {
    let node = fields.node(key)?;
    let name = fields.key(key);
    let (mut codes, mut signals) = Exits::default();
    let one = std::slice::from_ref(node);
    for item in if let Kind::List(list) = &node.kind {
        list
    } else {
        one
    } {
        match &item.kind {
            Kind::Int(code @ 0..=255) => {
                codes.extend(i32::try_from(*code));
            }
            Kind::Text(name) if text::signal::number(name).is_some() => {
                signals.extend(text::signal::number(name));
            }
            _ => {
                reader.report().error(
                    &item.at,
                    &name,
                    "must be exit codes and names of signals, such as [3, \"TERM\"]",
                );
            }
        }
    }
    Some((codes, signals))
}

/// A number such as 1.5, in thousandths.
fn thousandths(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<u32>,
) -> Option<u32> {
    let node = fields.node(key)?;
    let text = match &node.kind {
        Kind::Int(int) => int.to_string(),
        Kind::Float(float) => float.to_string(),
        _ => reader.text(node, &fields.key(key))?,
    };
    let (text, percent) = match text.trim().strip_suffix('%') {
        Some(number) => (number.trim().to_owned(), true),
        None => (text, false),
    };
    let milli = decimal_milli(&text).map(|milli| if percent { milli / 100 } else { milli });
    if let Some(milli) = milli.filter(|milli| range.contains(milli)) {
        return Some(milli);
    }
    let name = fields.key(key);
    let (low, high) = (range.start() / 1000, range.end() / 1000);
    reader.report().error(
        &node.at,
        name,
        format!("must be a number from {low} to {high}"),
    );
    None
}

fn decimal_milli(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits: String = part.chars().chain("000".chars()).take(3).collect();
    let good = |t: &str| !t.is_empty() && t.chars().all(|c| c.is_ascii_digit());
    if !good(whole) || !good(part) {
        return None;
    }
    whole
        .parse::<u32>()
        .ok()?
        .checked_mul(1000)?
        .checked_add(digits.parse().ok()?)
}

fn stop(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Stop {
    let mut out = Stop::default();
    let Some(mut fields) = fields.table("stop", reader.report()) else {
        return out;
    };
    out.signal = reader
        .signal_key(&mut fields, "signal", Purpose::Stop)
        .unwrap_or(out.signal);
    out.timeout_ms = reader
        .duration_key(&mut fields, "timeout")
        .unwrap_or(out.timeout_ms);
    out.escalation = escalation(reader, &mut fields, out.timeout_ms);
    reader.finish(fields);
    out
}

fn escalation(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    timeout_ms: u64,
) -> Option<Escalation> {
    let mut fields = fields.table("escalate", reader.report())?;
    let signal = reader.signal_key(&mut fields, "signal", Purpose::Stop);
    let after_ms = reader.duration_key(&mut fields, "after");
    if fields.entry("signal").is_none() || fields.entry("after").is_none() {
        reader
            .report()
            .error(&fields.at, "stop.escalate", "needs both signal and after")
            .hint("write escalate = { signal = \"TERM\", after = \"10s\" }");
    } else if after_ms.is_some_and(|after_ms| after_ms >= timeout_ms) {
        reader
            .report()
            .error(
                &fields.at,
                "stop.escalate.after",
                "must be shorter than stop.timeout, at which SIGKILL follows",
            )
            .hint("make stop.timeout longer");
    }
    reader.finish(fields);
    let (signal, after_ms) = signal.zip(after_ms)?;
    Some(Escalation { signal, after_ms })
}
