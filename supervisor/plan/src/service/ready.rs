//! What a service says of itself: `[ready]`, `[watchdog]` and `notify_access`.

use crate::{
    declare::setting::SERVICE_KEYS,
    model::{NotifyAccess, Ready, ReadyKind, Watchdog, WatchdogAction},
    read::{fields::Fields, signal::Purpose},
    service::{probes, reader::Reader},
};

const READY_TIMEOUT_MS: u64 = 60_000;
const READY_INTERVAL_MS: u64 = 250;
/// File descriptors that a service may announce itself on: above its standard ones.
const FDS: std::ops::RangeInclusive<i64> = 3..=1023;
/// A core tells why a service hung.
const SIGABRT: i32 = 6;

/// When dependents may start. Without `[ready]`: once exec has succeeded.
pub(crate) fn ready(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Ready {
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
    fields.finish(&SERVICE_KEYS, reader.report());
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
            (_, Some(fd), ..) => ReadyKind::Fd(i32::try_from(fd).unwrap_or_default()),
            (_, _, Some(pattern), _) => ReadyKind::Log(pattern),
            (_, _, _, Some(ask)) => ReadyKind::Probe(pace.of(ask)),
            // Wrong, or not to be rendered here.
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
pub(crate) fn watchdog(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<Watchdog> {
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
    fields.finish(&SERVICE_KEYS, reader.report());
    Some(Watchdog {
        timeout_ms: timeout?,
        action,
        signal: signal.unwrap_or(SIGABRT),
    })
}

/// Whose messages on the notify socket count.
pub(crate) fn notify_access(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
) -> Option<NotifyAccess> {
    let words = [("all", NotifyAccess::All), ("main", NotifyAccess::Main)];
    reader.word_key(fields, "notify_access", &words)
}
