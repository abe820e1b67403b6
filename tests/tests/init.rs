//! Messages to the machine's init, by `sd_notify`.

use std::time::Duration;

use mattervisor_tests::{Site, eventually, kill, within};
use nix::sys::signal::Signal;

/// All lines that init was sent, until one of them is `wanted`.
fn told(site: &Site, what: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    eventually(what, || {
        let messages = site.init_messages();
        lines.extend(
            messages
                .iter()
                .flat_map(|message| message.lines().map(str::to_owned)),
        );
        lines.iter().any(|line| wanted(line)).then_some(())
    });
    lines
}

/// READY=1 comes after the last service has settled; until then the supervisor asks init for more
/// time.
#[test]
fn ready_comes_when_all_have_settled_and_time_is_asked_for_until_then() {
    let mut site = Site::new();
    let gate = site.file("gate");
    let verbs = [&format!("wait-file={gate}"), "notify=READY=1", "sleep"];
    site.child(
        "slow",
        &verbs,
        r#"
            [ready]
            notify = true
            timeout = "1m"
        "#,
    );
    site.child("failing", &["exit=1"], "");
    site.start();
    let before = told(&site, "more time is asked for", |line| {
        line.starts_with("EXTEND_TIMEOUT_USEC=")
    });
    assert!(!before.iter().any(|line| line == "READY=1"), "{before:?}");
    let status = told(&site, "who is not ready", |line| {
        line.starts_with("STATUS=") && line.contains("slow")
    });
    assert!(!status.iter().any(|line| line == "READY=1"), "{status:?}");
    std::fs::write(&gate, "").unwrap();
    told(&site, "ready", |line| line == "READY=1");
}

/// Init learns neither of a job that runs nor of a job that failed: READY=1 does not wait for jobs,
/// and a failed job is no service that is down.
#[test]
fn the_init_is_not_told_of_jobs() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.child("work", &["exit=1"], "type = 'oneshot'\njob = true\n");
    site.start_ready();
    let request = serde_json::json!({ "id": "one", "wait": true });
    assert_eq!(site.ask("POST", "/v1/jobs/work", &request).status, 200);
    site.wait_state("work", "failed");
    site.signal(Signal::SIGHUP);
    let mut lines = told(&site, "a reload", |line| line == "RELOADING=1");
    let reload = lines.iter().position(|line| line == "RELOADING=1");
    if !lines
        .iter()
        .skip(reload.unwrap())
        .any(|line| line == "READY=1")
    {
        lines.extend(told(&site, "its end", |line| line == "READY=1"));
    }
    let named = lines.iter().find(|line| line.contains("work"));
    assert_eq!(named, None, "{lines:?}");
}

/// A reload is RELOADING=1, then READY=1; the end is STOPPING=1.
#[test]
fn reloading_and_stopping_are_told() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    site.signal(Signal::SIGHUP);
    let lines = told(&site, "a reload", |line| line == "RELOADING=1");
    if !lines.iter().any(|line| line == "READY=1") {
        told(&site, "the end of the reload", |line| line == "READY=1");
    }
    assert_eq!(site.stop(), 0);
    told(&site, "the end", |line| line == "STOPPING=1");
}

/// The keeper feeds init's watchdog as long as the control process gives signs of life. A control
/// process that gives none is killed and replaced, and no service notices.
#[test]
fn a_control_process_that_hangs_is_replaced() {
    let mut site = Site::new();
    site.env("WATCHDOG_USEC", "400000");
    site.child("a", &["sleep"], "");
    site.start_ready();
    told(&site, "a sign of life", |line| line == "WATCHDOG=1");
    let (service, control) = (site.status().services[0].pid, site.control_pid());
    kill(control, Signal::SIGSTOP);
    let replaced = within(Duration::from_secs(30), || {
        let now = site.ctl(&["status", "--format", "json"]);
        let answered = now.code == 0 && !now.stdout.contains(&format!("\"pid\":{control},"));
        answered.then_some(())
    });
    assert!(replaced.is_some(), "{}", site.supervisor_log());
    assert_ne!(site.control_pid(), control);
    assert_eq!(site.status().services[0].pid, service);
}
