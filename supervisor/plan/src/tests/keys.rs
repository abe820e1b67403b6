//! Keys of service files for the start of a process, readiness, logging and schedules: what each
//! key becomes, and messages about wrong uses.

use insta::assert_snapshot;

use super::Machine;
use crate::{
    Ask, Forward, ForwardFormat, ForwardTo, IoClass, IoPriority, NotifyAccess, ReadyKind, Service,
    Stdin, Watchdog, WatchdogAction,
};
use api::VariableSource;

/// The service `app` with these lines below its command.
fn service(lines: &str) -> Service {
    let mut plan = Machine::new().shipped("app", &with_command(lines)).plan();
    *plan.services.remove("app").unwrap()
}

fn with_command(lines: &str) -> String {
    format!("command = ['/bin/a']\n{lines}")
}

/// Errors of the service `app` with these lines.
fn wrong(lines: &str) -> String {
    Machine::new().shipped("app", &with_command(lines)).errors()
}

fn site(content: &str) -> String {
    Machine::new()
        .shipped("app", "command = ['/bin/a']\n")
        .site(content)
        .errors()
}

#[test]
fn each_way_of_being_ready() {
    let kind = |lines: &str| service(&format!("[ready]\n{lines}")).ready.kind;
    assert_eq!(kind("fd = 3"), ReadyKind::Fd(3));
    assert_eq!(
        kind("log = 'listening on \\d+'"),
        ReadyKind::Log("listening on \\d+".into())
    );
    assert_eq!(kind("delay = '2s'"), ReadyKind::Delay(2000));
    assert_eq!(service("[ready]\ndelay = '2s'").ready.timeout_ms, None);
    assert_eq!(service("[ready]\nfd = 4").ready.timeout_ms, Some(60_000));
    let ReadyKind::Probe(probe) = kind("unix = '/run/a.sock'\ndelay = '1s'") else {
        panic!("not a probe");
    };
    assert_eq!(
        (probe.ask, probe.delay_ms),
        (Ask::Unix("/run/a.sock".into()), 1000)
    );
    let ReadyKind::Probe(probe) = kind("http = 'http://any/x'\nunix = '/run/a.sock'\nbody = 'x'")
    else {
        panic!("not a probe");
    };
    let by_socket = Ask::Http {
        url: "http://any/x".into(),
        socket: Some("/run/a.sock".into()),
        status: vec![],
        body: Some("x".into()),
    };
    assert_eq!(probe.ask, by_socket);
    let liveness = service("[liveness]\nhttp = 'http://any/x'\nunix = '/run/a.sock'\nbody = 'x'");
    assert_eq!(liveness.liveness.unwrap().ask, by_socket);
    let health = service("[health]\nunix = '/run/a.sock'").health.unwrap();
    assert_eq!(health.ask, Ask::Unix("/run/a.sock".into()));
}

#[test]
fn wrong_ways_of_being_ready() {
    assert_snapshot!(wrong("[ready]\nfd = 1"), @r#"/cat/services.d/app.toml:3: error: ready.fd: must be from 3 to 1023, not 1"#);
    assert_snapshot!(wrong("[ready]\nfd = 3\nnotify = true"), @r#"
    /cat/services.d/app.toml:2: error: ready: `notify` and `fd` exclude each other
      hint: keep one of them
    "#);
    assert_snapshot!(wrong("[ready]\nlog = 'a('"), @r#"/cat/services.d/app.toml:3: error: ready.log: `a(` is not a regular expression: found open group without closing ')'"#);
    assert_snapshot!(wrong("[ready]\nlog = ''"), @r#"/cat/services.d/app.toml:3: error: ready.log: would match every line"#);
    assert_snapshot!(wrong("[ready]\nlog = 'up'\ndelay = '1s'"), @r#"
    /cat/services.d/app.toml:4: error: ready.delay: has no meaning beside `log`
      hint: alone it means ready after that long, beside a probe the wait before the first one
    "#);
    assert_snapshot!(wrong("[ready]\ndelay = '1m'\ntimeout = '1s'"), @r#"/cat/services.d/app.toml:3: error: ready.delay: is longer than the timeout, so it would never be ready"#);
    assert_snapshot!(wrong("[ready]\nunix = 'run/a'"), @r#"/cat/services.d/app.toml:3: error: ready.unix: must be an absolute path, or `@` and a name: `run/a`"#);
    assert_snapshot!(wrong("[ready]\nhttp = 'http://a/'\nunix = 'run/a'"), @r#"/cat/services.d/app.toml:4: error: ready.unix: must be an absolute path, or `@` and a name: `run/a`"#);
    assert_snapshot!(wrong("[ready]\nunx = '/run/a'"), @r#"
    /cat/services.d/app.toml:2: error: ready: does not say what is asked: write one of notify = true, fd, log, http, tcp, unix, exec or delay
    /cat/services.d/app.toml:3: error: ready.unx: unknown key
      hint: did you mean `unix`?
    "#);
    assert_snapshot!(wrong("[liveness]\nlog = 'up'\n"), @r#"
    /cat/services.d/app.toml:2: error: liveness: does not say what is asked: write one of http, tcp, unix or exec
    /cat/services.d/app.toml:3: error: liveness.log: unknown key
      hint: `log` is a top-level key, but here it belongs to [liveness]: move it above the first [header]
    "#);
    assert_snapshot!(wrong("[health]\nunix = '/a'\ntcp = 'a:1'\n"), @r#"
    /cat/services.d/app.toml:2: error: health: `tcp` and `unix` exclude each other
      hint: keep one of them
    "#);
}

#[test]
fn watchdogs() {
    let watchdog = service("[watchdog]\ntimeout = '30s'").watchdog;
    let expected = Watchdog {
        timeout_ms: 30_000,
        action: WatchdogAction::Restart,
        signal: 6,
    };
    assert_eq!(watchdog, Some(expected));
    let mild = service("notify_access = 'main'\n[watchdog]\ntimeout = '1s'\naction = 'degrade'");
    assert_eq!(mild.watchdog.unwrap().action, WatchdogAction::Degrade);
    assert_eq!(mild.notify_access, Some(NotifyAccess::Main));
    assert_snapshot!(wrong("[watchdog]\naction = 'restart'"), @r#"
    /cat/services.d/app.toml:2: error: watchdog: needs a timeout
      hint: write timeout = "30s": the longest silence between two WATCHDOG=1
    "#);
    assert_snapshot!(wrong("[watchdog]\ntimeout = '0'"), @r#"/cat/services.d/app.toml:3: error: watchdog.timeout: must be longer than nothing"#);
    assert_snapshot!(wrong("[watchdog]\ntimeout = '1s'\naction = 'degade'"), @r#"
    /cat/services.d/app.toml:4: error: watchdog.action: must be one of restart, degrade, not `degade`
      hint: did you mean `degrade`?
    "#);
    assert_snapshot!(wrong("[watchdog]\ntimeout = '1s'\naction = 'degrade'\nsignal = 'ABRT'"), @r#"/cat/services.d/app.toml:5: error: watchdog.signal: has no meaning with action = "degrade", which ends nothing"#);
    assert_snapshot!(wrong("watchdog = '30s'"), @r#"/cat/services.d/app.toml:2: error: watchdog: must be a table, not a string"#);
    assert_snapshot!(wrong("notify_access = 'exec'"), @r#"/cat/services.d/app.toml:2: error: notify_access: must be one of all, main, not `exec`"#);
}

#[test]
fn how_a_process_is_born() {
    let of = |text: &str| {
        service(&format!("io_priority = {text}"))
            .io_priority
            .unwrap()
    };
    let priority = |class, level| IoPriority { class, level };
    assert_eq!(of("'idle'"), priority(IoClass::Idle, 4));
    assert_eq!(of("'best-effort:7'"), priority(IoClass::BestEffort, 7));
    assert_eq!(
        of("{ class = 'realtime', level = 0 }"),
        priority(IoClass::Realtime, 0)
    );
    let cpus = |text: &str| {
        service(&format!("cpu_affinity = {text}"))
            .cpu_affinity
            .unwrap()
    };
    assert_eq!(cpus("[3, '0-1', 1]"), [0, 1, 3]);
    assert_eq!(cpus("'0,2-3'"), [0, 2, 3]);
    assert_eq!(cpus("5"), [5]);
    assert_eq!(service("stdin = 'null'").stdin, Stdin::Null);
    assert_eq!(
        service("stdin = '/dev/zero'").stdin,
        Stdin::File("/dev/zero".into())
    );
    let caps =
        service("capability_bounding_set = ['CAP_CHOWN', 'kill']\nambient_capabilities = ['KILL']");
    assert_eq!(caps.capability_bounding_set.unwrap(), ["chown", "kill"]);
    assert_eq!(caps.ambient_capabilities.unwrap(), ["kill"]);
    assert_eq!(
        service("capability_bounding_set = []").capability_bounding_set,
        Some(vec![])
    );
    assert!(service("exit_when_failed = true").exit_when_failed);
}

#[test]
fn wrong_births() {
    assert_snapshot!(wrong("io_priority = 'idel'"), @r#"
    /cat/services.d/app.toml:2: error: io_priority: `idel` is not a class with a level from 0 (first) to 7 (last)
      hint: did you mean `idle`?
    "#);
    assert_snapshot!(wrong("io_priority = 'best-effort:9'"), @r#"
    /cat/services.d/app.toml:2: error: io_priority: `best-effort:9` is not a class with a level from 0 (first) to 7 (last)
      hint: write "idle", "best-effort:4" or "realtime:0"
    "#);
    assert_snapshot!(wrong("io_priority = { level = 3 }"), @r#"/cat/services.d/app.toml:2: error: io_priority: needs a class"#);
    assert_snapshot!(wrong("cpu_affinity = ['3-1']"), @r#"/cat/services.d/app.toml:2: error: cpu_affinity: `3-1` is not the number of a CPU, from 0 to 1023, nor a range such as "2-3""#);
    assert_snapshot!(wrong("cpu_affinity = [1024]"), @r#"/cat/services.d/app.toml:2: error: cpu_affinity: `1024` is not the number of a CPU, from 0 to 1023, nor a range such as "2-3""#);
    assert_snapshot!(wrong("cpu_affinity = []"), @r#"
    /cat/services.d/app.toml:2: error: cpu_affinity: must name at least one CPU
      hint: leave the key out to allow all
    "#);
    assert_snapshot!(wrong("stdin = 'inherit'"), @r#"/cat/services.d/app.toml:2: error: stdin: must be "null" or an absolute path, not `inherit`"#);
    assert_snapshot!(wrong("ambient_capabilities = ['NET_BIND_SERVCE']"), @r#"
    /cat/services.d/app.toml:2: error: ambient_capabilities: there is no capability `NET_BIND_SERVCE`
      hint: did you mean `NET_BIND_SERVICE`?
    "#);
    assert_snapshot!(wrong("capability_bounding_set = ['chown']\nambient_capabilities = ['kill']"), @r#"/cat/services.d/app.toml:3: error: ambient_capabilities: has `kill`, which `capability_bounding_set` lacks"#);
    assert_snapshot!(wrong("exit_when_failed = 'yes'"), @r#"/cat/services.d/app.toml:2: error: exit_when_failed: must be true or false, not a string; write true without quotes"#);
}

#[test]
fn logs() {
    let log = service("[log]\ncompress = false\nforward = 'journal'").log;
    assert!(!log.compress);
    let to = |to, format| Some(Forward { to, format });
    assert_eq!(log.forward, to(ForwardTo::Journal, ForwardFormat::Text));
    let files = service("log_files = ['{{ log_dir }}/app/*.log', '/a.log']").log_files;
    assert_eq!(files, ["/var/log/mattervisor/app/*.log", "/a.log"]);
    let mut machine = Machine::new();
    machine
        .shipped("a", "command = ['/bin/a']\n")
        .shipped("b", "command = ['/bin/b']\n[log]\nforward = 'none'\n")
        .shipped("c", "command = ['/bin/c']\n[log]\nformat = 'text'\n")
        .site("log.forward = 'stdout'\nlog.format = 'json'\n");
    let plan = machine.plan();
    assert_eq!(
        plan.services["a"].log.forward,
        to(ForwardTo::Stdout, ForwardFormat::Json)
    );
    assert_eq!(plan.services["b"].log.forward, None);
    assert_eq!(
        plan.services["c"].log.forward,
        to(ForwardTo::Stdout, ForwardFormat::Text)
    );
}

#[test]
fn wrong_logs() {
    assert_snapshot!(wrong("[log]\nforward = 'sylog'"), @r#"
    /cat/services.d/app.toml:3: error: log.forward: must be one of none, syslog, journal, stdout, not `sylog`
      hint: did you mean `syslog`?
    "#);
    assert_snapshot!(wrong("[log]\nforward = 'syslog'\nformat = 'json'"), @r#"/cat/services.d/app.toml:4: error: log.format: has a meaning with forward = "stdout" only"#);
    let sockets = service("stale_sockets = ['{{ run_dir }}/app/a.sock']").stale_sockets;
    assert!(sockets[0].ends_with("app/a.sock") && sockets.len() == 1);
    assert_snapshot!(wrong("stale_sockets = ['app.sock']"), @r#"/cat/services.d/app.toml:2: error: stale_sockets: must be absolute paths of sockets, not `app.sock`"#);
    assert_snapshot!(wrong("stale_sockets = ['{{ run_dir }}/ctl.sock']"), @r#"
    /cat/services.d/app.toml:2: error: stale_sockets: `app` cannot have /run/mattervisor/ctl.sock: the supervisor keeps something of its own there
      hint: choose another name
    "#);
    assert_snapshot!(wrong("log_files = ['app.log']"), @r#"/cat/services.d/app.toml:2: error: log_files: must be absolute paths or patterns, not `app.log`"#);
    assert_snapshot!(wrong("log_files = ['/a/[.log']"), @r#"/cat/services.d/app.toml:2: error: log_files: `/a/[.log` is not a pattern: invalid range pattern"#);
    assert_snapshot!(site("log.forward = 'std-out'\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: log.forward: must be one of none, syslog, journal, stdout, not `std-out`
      hint: did you mean `stdout`?
    "#);
    assert_snapshot!(site("log.format = 'json'\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: log.format: has a meaning with forward = "stdout" only"#);
    assert_snapshot!(site("log.size = '1M'\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: log.size: unknown key"#);
}

#[test]
fn files_of_variables() {
    let mut machine = Machine::new();
    machine
        .shipped(
            "app",
            "command = ['/bin/a']\nenv_files = ['/etc/default/app', '-/etc/gone']\n\
             [settings]\nport = { env = 'PORT', default = '1' }\n[env]\nA = 'computed'\nB = 'computed'\n",
        )
        .put("/etc/default/app", "# ours\nB=file\nPORT=file\nC='a b'\nD=file\n")
        .site("app.env = { D = 'site' }\n");
    let app = &machine.plan().services["app"];
    let value = |name: &str| (app.env[name].value.as_str(), app.env[name].source);
    assert_eq!(value("A"), ("computed", VariableSource::ServiceFile));
    assert_eq!(value("B"), ("file", VariableSource::EnvFiles));
    assert_eq!(value("C"), ("a b", VariableSource::EnvFiles));
    assert_eq!(value("PORT"), ("1", VariableSource::Setting));
    assert_eq!(value("D"), ("site", VariableSource::SiteFile));
    assert!(app.env["C"].secret && !format!("{app:?}").contains("a b"));
    assert_eq!(app.broken, None);
}

#[test]
fn wrong_files_of_variables() {
    let mut machine = Machine::new();
    machine.shipped("app", &with_command("env_files = ['/etc/default/app']\n"));
    let broken = machine.plan().services["app"].broken.clone();
    assert_snapshot!(broken.unwrap(), @r#"cannot read /etc/default/app of env_files: there is no such file"#);
    machine.put("/etc/default/app", "A=1\nexport B=2\nwhat\nC='x\n");
    assert_snapshot!(machine.errors(), @r#"
    /etc/default/app:2: error: env_files: what stands before `=` is no name of an environment variable
      hint: no shell reads the file: remove `export`
    /etc/default/app:3: error: env_files: is not NAME=value
      hint: begin the line with # to make it a comment
    /etc/default/app:4: error: env_files: the ' here is never closed
    "#);
    assert_snapshot!(wrong("env_files = ['app.env']"), @r#"
    /cat/services.d/app.toml:2: error: env_files: must be absolute paths, not `app.env`
      hint: a `-` before a path means that the file may be missing
    "#);
    assert_snapshot!(wrong("env_files = '/etc/default/app'"), @r#"/cat/services.d/app.toml:2: error: env_files: must be a list, not a string; write ["/etc/default/app"]"#);
}

#[test]
fn schedules() {
    let of = |lines: &str| service(&format!("type = 'oneshot'\n{lines}")).schedule;
    let cron = |lines: &str| of(lines).unwrap().cron;
    assert_eq!(cron("schedule = '0 3 * * *'"), "0 3 * * *");
    assert_eq!(cron("schedule = { at = '3:05' }"), "5 3 * * *");
    assert_eq!(
        cron("schedule = { at = '03:00', days = ['mon', 'Friday'] }"),
        "0 3 * * 1,5"
    );
    let full = of("[schedule]\ncron = '@daily'\njitter = '10m'\ncatch_up = true").unwrap();
    assert_eq!(
        (full.cron.as_str(), full.jitter_ms, full.catch_up),
        ("@daily", 600_000, true)
    );
    assert_eq!(full.overdue_after_ms, None);
    let owed = of("schedule = { at = '03:00', overdue_after = '6h' }").unwrap();
    assert_eq!(owed.overdue_after_ms, Some(6 * 3_600_000));
    assert_eq!(of("schedule = '{{ when }}'\n[settings]\nwhen = {}"), None);
}

#[test]
fn wrong_schedules() {
    let wrong = |line: &str| wrong(&format!("type = 'oneshot'\n{line}"));
    assert_snapshot!(super::keys::wrong("schedule = '@daily'"), @r#"
    /cat/services.d/app.toml:2: error: schedule: only a oneshot can have a schedule
      hint: write type = "oneshot"
    "#);
    assert_snapshot!(wrong("schedule = '0 3 * *'"), @r#"/cat/services.d/app.toml:3: error: schedule: `0 3 * *` has 4 fields, but a cron expression has five: minute hour day-of-month month day-of-week"#);
    assert_snapshot!(wrong("schedule = '0 24 * * *'"), @r#"/cat/services.d/app.toml:3: error: schedule: `0 24 * * *` is not a cron expression: `24` is no hour: it goes from 0 to 23"#);
    assert_snapshot!(wrong("schedule = '*/0 3 * * *'"), @r#"/cat/services.d/app.toml:3: error: schedule: `*/0 3 * * *` is not a cron expression: `*/0` is no minute: a step is a number from 1"#);
    assert_snapshot!(wrong("schedule = '5/10 3 * * *'"), @r#"/cat/services.d/app.toml:3: error: schedule: `5/10 3 * * *` is not a cron expression: `5/10` is no minute: a step needs a range: write 5-59/…"#);
    assert_snapshot!(wrong("schedule = '0 0 30 2 *'"), @r#"/cat/services.d/app.toml:3: error: schedule: `0 0 30 2 *` never comes true: there is no such day in any of these months"#);
    assert_snapshot!(wrong("schedule = '0 0 * * fre'"), @r#"/cat/services.d/app.toml:3: error: schedule: `0 0 * * fre` is not a cron expression: `fre` is no day of the week: it goes from 0 to 7 or sun to sat"#);
    assert_snapshot!(wrong("schedule = '@reboot'"), @r#"/cat/services.d/app.toml:3: error: schedule: `@reboot` is not a cron expression: a oneshot without schedule runs when the daemon starts: leave it out instead of @reboot"#);
    assert_snapshot!(wrong("schedule = { at = '24:00' }"), @r#"/cat/services.d/app.toml:3: error: schedule.at: must be a time of day such as "03:00", not `24:00`"#);
    assert_snapshot!(wrong("schedule = { at = '03:00', days = ['modnay'] }"), @r#"
    /cat/services.d/app.toml:3: error: schedule.days: `modnay` is no day of the week
      hint: did you mean `monday`?
    "#);
    assert_snapshot!(wrong("schedule = { days = ['mon'] }"), @r#"
    /cat/services.d/app.toml:3: error: schedule: needs either cron or at
      hint: write cron = "0 3 * * *" or at = "03:00"
    /cat/services.d/app.toml:3: error: schedule.days: has a meaning with `at` only
    "#);
    assert_snapshot!(wrong("schedule = { at = '03:00', cron = '@daily' }"), @r#"
    /cat/services.d/app.toml:3: error: schedule: needs either cron or at
      hint: write cron = "0 3 * * *" or at = "03:00"
    "#);
    assert_snapshot!(wrong("schedule = { at = '03:00', catchup = true, jitter = '2d', overdue_after = '0s' }"), @r#"
    /cat/services.d/app.toml:3: error: schedule.catchup: unknown key
      hint: did you mean `catch_up`?
    /cat/services.d/app.toml:3: error: schedule.jitter: must be at most 1d
    /cat/services.d/app.toml:3: error: schedule.overdue_after: must be longer than nothing
    "#);
}

#[test]
fn a_plan_that_no_record_can_hold_is_refused() {
    // A control character takes seven bytes in a record.
    let value = "\\u0001".repeat(70_000);
    let service = with_command(&format!("[env]\nA = \"{value}\"\nB = \"{value}\""));
    let mut machine = Machine::new();
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        machine.shipped(name, &service);
    }
    machine.plan();
    let said = machine.shipped("h", &service).errors();
    let start = "/etc/mattervisor/mattervisor.toml: error: the plan is 78";
    assert!(said.starts_with(start), "{said}");
    assert!(
        said.contains(" bytes, over the limit of 7340032\n"),
        "{said}"
    );
    assert!(said.contains("; the largest are h (98"), "{said}");
}
