//! `[ready]`, `[liveness]`, `[health]`.

use crate::{
    Ask, Probe, Ready, ReadyKind,
    fields::Fields,
    reader::Reader,
    setting::SERVICE_KEYS,
    source::{Kind, Place},
    value::Url,
};

const READY_TIMEOUT_MS: u64 = 60_000;
const READY_INTERVAL_MS: u64 = 250;
const INTERVAL_MS: u64 = 10_000;
const ATTEMPT_MS: u64 = 5_000;
const FAILURES: u32 = 3;
/// No probe is asked more often.
const MIN_INTERVAL_MS: u64 = 10;

pub(crate) fn ready(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Ready {
    let exec = Ready {
        kind: ReadyKind::Exec,
        timeout_ms: None,
    };
    let Some(mut fields) = fields.table("ready", reader.report()) else {
        return exec;
    };
    let notify_at = fields.entry("notify").map(|entry| entry.key_at.clone());
    let notify = notify_at.is_some() && reader.bool_key(&mut fields, "notify").unwrap_or(false);
    let timeout_ms = reader
        .duration_key(&mut fields, "timeout")
        .or(Some(READY_TIMEOUT_MS));
    let probe = probe(reader, &mut fields, "attempt_timeout", READY_INTERVAL_MS, 1);
    let at = fields.at.clone();
    let kind = match (notify, probe) {
        (true, Ok(Some(_)) | Err(())) => {
            reader
                .report()
                .error(&at, "ready", "`notify` and a probe exclude each other")
                .hint("keep one of them");
            ReadyKind::Notify
        }
        (true, Ok(None)) => ReadyKind::Notify,
        (false, Ok(Some(probe))) => ReadyKind::Probe(probe),
        (false, Err(())) => ReadyKind::Exec,
        (false, Ok(None)) => {
            if notify_at.is_none() {
                nothing_asked(reader, &at, "ready", "notify = true, http, tcp or exec");
            }
            fields.finish(&SERVICE_KEYS, reader.report());
            return exec;
        }
    };
    fields.finish(&SERVICE_KEYS, reader.report());
    Ready { kind, timeout_ms }
}

pub(crate) fn other(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<Probe> {
    let mut fields = fields.table(key, reader.report())?;
    let at = fields.at.clone();
    let probe = probe(reader, &mut fields, "timeout", INTERVAL_MS, FAILURES);
    if probe == Ok(None) {
        nothing_asked(reader, &at, key, "http, tcp or exec");
    }
    fields.finish(&SERVICE_KEYS, reader.report());
    probe.ok().flatten()
}

fn nothing_asked(reader: &mut Reader<'_, '_>, at: &Place, key: &str, kinds: &str) {
    reader.report().error(
        at,
        key,
        format!("does not say what is asked: write one of {kinds}"),
    );
}

/// `Err`: something is asked, but it cannot be said what; reported where that is wrong.
fn probe(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    attempt: &'static str,
    interval_ms: u64,
    failures: u32,
) -> Result<Option<Probe>, ()> {
    let asked = ask(reader, fields);
    let delay_ms = reader.duration_key(fields, "delay").unwrap_or(0);
    let interval_ms = reader
        .duration_key(fields, "interval")
        .unwrap_or(interval_ms)
        .max(MIN_INTERVAL_MS);
    let timeout_ms = reader.duration_key(fields, attempt).unwrap_or(ATTEMPT_MS);
    let timeout_ms = if timeout_ms == 0 {
        let name = fields.key(attempt);
        reader
            .report()
            .error(&fields.at, name, "must be longer than nothing");
        ATTEMPT_MS
    } else {
        timeout_ms
    };
    let failures = count(reader, fields, "failures", failures);
    let successes = count(reader, fields, "successes", 1);
    Ok(asked?.map(|ask| Probe {
        ask,
        delay_ms,
        interval_ms,
        timeout_ms,
        failures,
        successes,
    }))
}

fn count(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
    default: u32,
) -> u32 {
    let found = reader.int_key(fields, key, 1..=1_000_000);
    found.and_then(|n| u32::try_from(n).ok()).unwrap_or(default)
}

fn ask(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Result<Option<Ask>, ()> {
    let http = fields.entry("http");
    let kinds = [http, fields.entry("tcp"), fields.entry("exec")];
    if kinds.iter().flatten().count() > 1 {
        let name = fields.key("");
        let name = name.trim_end_matches('.');
        reader
            .report()
            .error(&fields.at, name, "has more than one of http, tcp and exec")
            .hint("keep one of them");
        return Err(());
    }
    let status = status(reader, fields);
    let body = reader.text_key(fields, "body");
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
    match kinds {
        [Some(entry), ..] => {
            let name = fields.key("http");
            let url = reader.text(&entry.node, &name).ok_or(())?;
            if let Err(why) = http_url(&url) {
                reader.report().error(&entry.node.at, name, why);
                return Err(());
            }
            Ok(Some(Ask::Http { url, status, body }))
        }
        [_, Some(entry), _] => {
            let name = fields.key("tcp");
            let target = reader.text(&entry.node, &name).ok_or(())?;
            if let Err(why) = address(&target) {
                reader.report().error(&entry.node.at, name, why);
                return Err(());
            }
            Ok(Some(Ask::Tcp(target)))
        }
        [_, _, Some(_)] => reader
            .argv_key(fields, "exec")
            .map(|argv| Some(Ask::Exec(argv)))
            .ok_or(()),
        _ => Ok(None),
    }
}

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
    if host.contains(|c: char| c.is_whitespace() || c == '/') || (host.contains(':') && !bracketed)
    {
        return Err(wrong());
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(()),
        _ => Err(wrong()),
    }
}
