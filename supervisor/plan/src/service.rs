//! One service file, rendered into a [`Service`].

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::{
    Log, Policy, Reload, Restart, Service, Source, Stop, Variable,
    decl::{SERVICE_KEYS, env_name, plain},
    fields::Fields,
    files, probes,
    reader::Reader,
    resolve::{Name, Origin, Outcome, Resolver},
    source::{Document, Kind, Node},
    template::{is_template, lone_name},
    value::Type,
};

/// What every service gets unless it says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SIGTERM: i32 = 15;

/// `RLIMIT_*` without its prefix, lower case.
pub(crate) const LIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Linux's capabilities by number, without `CAP_`.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Renders a service. What is wrong is reported; the result then is of no use.
pub(crate) fn build(
    resolver: &mut Resolver<'_>,
    name: &str,
    document: &Document,
    enabled: bool,
    places: &files::Places,
) -> Service {
    let mut reader = Reader {
        resolver,
        space: plain(name),
        render: enabled,
        broken: None,
        candidate: None,
    };
    let mut fields = Fields::new(&document.table, document.whole.clone(), "");
    let reader = &mut reader;
    for key in ["enable", "settings", "sections", "doc"] {
        fields.entry(key);
    }
    let mut service = process(reader, name, &mut fields, enabled);
    service.enabled = enabled;
    if enabled {
        service.env = environment(reader, &mut fields);
    } else {
        check_env(reader, &mut fields);
    }
    service.ready = probes::ready(reader, &mut fields);
    service.liveness = probes::other(reader, &mut fields, "liveness");
    service.health = probes::other(reader, &mut fields, "health");
    service.restart = restart(reader, &mut fields, service.oneshot);
    service.stop = stop(reader, &mut fields);
    service.reload = reload(reader, &mut fields);
    service.limits = limits(reader, &mut fields);
    service.log = log(reader, &mut fields);
    service.directories = files::directories(reader, &mut fields);
    service.files = files::files(reader, &mut fields, places);
    fields.finish(&[], reader.report());
    service.broken = reader.broken.take();
    service
}

/// What the process is and what it needs.
fn process(
    reader: &mut Reader<'_, '_>,
    name: &str,
    fields: &mut Fields<'_>,
    enabled: bool,
) -> Service {
    if fields.entry("command").is_none() {
        let at = fields.at.clone();
        reader
            .report()
            .error(&at, "command", format!("`{name}` has no command"))
            .hint("write command = [\"/path/to/program\", \"argument\"]");
    }
    let id = |n: i64| u32::try_from(n).ok();
    let small = |n: i64| i32::try_from(n).ok();
    let max_id = i64::from(u32::MAX) - 1;
    Service {
        name: name.to_owned(),
        description: description(reader, fields),
        enabled,
        enable_hint: String::new(),
        broken: None,
        oneshot: reader
            .word_key(fields, "type", &[("daemon", false), ("oneshot", true)])
            .unwrap_or(false),
        command: reader.argv_key(fields, "command").unwrap_or_default(),
        validate: reader.argv_key(fields, "validate").unwrap_or_default(),
        env: BTreeMap::new(),
        user: account(reader, fields, "user"),
        group: account(reader, fields, "group"),
        groups: reader.list_key(fields, "groups"),
        uid: reader.int_key(fields, "uid", 0..=max_id).and_then(id),
        gid: reader.int_key(fields, "gid", 0..=max_id).and_then(id),
        home: reader.path_key(fields, "home", true),
        working_dir: reader
            .path_key(fields, "working_dir", false)
            .unwrap_or_else(|| PathBuf::from("/")),
        umask: reader.mode_key(fields, "umask").unwrap_or(0o022) & 0o777,
        nice: reader.int_key(fields, "nice", -20..=19).and_then(small),
        oom_score_adj: reader
            .int_key(fields, "oom_score_adj", -1000..=1000)
            .and_then(small),
        limits: BTreeMap::new(),
        no_new_privs: reader.bool_key(fields, "no_new_privs").unwrap_or(false),
        capabilities: capabilities(reader, fields),
        requires: names(reader, fields, "requires"),
        wants: names(reader, fields, "wants"),
        binds_to: names(reader, fields, "binds_to"),
        after: names(reader, fields, "after"),
        listens: listens(reader, fields),
        ready: crate::Ready {
            kind: crate::ReadyKind::Exec,
            timeout_ms: None,
        },
        liveness: None,
        health: None,
        restart: default_restart(),
        stop: Stop {
            signal: SIGTERM,
            timeout_ms: 30_000,
        },
        reload: None,
        log: Log {
            size_bytes: 10 << 20,
            keep: 10,
            age_ms: None,
        },
        directories: Vec::new(),
        files: Vec::new(),
    }
}

/// The description is shown for disabled services too, so it is rendered where it can be.
fn description(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> String {
    fields.entry("log_files");
    reader.text_key(fields, "description").unwrap_or_default()
}

/// A user or group. An empty one would silently be the supervisor's own, often root.
pub(crate) fn account(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<String> {
    let node = fields.node(key)?;
    let name = reader.text(node, &fields.key(key))?;
    if name.is_empty() || name.contains([':', '/', '\n']) || name.contains(char::is_whitespace) {
        let message = if name.is_empty() {
            "cannot be empty".to_owned()
        } else {
            format!("`{}` cannot be the name of an account", name.escape_debug())
        };
        reader.report().error(&node.at, fields.key(key), message);
        return None;
    }
    Some(name)
}

fn names(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> BTreeSet<String> {
    reader
        .list_key(fields, key)
        .unwrap_or_default()
        .into_iter()
        .collect()
}

fn capabilities(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<Vec<String>> {
    let node = fields.node("capabilities")?;
    let list = reader.list(node, "capabilities")?;
    let mut out = Vec::new();
    for name in list {
        let upper = name.to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if CAPABILITIES.contains(&short) {
            out.push(format!("CAP_{short}"));
        } else {
            let hint = crate::near::did_you_mean(short, CAPABILITIES);
            reader
                .report()
                .error(
                    &node.at,
                    "capabilities",
                    format!("there is no capability `{name}`"),
                )
                .hint_some(hint);
        }
    }
    Some(out)
}

fn listens(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Vec<String> {
    let Some(node) = fields.node("listens") else {
        return Vec::new();
    };
    let list = reader.list(node, "listens").unwrap_or_default();
    let mut out = Vec::new();
    for address in list {
        // `:8065` is every address, as the programs themselves have it.
        let whole = if address.starts_with(':') {
            format!("0.0.0.0{address}")
        } else {
            address
        };
        match probes::address(&whole) {
            Ok(()) => out.push(whole),
            Err(why) => {
                reader.report().error(&node.at, "listens", why);
            }
        }
    }
    out
}

/// PATH < `[env]` < settings < `SERVICE.env`.
fn environment(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> BTreeMap<String, Variable> {
    let mut env = BTreeMap::new();
    let base = Variable {
        value: PATH.to_owned(),
        source: Source::Base,
        secret: false,
    };
    env.insert("PATH".to_owned(), base);
    if let Some(table) = fields.entry("env").and_then(|entry| entry.node.table()) {
        for (name, entry) in table {
            let key = format!("env.{name}");
            if let Err(why) = env_name(name) {
                reader.report().error(&entry.key_at, key, why);
            } else if let Some((value, secret)) = computed(reader, &entry.node, &key) {
                let secret = secret || crate::site::looks_secret(name, &value);
                env.insert(
                    name.clone(),
                    Variable {
                        value,
                        source: Source::Computed,
                        secret,
                    },
                );
            }
        }
    } else {
        check_env(reader, fields);
    }
    from_settings(reader, &mut env);
    if let Some(map) = reader.resolver.site.env.get(&reader.space) {
        for (name, var) in map {
            let value = var.value.clone();
            env.insert(
                name.clone(),
                Variable {
                    value,
                    source: Source::EnvMap,
                    secret: var.secret,
                },
            );
        }
    }
    env
}

/// A variable of `[env]`; one that is a lone setting without value is none.
fn computed(reader: &mut Reader<'_, '_>, node: &Node, key: &str) -> Option<(String, bool)> {
    let (text, secret) = match &node.kind {
        Kind::Text(text) if !is_template(text) => (text.clone(), false),
        Kind::Text(text) => {
            let names = lone_name(text).and_then(|_| {
                reader.resolver.names(
                    &reader.space.clone(),
                    text,
                    Origin::Value(&node.at),
                    key,
                    false,
                )
            });
            if let Some(name) = names.and_then(|names| names.into_values().next())
                && let Name::Setting(..) | Name::Key(_) = name
                && !text.contains('.')
            {
                // The value as the setting's type writes it: a list by spaces, a map as JSON.
                return match reader.resolver.resolve(&name) {
                    Outcome::Set { value, secret } => Some((value.text(), secret)),
                    Outcome::Unset {
                        missing: Some(reason),
                    } => {
                        reader.broken.get_or_insert(reason);
                        None
                    }
                    Outcome::Unset { missing: None } | Outcome::Failed => None,
                };
            }
            let (value, secret) = reader.eval(text, Origin::Value(&node.at), key, true)?;
            (value.to_string(), secret)
        }
        Kind::Int(int) => (int.to_string(), false),
        Kind::Bool(bool) => (bool.to_string(), false),
        Kind::List(_) => (reader.list(node, key)?.join(" "), false),
        _ => {
            let what = node.what();
            let message = format!("must be a string, a number, true or false, not {what}");
            let problem = reader.report().error(&node.at, key, message);
            if let Some((_, name)) = key.split_once('.')
                && SERVICE_KEYS.contains(&name)
            {
                problem.hint(crate::fields::misplaced(name, "env"));
            }
            return None;
        }
    };
    if text.contains('\0') {
        reader
            .report()
            .error(&node.at, key, "a variable cannot contain a NUL");
        return None;
    }
    Some((text, secret))
}

fn check_env(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) {
    let Some(entry) = fields.entry("env") else {
        return;
    };
    let Some(table) = entry.node.table() else {
        let what = entry.node.what();
        reader.report().error(
            &entry.node.at,
            "env",
            format!("must be a table, not {what}"),
        );
        return;
    };
    for (name, entry) in table {
        let key = format!("env.{name}");
        if let Err(why) = env_name(name) {
            reader.report().error(&entry.key_at, key, why);
        } else if !matches!(&entry.node.kind, Kind::Text(text) if !is_template(text)) {
            match &entry.node.kind {
                Kind::Text(text) => {
                    reader.eval(text, Origin::Value(&entry.node.at), &key, true);
                }
                _ => {
                    computed(reader, &entry.node, &key);
                }
            }
        }
    }
}

fn from_settings(reader: &mut Reader<'_, '_>, env: &mut BTreeMap<String, Variable>) {
    let world = reader.resolver.world;
    for (space_name, space) in &world.spaces {
        if space.alias_of.is_some()
            || space.service.as_deref().map(plain).as_deref() != Some(reader.space.as_str())
        {
            continue;
        }
        for (key, setting) in &space.settings {
            // A secret that is to be made is wanted also where no template names it.
            if setting.env.is_none() && setting.generate.is_none() {
                continue;
            }
            let name = Name::Setting(space_name.clone(), key.clone());
            match (reader.resolver.resolve(&name), &setting.env) {
                (Outcome::Set { value, secret }, Some(variable)) => {
                    let secret = secret || crate::site::looks_secret(variable, &value.text());
                    let value = value.text();
                    env.insert(
                        variable.clone(),
                        Variable {
                            value,
                            source: Source::Setting,
                            secret,
                        },
                    );
                }
                (
                    Outcome::Unset {
                        missing: Some(reason),
                    },
                    Some(_),
                ) => {
                    reader.broken.get_or_insert(reason);
                }
                _ => {}
            }
        }
    }
}

fn default_restart() -> Restart {
    Restart {
        policy: Policy::Always,
        success_codes: BTreeSet::new(),
        success_signals: BTreeSet::new(),
        delay_ms: 1000,
        factor_milli: 2000,
        max_delay_ms: 60_000,
        jitter_milli: 100,
        reset_after_ms: 60_000,
        limit: None,
    }
}

/// A oneshot that ended well is done; only its failures are followed by another run.
fn restart(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, oneshot: bool) -> Restart {
    let mut out = default_restart();
    if oneshot {
        out.policy = Policy::OnFailure;
    }
    let Some(mut fields) = fields.table("restart", reader.report()) else {
        return out;
    };
    let fields = &mut fields;
    let words = [
        ("always", Policy::Always),
        ("unless-stopped", Policy::UnlessStopped),
        ("on-failure", Policy::OnFailure),
        ("never", Policy::Never),
    ];
    if let Some(policy) = reader.word_key(fields, "policy", &words) {
        out.policy = policy;
    }
    let set = |slot: &mut u64, found: Option<u64>| *slot = found.unwrap_or(*slot);
    set(&mut out.delay_ms, reader.duration_key(fields, "delay"));
    set(
        &mut out.max_delay_ms,
        reader.duration_key(fields, "max_delay"),
    );
    set(
        &mut out.reset_after_ms,
        reader.duration_key(fields, "reset_after"),
    );
    if let Some(factor) = thousandths(reader, fields, "factor", 1000..=1_000_000) {
        out.factor_milli = factor;
    }
    if let Some(jitter) = thousandths(reader, fields, "jitter", 0..=1000) {
        out.jitter_milli = jitter;
    }
    out.max_delay_ms = out.max_delay_ms.max(out.delay_ms);
    if let Some(mut limit) = fields.table("limit", reader.report()) {
        let starts = reader
            .int_key(&mut limit, "starts", 1..=1_000_000)
            .and_then(|n| u32::try_from(n).ok());
        let within = reader.duration_key(&mut limit, "within");
        out.limit = starts.zip(within);
        if limit.entry("starts").is_none() || limit.entry("within").is_none() {
            reader
                .report()
                .error(&limit.at, "restart.limit", "needs both starts and within")
                .hint("write limit = { starts = 5, within = \"1m\" }");
        }
        limit.finish(&SERVICE_KEYS, reader.report());
    }
    success(reader, fields, &mut out);
    let fields = std::mem::replace(fields, Fields::new(&EMPTY, fields.at.clone(), ""));
    fields.finish(&SERVICE_KEYS, reader.report());
    out
}

static EMPTY: crate::source::Table = crate::source::Table::new();

fn success(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>, out: &mut Restart) {
    let Some(node) = fields.node("success") else {
        return;
    };
    let one = std::slice::from_ref(node);
    for item in if let Kind::List(list) = &node.kind {
        list
    } else {
        one
    } {
        match &item.kind {
            Kind::Int(code @ 0..=255) => {
                out.success_codes.extend(i32::try_from(*code));
            }
            Kind::Text(name) if crate::signal::number(name).is_some() => {
                out.success_signals.extend(crate::signal::number(name));
            }
            _ => {
                reader.report().error(
                    &item.at,
                    "restart.success",
                    "must be exit codes and names of signals, such as [3, \"TERM\"]",
                );
            }
        }
    }
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
    let mut out = Stop {
        signal: SIGTERM,
        timeout_ms: 30_000,
    };
    let Some(mut fields) = fields.table("stop", reader.report()) else {
        return out;
    };
    out.signal = reader
        .signal_key(&mut fields, "signal")
        .unwrap_or(out.signal);
    out.timeout_ms = reader
        .duration_key(&mut fields, "timeout")
        .unwrap_or(out.timeout_ms);
    fields.finish(&SERVICE_KEYS, reader.report());
    out
}

fn reload(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Option<Reload> {
    let mut fields = fields.table("reload", reader.report())?;
    let signal = reader.signal_key(&mut fields, "signal").map(Reload::Signal);
    // Two commands are not the top level's one, so this one is known here.
    let command = reader.argv_key(&mut fields, "command").map(Reload::Command);
    if fields.entry("signal").is_some() == fields.entry("command").is_some() {
        reader
            .report()
            .error(&fields.at, "reload", "needs either signal or command");
    }
    fields.finish(&SERVICE_KEYS, reader.report());
    signal.or(command)
}

type Limits = BTreeMap<String, (Option<u64>, Option<u64>)>;

fn limits(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Limits {
    let mut out = Limits::new();
    let Some(mut fields) = fields.table("limits", reader.report()) else {
        return out;
    };
    for name in LIMITS {
        let Some(node) = fields.node(name) else {
            continue;
        };
        let key = fields.key(name);
        let pair = if let Some(table) = node.table() {
            let mut inner = Fields::new(table, node.at.clone(), &key);
            let soft = inner.node("soft").map(|node| limit(reader, node, &key));
            let hard = inner.node("hard").map(|node| limit(reader, node, &key));
            inner.finish(&[], reader.report());
            soft.or(hard)
                .zip(hard.or(soft))
                .map(|(soft, hard)| soft.zip(hard))
        } else {
            Some(limit(reader, node, &key).map(|value| (value, value)))
        };
        match pair {
            Some(Some((soft, hard))) if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) => {
                reader
                    .report()
                    .error(&node.at, key, "the soft limit is above the hard one");
            }
            Some(Some(pair)) => {
                out.insert(name.to_owned(), pair);
            }
            Some(None) => {}
            None => {
                reader
                    .report()
                    .error(&node.at, key, "needs soft, hard or both");
            }
        }
    }
    fields.finish(&SERVICE_KEYS, reader.report());
    out
}

/// `Some(None)` is unlimited.
#[expect(
    clippy::option_option,
    reason = "unlimited and wrong are different things"
)]
fn limit(reader: &mut Reader<'_, '_>, node: &Node, key: &str) -> Option<Option<u64>> {
    if matches!(node.text(), Some("unlimited" | "infinity")) {
        return Some(None);
    }
    let (value, _) = reader.typed(node, key, Type::Size, false)?;
    crate::duration::size_bytes(&value.text()).ok().map(Some)
}

fn log(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Log {
    const MIN_SIZE: u64 = 4096;
    let mut out = Log {
        size_bytes: 10 << 20,
        keep: 10,
        age_ms: None,
    };
    let Some(mut fields) = fields.table("log", reader.report()) else {
        return out;
    };
    let size_at = fields.node("size").map(|node| node.at.clone());
    if let Some(size) = reader.size_key(&mut fields, "size") {
        out.size_bytes = size;
    }
    if let Some(at) = size_at.filter(|_| out.size_bytes < MIN_SIZE) {
        reader
            .report()
            .error(&at, "log.size", "must be at least 4K");
    }
    if let Some(keep) = reader.int_key(&mut fields, "keep", 0..=10_000) {
        out.keep = u32::try_from(keep).unwrap_or(out.keep);
    }
    out.age_ms = reader.duration_key(&mut fields, "age");
    fields.finish(&SERVICE_KEYS, reader.report());
    out
}
