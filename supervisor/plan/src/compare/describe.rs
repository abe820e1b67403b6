//! A plan for people: each key of a service with its value and where that comes from. No secret
//! is in it.

use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::{Value, json};

use crate::{
    model::{
        Ask, Forward, NotifyBy, NotifyTarget, Plan, Probe, ReadyKind, ReloadHow, Service, Source,
        Stdin, hidden::HIDDEN,
    },
    read::{secrecy::looks_secret, signal},
};

/// A shorter secret is not looked for in other values: it would be everywhere.
const MIN_SECRET: usize = 6;

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// As a service file has it, tables by dots: `ready.timeout`, `env.PATH`.
    pub key: String,
    /// As a service file would have it.
    pub value: Value,
    /// It is hidden; `value` is [`HIDDEN`].
    pub secret: bool,
    /// Where the value comes from, where that is known.
    pub source: Option<&'static str>,
}

/// The keys of a service, in the order of the reference.
pub fn service(service: &Service) -> Vec<Shown> {
    let mut out = Keys {
        list: Vec::new(),
        secrets: secrets(service),
    };
    out.put("description", &service.description);
    out.put("enable", service.enabled);
    if !service.enabled {
        return out.list;
    }
    out.put("type", if service.oneshot { "oneshot" } else { "daemon" });
    out.put("command", &service.command);
    out.put("command_hint", &service.command_hint);
    out.put("validate", &service.validate);
    out.opt("broken", service.broken.as_ref());
    account(service, &mut out);
    process(service, &mut out);
    for (key, names) in [
        ("requires", &service.requires),
        ("wants", &service.wants),
        ("binds_to", &service.binds_to),
        ("after", &service.after),
    ] {
        out.put(key, names);
    }
    out.put("listens", &service.listens);
    out.put("listens_hint", &service.listens_hint);
    out.put("stale_sockets", &service.stale_sockets);
    environment(service, &mut out);
    readiness(service, &mut out);
    endings(service, &mut out);
    logs(service, &mut out);
    files(service, &mut out);
    tools(service, &mut out);
    out.list
}

fn tools(service: &Service, out: &mut Keys) {
    for tool in &service.tools {
        let key = |what: &str| format!("tools.{}.{what}", tool.name);
        out.put(key("command"), &tool.command);
        for (name, value) in &tool.env {
            out.put(key(&format!("env.{name}")), value);
        }
        out.put(key("unset_env"), &tool.unset_env);
        out.opt(key("user"), tool.user.as_ref());
    }
}

/// What the site file says of the supervisor itself.
pub fn site(plan: &Plan) -> Vec<Shown> {
    let mut out = Keys::default();
    out.opt("control.admin_group", plan.control.admin_group.as_ref());
    out.opt("control.viewer_group", plan.control.viewer_group.as_ref());
    out.put("manage_accounts.enable", plan.manage_accounts);
    for NotifyTarget { name, by, on } in &plan.notify {
        let key = |what: &str| format!("notify.{name}.{what}");
        match by {
            NotifyBy::Webhook(_) => out.hide(key("webhook"), None),
            NotifyBy::Command(argv) => out.put(key("command"), argv),
            NotifyBy::Sendmail { to, from } => {
                out.put(key("sendmail"), to);
                out.opt(key("from"), from.as_ref());
            }
        }
        out.put(key("on"), on);
    }
    out.list
}

/// What must not be shown, wherever it may have got to.
fn secrets(service: &Service) -> BTreeSet<String> {
    let hidden = service.env.values().filter(|variable| variable.secret);
    let values = hidden.map(|variable| variable.value.clone());
    values.filter(|value| value.len() >= MIN_SECRET).collect()
}

#[derive(Default)]
struct Keys {
    list: Vec<Shown>,
    secrets: BTreeSet<String>,
}

impl Keys {
    /// One key; an empty list, text or table is none.
    fn put(&mut self, key: impl Into<String>, value: impl serde::Serialize) {
        // Strings, numbers and lists of them: there is nothing to go wrong.
        let value = serde_json::to_value(value).unwrap_or_default();
        let empty = match &value {
            Value::Array(list) => list.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Null => true,
            Value::Bool(_) | Value::Number(_) => false,
        };
        if empty {
            return;
        }
        let key = key.into();
        if self.is_secret(&value) {
            self.hide(key, None);
            return;
        }
        self.list.push(Shown {
            key,
            value,
            secret: false,
            source: None,
        });
    }

    fn opt(&mut self, key: impl Into<String>, value: Option<impl serde::Serialize>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    fn hide(&mut self, key: impl Into<String>, source: Option<&'static str>) {
        self.list.push(Shown {
            key: key.into(),
            value: json!(HIDDEN),
            secret: true,
            source,
        });
    }

    /// A secret that a template has put into another value, or a URL with a password.
    fn is_secret(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => {
                looks_secret("", text) || self.secrets.iter().any(|it| text.contains(it.as_str()))
            }
            Value::Array(list) => list.iter().any(|item| self.is_secret(item)),
            Value::Object(map) => map.values().any(|item| self.is_secret(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

fn account(service: &Service, out: &mut Keys) {
    out.opt("user", service.user.as_ref());
    out.opt("group", service.group.as_ref());
    out.opt("groups", service.groups.as_ref());
    out.opt("uid", service.uid);
    out.opt("gid", service.gid);
    out.opt("home", service.home.as_ref());
}

fn process(service: &Service, out: &mut Keys) {
    out.put("working_dir", &service.working_dir);
    out.put("umask", mode(service.umask));
    out.opt("nice", service.nice);
    out.opt("oom_score_adj", service.oom_score_adj);
    out.opt("io_priority", service.io_priority);
    out.opt("cpu_affinity", service.cpu_affinity.as_ref());
    if let Stdin::File(path) = &service.stdin {
        out.put("stdin", path);
    }
    if service.no_new_privs {
        out.put("no_new_privs", true);
    }
    for (key, set) in [
        ("capabilities", &service.capabilities),
        ("capability_bounding_set", &service.capability_bounding_set),
        ("ambient_capabilities", &service.ambient_capabilities),
    ] {
        out.opt(key, set.as_ref());
    }
    for (name, (soft, hard)) in &service.limits {
        let one = |limit: &Option<u64>| limit.map_or(json!("unlimited"), |limit| json!(limit));
        let value = if soft == hard {
            one(soft)
        } else {
            json!({ "soft": one(soft), "hard": one(hard) })
        };
        out.put(format!("limits.{name}"), value);
    }
}

fn environment(service: &Service, out: &mut Keys) {
    for (name, variable) in service.env.iter() {
        let source = match variable.source {
            Source::Base => "the supervisor",
            Source::Computed => "[env] of the service file",
            Source::EnvFile => "env_files",
            Source::Setting => "a setting",
            Source::EnvMap => "env of the site file",
        };
        let value = json!(variable.value);
        let key = format!("env.{name}");
        if variable.is_hidden() || out.is_secret(&value) {
            out.hide(key, Some(source));
            continue;
        }
        // An empty variable is one.
        out.list.push(Shown {
            key,
            value,
            secret: false,
            source: Some(source),
        });
    }
}

fn readiness(service: &Service, out: &mut Keys) {
    match &service.ready.kind {
        ReadyKind::Exec => {}
        ReadyKind::Notify => out.put("ready.notify", true),
        ReadyKind::Fd(fd) => out.put("ready.fd", fd),
        ReadyKind::Log(pattern) => out.put("ready.log", pattern),
        ReadyKind::Delay(ms) => out.put("ready.delay", duration(*ms)),
        ReadyKind::Probe(it) => probe("ready", "attempt_timeout", it, out),
    }
    out.opt("ready.timeout", service.ready.timeout_ms.map(duration));
    out.opt("notify_access", service.notify_access);
    if let Some(watchdog) = service.watchdog {
        out.put("watchdog.timeout", duration(watchdog.timeout_ms));
        out.put("watchdog.action", watchdog.action);
        out.put("watchdog.signal", signal_name(watchdog.signal));
    }
    for (name, found) in [("liveness", &service.liveness), ("health", &service.health)] {
        if let Some(it) = found {
            probe(name, "timeout", it, out);
        }
    }
}

fn probe(table: &str, timeout: &str, probe: &Probe, out: &mut Keys) {
    let key = |name: &str| format!("{table}.{name}");
    question(table, timeout, probe, out);
    if probe.delay_ms > 0 {
        out.put(key("delay"), duration(probe.delay_ms));
    }
    out.put(key("failures"), probe.failures);
    out.put(key("successes"), probe.successes);
}

/// What is asked, and how often.
fn question(table: &str, timeout: &str, probe: &Probe, out: &mut Keys) {
    let key = |name: &str| format!("{table}.{name}");
    match &probe.ask {
        Ask::Http {
            url,
            socket,
            status,
            body,
        } => {
            out.put(key("http"), url);
            out.opt(key("unix"), socket.as_ref());
            out.put(key("status"), status);
            out.opt(key("body"), body.as_ref());
        }
        Ask::Tcp(address) => out.put(key("tcp"), address),
        Ask::Unix(path) => out.put(key("unix"), path),
        Ask::Exec(argv) => out.put(key("exec"), argv),
    }
    out.put(key("interval"), duration(probe.interval_ms));
    out.put(key(timeout), duration(probe.timeout_ms));
}

fn endings(service: &Service, out: &mut Keys) {
    let restart = &service.restart;
    let policy = match restart.policy {
        crate::model::Policy::Always => "always",
        crate::model::Policy::UnlessStopped => "unless-stopped",
        crate::model::Policy::OnFailure => "on-failure",
        crate::model::Policy::Never => "never",
    };
    out.put("restart.policy", policy);
    out.put("restart.delay", duration(restart.delay_ms));
    out.put("restart.max_delay", duration(restart.max_delay_ms));
    out.put("restart.factor", thousandths(restart.factor_milli));
    out.put("restart.jitter", thousandths(restart.jitter_milli));
    out.put("restart.reset_after", duration(restart.reset_after_ms));
    if let Some((starts, within)) = restart.limit {
        let limit = json!({ "starts": starts, "within": duration(within) });
        out.put("restart.limit", limit);
    }
    let codes = restart.success_codes.iter().map(|code| json!(code));
    let signals = restart.success_signals.iter();
    let signals = signals.map(|number| json!(signal_name(*number)));
    out.put("restart.success", codes.chain(signals).collect::<Vec<_>>());
    let codes = restart.prevent_codes.iter().map(|code| json!(code));
    let signals = restart.prevent_signals.iter();
    let signals = signals.map(|number| json!(signal_name(*number)));
    out.put("restart.prevent", codes.chain(signals).collect::<Vec<_>>());
    if service.exit_when_failed {
        out.put("exit_when_failed", true);
    }
    if let Some(schedule) = &service.schedule {
        out.put("schedule.cron", &schedule.cron);
        out.put("schedule.jitter", duration(schedule.jitter_ms));
        out.put("schedule.catch_up", schedule.catch_up);
        if !schedule.arguments.is_empty() {
            out.put("schedule.arguments", json!(schedule.arguments));
        }
    }
    out.put("stop.signal", signal_name(service.stop.signal));
    if let Some(escalation) = service.stop.escalation {
        out.put("stop.escalate.signal", signal_name(escalation.signal));
        out.put("stop.escalate.after", duration(escalation.after_ms));
    }
    out.put("stop.timeout", duration(service.stop.timeout_ms));
    if let Some(reload) = &service.reload {
        match &reload.how {
            ReloadHow::Signal(number) => out.put("reload.signal", signal_name(*number)),
            ReloadHow::Command(argv) => out.put("reload.command", argv),
        }
        out.put("reload.timeout", duration(reload.timeout_ms));
        if let Some(it) = &reload.confirm {
            question("reload.confirm", "attempt_timeout", it, out);
        }
    }
}

fn logs(service: &Service, out: &mut Keys) {
    out.put("log.size", size(service.log.size_bytes));
    out.put("log.keep", service.log.keep);
    out.opt("log.age", service.log.age_ms.map(duration));
    out.put("log.compress", service.log.compress);
    if let Some(Forward { to, format }) = service.log.forward {
        out.put("log.forward", to);
        out.put("log.format", format);
    }
    out.put("log_files", &service.log_files);
}

fn files(service: &Service, out: &mut Keys) {
    for directory in &service.directories {
        let mut value = json!({ "mode": mode(directory.mode) });
        owner(
            &mut value,
            directory.user.as_ref(),
            directory.group.as_ref(),
        );
        if directory.recursive {
            value["recursive"] = json!(true);
        }
        out.put(
            format!("directories.\"{}\"", directory.path.display()),
            value,
        );
    }
    for it in &service.credentials {
        let key = format!("credentials.\"{}\"", it.path.display());
        out.put(key, it.source.display().to_string());
    }
    for file in &service.status_files {
        let key = format!("status_files.\"{}\"", file.path.display());
        out.put(key, json!({ "when": file.when }));
    }
    for file in &service.files {
        let mut value = json!({ "mode": mode(file.mode), "bytes": file.content.len() });
        owner(&mut value, file.user.as_ref(), file.group.as_ref());
        if file.create_only {
            value["create_only"] = json!(true);
        }
        if !file.validate.is_empty() {
            value["validate"] = json!(file.validate);
        }
        out.put(format!("files.\"{}\"", file.path.display()), value);
    }
}

fn owner(value: &mut Value, user: Option<&String>, group: Option<&String>) {
    for (key, name) in [("user", user), ("group", group)] {
        if let Some(name) = name {
            value[key] = json!(name);
        }
    }
}

fn mode(bits: u32) -> String {
    format!("{bits:04o}")
}

fn signal_name(number: i32) -> String {
    signal::name(number).map_or_else(|| number.to_string(), str::to_owned)
}

fn thousandths(milli: u32) -> Value {
    json!(f64::from(milli) / 1000.0)
}

/// `1h30m`, as it may be written.
fn duration(mut ms: u64) -> String {
    let mut out = String::new();
    for (unit, length) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ] {
        if ms >= length {
            let _ = write!(out, "{}{unit}", ms / length);
            ms %= length;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// `10M`, as it may be written.
fn size(bytes: u64) -> String {
    let units = [("G", 30), ("M", 20), ("K", 10)];
    let fits = |(_, shift): &(&str, u32)| bytes > 0 && bytes.trailing_zeros() >= *shift;
    match units.into_iter().find(fits) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}
