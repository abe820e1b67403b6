//! Questions that are asked at intervals: `[liveness]`, `[health]`, and what `[ready]` may ask.

use crate::{
    model::{Ask, Probe},
    read::{
        document::{Kind, Node},
        fields::Fields,
        url::Url,
    },
    report::place::Place,
    service::{
        described::Described,
        key::{Key, KeyTable, compare},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "liveness",
        doc: "probe; when it fails, the service is restarted",
        read: |reader, fields, service| service.liveness = other(reader, fields, "liveness"),
        describe: |service, out| {
            if let Some(it) = &service.liveness {
                describe("liveness", "timeout", it, out);
            }
        },
        compare: compare!(liveness, InPlace),
        tables: &[KeyTable {
            header: "[liveness], [health]",
            intro: "",
            keys: &[
                ("http, tcp, unix, exec, status, body", "as in `[ready]`"),
                (
                    "interval, timeout, failures, successes, delay",
                    "of the attempts",
                ),
            ],
        }],
        ..Key::IDLE
    },
    Key {
        name: "health",
        doc: "probe; when it fails, that is shown and told",
        read: |reader, fields, service| service.health = other(reader, fields, "health"),
        describe: |service, out| {
            if let Some(it) = &service.health {
                describe("health", "timeout", it, out);
            }
        },
        compare: compare!(health, InPlace),
        ..Key::IDLE
    },
];

/// The keys that say what is asked.
const ASKS: [&str; 4] = ["http", "tcp", "unix", "exec"];
const INTERVAL_MS: u64 = 10_000;
const ATTEMPT_MS: u64 = 5_000;
const FAILURES: u32 = 3;
/// Shortest interval of a probe.
const MIN_INTERVAL_MS: u64 = 10;

/// Describes a probe; `timeout` is the key of the longest time of one attempt.
pub(crate) fn describe(table: &str, timeout: &str, probe: &Probe, out: &mut Described) {
    let key = |name: &str| format!("{table}.{name}");
    describe_question(table, timeout, probe, out);
    if probe.delay_ms > 0 {
        out.put(key("delay"), text::exact_duration(probe.delay_ms));
    }
    out.put(key("failures"), probe.failures);
    out.put(key("successes"), probe.successes);
}

/// Describes what a probe asks, and how often.
pub(crate) fn describe_question(table: &str, timeout: &str, probe: &Probe, out: &mut Described) {
    let key = |name: &str| format!("{table}.{name}");
    match &probe.ask {
        Ask::Http {
            url,
            socket,
            status,
            body,
        } => {
            out.put(key("http"), url);
            out.put(key("unix"), socket);
            out.put(key("status"), status);
            out.put(key("body"), body);
        }
        Ask::Tcp(address) => out.put(key("tcp"), address),
        Ask::Unix(path) => out.put(key("unix"), path),
        Ask::Exec(argv) => out.put(key("exec"), argv),
    }
    out.put(key("interval"), text::exact_duration(probe.interval_ms));
    out.put(key(timeout), text::exact_duration(probe.timeout_ms));
}

fn other(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, key: &'static str) -> Option<Probe> {
    let mut fields = fields.table(key, reader.report())?;
    let at = fields.at.clone();
    let ways = ways(&mut fields);
    let pace = pace(reader, &mut fields, "timeout", INTERVAL_MS, FAILURES);
    let asked = ask(reader, &mut fields);
    match ways.as_slice() {
        [] => nothing_asked(reader, &at, key, "http, tcp, unix or exec"),
        [_] => {}
        _ => exclude(reader, &at, key, &ways),
    }
    reader.finish(fields);
    asked.ok().flatten().map(|ask| pace.of(ask))
}

/// Which of [`ASKS`] a table has. `unix` beside `http` is no way of its own: it says by which
/// socket.
pub(crate) fn ways(fields: &mut Fields<'_>) -> Vec<&'static str> {
    let there = ASKS.map(|key| fields.entry(key).map(|_| key));
    let mut ways: Vec<_> = there.into_iter().flatten().collect();
    if ways.contains(&"http") {
        ways.retain(|key| *key != "unix");
    }
    ways
}

pub(crate) fn nothing_asked(reader: &mut Reader<'_, '_>, at: &Place, key: &str, ways: &str) {
    reader.report().error(
        at,
        key,
        format!("does not say what is asked: write one of {ways}"),
    );
}

/// Reports two questions in one probe.
pub(crate) fn exclude(reader: &mut Reader<'_, '_>, at: &Place, key: &str, ways: &[&str]) {
    let message = format!("`{}` exclude each other", ways.join("` and `"));
    reader
        .report()
        .error(at, key, message)
        .hint("keep one of them");
}

/// How often a probe asks, and how many answers count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) delay_ms: Option<u64>,
    interval_ms: u64,
    pub(crate) timeout_ms: u64,
    failures: u32,
    successes: u32,
}

impl Pace {
    pub(crate) fn of(self, ask: Ask) -> Probe {
        Probe {
            ask,
            delay_ms: self.delay_ms.unwrap_or(0),
            interval_ms: self.interval_ms,
            timeout_ms: self.timeout_ms,
            failures: self.failures,
            successes: self.successes,
        }
    }
}

/// `attempt`: the key of the longest time of one attempt.
pub(crate) fn pace(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    attempt: &'static str,
    interval_ms: u64,
    failures: u32,
) -> Pace {
    Pace {
        delay_ms: reader.duration_key(fields, "delay"),
        failures: count(reader, fields, "failures", failures),
        successes: count(reader, fields, "successes", 1),
        ..attempts(reader, fields, attempt, interval_ms)
    }
}

/// The pace of what is asked until the first yes.
pub(crate) fn attempts(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    attempt: &'static str,
    interval_ms: u64,
) -> Pace {
    let timeout_ms = reader.positive_duration_key(fields, attempt);
    Pace {
        delay_ms: None,
        interval_ms: reader
            .duration_key(fields, "interval")
            .unwrap_or(interval_ms)
            .max(MIN_INTERVAL_MS),
        timeout_ms: timeout_ms.unwrap_or(ATTEMPT_MS),
        failures: 1,
        successes: 1,
    }
}

fn count(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
    default: u32,
) -> u32 {
    reader
        .int_key(fields, key, 1..=1_000_000)
        .unwrap_or(default)
}

/// `Err`: something is asked, but it cannot be said what; reported where that is wrong.
pub(crate) fn ask(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Result<Option<Ask>, ()> {
    let [http, tcp, unix, exec] = ASKS.map(|key| fields.entry(key));
    let status = status(reader, fields);
    let body = body(reader, fields);
    if http.is_none() {
        for key in ["status", "body"] {
            if let Some(entry) = fields.entry(key) {
                let name = fields.key(key);
                reader
                    .report()
                    .error(&entry.key_at, name, "has a meaning with `http` only");
            }
        }
    }
    let checked = |reader: &mut Reader<'_, '_>, node: &Node, name: String, check: Check| {
        let text = reader.text(node, &name).ok_or(())?;
        check(&text).map_err(|why| {
            reader.report().error(&node.at, name, why);
        })?;
        Ok(text)
    };
    if let Some(entry) = http {
        let url = checked(reader, &entry.node, fields.key("http"), http_url)?;
        let socket = unix.map(|entry| checked(reader, &entry.node, fields.key("unix"), socket));
        Ok(Some(Ask::Http {
            url,
            socket: socket.transpose()?.map(Into::into),
            status,
            body,
        }))
    } else if let Some(entry) = tcp {
        let target = checked(reader, &entry.node, fields.key("tcp"), address)?;
        Ok(Some(Ask::Tcp(target)))
    } else if let Some(entry) = unix {
        let path = checked(reader, &entry.node, fields.key("unix"), socket)?;
        Ok(Some(Ask::Unix(path.into())))
    } else if exec.is_some() {
        let argv = reader.argv_key(fields, "exec").ok_or(())?;
        Ok(Some(Ask::Exec(argv)))
    } else {
        Ok(None)
    }
}

/// The text that the answer must contain.
fn body(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<String> {
    let node = fields.node("body")?;
    let name = fields.key("body");
    let text = reader.text(node, &name)?;
    if text.is_empty() {
        let problem = reader
            .report()
            .error(&node.at, name, "would be in every answer");
        problem.hint("write what only the right answer has, or remove the key");
        return None;
    }
    Some(text)
}

/// A unix socket: by its path, or `@name` for an abstract one.
fn socket(text: &str) -> Result<(), String> {
    match text.strip_prefix('@') {
        Some("") => Err("has no name behind its `@`".to_owned()),
        None if !text.starts_with('/') => Err(format!(
            "must be an absolute path, or `@` and a name: `{text}`"
        )),
        Some(_) | None => Ok(()),
    }
}

/// Says what is wrong with a text.
type Check = fn(&str) -> Result<(), String>;

fn status(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<u16> {
    let Some(node) = fields.node("status") else {
        return Vec::new();
    };
    let one = std::slice::from_ref(node);
    let list = if let Kind::List(list) = &node.kind {
        list
    } else {
        one
    };
    let mut out = Vec::new();
    for item in list {
        if let Kind::Int(code @ 100..=599) = item.kind {
            out.extend(u16::try_from(code));
        } else {
            let name = fields.key("status");
            let message = "must be HTTP status codes such as [200, 204]";
            reader.report().error(&item.at, name, message);
        }
    }
    out
}

fn http_url(text: &str) -> Result<(), String> {
    let url = Url::parse(text)?;
    if url.scheme != "http" {
        return Err(format!("probes ask by http:// only, not {}://", url.scheme));
    }
    Ok(())
}

/// Checks `host:port`.
pub(crate) fn address(text: &str) -> Result<(), String> {
    let wrong = || format!("`{text}` is not an address such as \"127.0.0.1:8065\" or \"[::1]:80\"");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err(format!(
            "`{text}` has an IPv6 address without its brackets: write \"[{host}]:{port}\""
        ));
    }
    if host.contains(|c: char| c.is_whitespace() || c == '/') || (host.contains(':') && !bracketed)
    {
        return Err(wrong());
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(()),
        _ => Err(wrong()),
    }
}
