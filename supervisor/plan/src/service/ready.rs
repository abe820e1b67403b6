//! How a service says that it is ready and alive: `[ready]`, `[watchdog]` and `notify_access`.

use api::PlanImpact;

use crate::{
    model::{NotifyAccess, Ready, ReadyKind, Service, Watchdog, WatchdogAction},
    read::{fields::Fields, signal::Purpose},
    service::{
        described::Described,
        key::{Key, KeyTable},
        probes,
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "ready",
        doc: "when what depends on it may start; default: once it is executed",
        read: |reader, fields, service| service.ready = ready(reader, fields),
        describe,
        compare: |old, new, out| {
            // A process knows its descriptor, and whether it has a notify socket, from its start.
            let fd = ready_fd(old) != ready_fd(new);
            let socket = old.has_notify_socket() != new.has_notify_socket();
            out.changed(PlanImpact::Restart, "notify", socket);
            out.changed(PlanImpact::Restart, "ready.fd", fd);
            out.changed(PlanImpact::InPlace, "ready", old.ready != new.ready);
        },
        tables: &[KeyTable {
            header: "[ready]",
            intro: "",
            keys: &[
                ("notify", "`true`: the program says `READY=1`"),
                ("fd", "it writes a newline to this descriptor"),
                ("log", "it logs a line that matches this regular expression"),
                (
                    "http, tcp, unix, exec",
                    "a URL answers, somebody listens, a command succeeds",
                ),
                (
                    "status, body",
                    "of `http`: codes that count (200 to 399), and what must be in the answer; `unix` beside `http`: asked by that socket",
                ),
                (
                    "delay",
                    "alone: ready after this time; beside a probe: the wait before it",
                ),
                ("timeout", "longest time until ready (`60s`)"),
                (
                    "interval, attempt_timeout, failures, successes",
                    "of the attempts",
                ),
            ],
        }],
        ..Key::IDLE
    },
    Key {
        name: "notify_access",
        doc: "whose messages on the notify socket count: `all` or `main`",
        read: |reader, fields, service| service.notify_access = notify_access(reader, fields),
        describe: |service, out| out.put("notify_access", service.notify_access),
        compare: |old, new, out| {
            let differs = by_main_alone(old) != by_main_alone(new) && new.has_notify_socket();
            out.changed(PlanImpact::Restart, "notify_access", differs);
        },
        ..Key::IDLE
    },
    Key {
        name: "watchdog",
        doc: "it must say `WATCHDOG=1` so often",
        read: |reader, fields, service| service.watchdog = watchdog(reader, fields),
        describe: describe_watchdog,
        compare: |old, new, out| {
            // The environment of the process says how often.
            let differs = watchdog_ms(old) != watchdog_ms(new);
            out.changed(PlanImpact::Restart, "watchdog.timeout", differs);
        },
        tables: &[KeyTable {
            header: "[watchdog]",
            intro: "",
            keys: &[
                ("timeout", "longest silence"),
                (
                    "action",
                    "`restart` (default) or `degrade`: only show and tell it",
                ),
                ("signal", "default `ABRT`"),
            ],
        }],
        ..Key::IDLE
    },
];

const READY_TIMEOUT_MS: u64 = 60_000;
const READY_INTERVAL_MS: u64 = 250;
/// File descriptors that a service may announce itself on: above its standard ones.
const FDS: std::ops::RangeInclusive<i64> = 3..=1023;
/// A core tells why a service hung.
const SIGABRT: i32 = 6;

fn describe(service: &Service, out: &mut Described) {
    match &service.ready.kind {
        ReadyKind::Exec => {}
        ReadyKind::Notify => out.put("ready.notify", true),
        ReadyKind::Fd(fd) => out.put("ready.fd", fd),
        ReadyKind::Log(pattern) => out.put("ready.log", pattern),
        ReadyKind::Delay(ms) => out.put("ready.delay", text::exact_duration(*ms)),
        ReadyKind::Probe(it) => probes::describe("ready", "attempt_timeout", it, out),
    }
    out.put(
        "ready.timeout",
        service.ready.timeout_ms.map(text::exact_duration),
    );
}

fn describe_watchdog(service: &Service, out: &mut Described) {
    if let Some(watchdog) = service.watchdog {
        out.put(
            "watchdog.timeout",
            text::exact_duration(watchdog.timeout_ms),
        );
        out.put("watchdog.action", watchdog.action);
        out.put("watchdog.signal", text::signal::shown(watchdog.signal));
    }
}

const fn ready_fd(service: &Service) -> Option<i32> {
    match service.ready.kind {
        ReadyKind::Fd(number) => Some(number),
        _ => None,
    }
}

fn by_main_alone(service: &Service) -> bool {
    service.notify_access == Some(NotifyAccess::Main)
}

fn watchdog_ms(service: &Service) -> Option<u64> {
    service.watchdog.map(|it| it.timeout_ms)
}

/// When dependents may start. Without `[ready]`: once exec has succeeded.
fn ready(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Ready {
    let exec = Ready {
        kind: ReadyKind::Exec,
        timeout_ms: None,
    };
    let Some(mut fields) = fields.table("ready", reader.report()) else {
        return exec;
    };
    let by_notify = fields.entry("notify").is_some();
    let notify = reader.bool_key(&mut fields, "notify").unwrap_or(false);
    let mut ways: Vec<&str> = Vec::from_iter(notify.then_some("notify"));
    for key in ["fd", "log"] {
        ways.extend(fields.entry(key).map(|_| key));
    }
    ways.extend(probes::ways(&mut fields));
    let fd = reader.int_key(&mut fields, "fd", FDS);
    let log = pattern(reader, &mut fields);
    let timeout = reader.positive_duration_key(&mut fields, "timeout");
    let pace = probes::pace(reader, &mut fields, "attempt_timeout", READY_INTERVAL_MS, 1);
    let ask = probes::ask(reader, &mut fields);
    let at = fields.at.clone();
    let delay = fields.entry("delay");
    reader.finish(fields);
    let timeout_ms = Some(timeout.unwrap_or(READY_TIMEOUT_MS));
    let kind = match ways.as_slice() {
        [] => match (delay, pace.delay_ms) {
            (Some(entry), Some(delay_ms)) => {
                if timeout.is_some_and(|timeout| timeout < delay_ms) {
                    let message = "is longer than the timeout, so it would never be ready";
                    reader
                        .report()
                        .error(&entry.node.at, "ready.delay", message);
                }
                return Ready {
                    kind: ReadyKind::Delay(delay_ms),
                    timeout_ms: timeout,
                };
            }
            (Some(_), None) => return exec,
            (None, _) => {
                if !by_notify {
                    let ways = "notify = true, fd, log, http, tcp, unix, exec or delay";
                    probes::nothing_asked(reader, &at, "ready", ways);
                }
                return exec;
            }
        },
        [_] => match (notify, fd, log, ask.ok().flatten()) {
            (true, ..) => ReadyKind::Notify,
            (_, Some(fd), ..) => ReadyKind::Fd(fd),
            (_, _, Some(pattern), _) => ReadyKind::Log(pattern),
            (_, _, _, Some(ask)) => ReadyKind::Probe(pace.of(ask)),
            // The value is wrong, which is reported, or the service is disabled.
            _ => return exec,
        },
        _ => {
            probes::exclude(reader, &at, "ready", &ways);
            return exec;
        }
    };
    if let Some(entry) = delay
        && !matches!(kind, ReadyKind::Probe(_))
    {
        let message = format!("has no meaning beside `{}`", ways.join(""));
        reader
            .report()
            .error(&entry.key_at, "ready.delay", message)
            .hint("alone it means ready after that long, beside a probe the wait before the first one");
    }
    Ready { kind, timeout_ms }
}

/// The regular expression that a line of the log must match.
fn pattern(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<String> {
    let node = fields.node("log")?;
    let name = fields.key("log");
    let text = reader.text(node, &name)?;
    if let Err(error) = regex_lite::Regex::new(&text) {
        let message = format!("`{text}` is not a regular expression: {error}");
        reader.report().error(&node.at, name, message);
        return None;
    }
    if text.is_empty() {
        let message = "would match every line";
        reader.report().error(&node.at, name, message);
        return None;
    }
    Some(text)
}

/// `[watchdog]`: it must say that it is alive, again and again.
fn watchdog(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<Watchdog> {
    let mut fields = fields.table("watchdog", reader.report())?;
    let timeout = reader.positive_duration_key(&mut fields, "timeout");
    let words = [
        ("restart", WatchdogAction::Restart),
        ("degrade", WatchdogAction::Degrade),
    ];
    let action = reader
        .word_key(&mut fields, "action", &words)
        .unwrap_or(WatchdogAction::Restart);
    let signal = reader.signal_key(&mut fields, "signal", Purpose::Stop);
    if fields.entry("timeout").is_none() {
        let at = fields.at.clone();
        reader
            .report()
            .error(&at, "watchdog", "needs a timeout")
            .hint("write timeout = \"30s\": the longest silence between two WATCHDOG=1");
    }
    if let Some(entry) = fields
        .entry("signal")
        .filter(|_| action == WatchdogAction::Degrade)
    {
        let message = "has no meaning with action = \"degrade\", which ends nothing";
        reader
            .report()
            .error(&entry.key_at, "watchdog.signal", message);
    }
    reader.finish(fields);
    Some(Watchdog {
        timeout_ms: timeout?,
        action,
        signal: signal.unwrap_or(SIGABRT),
    })
}

/// Processes whose messages on the notify socket count.
fn notify_access(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<NotifyAccess> {
    let words = [("all", NotifyAccess::All), ("main", NotifyAccess::Main)];
    reader.word_key(fields, "notify_access", &words)
}
