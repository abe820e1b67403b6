//! The output of `ctl why`, word for word, except for what differs from run to run.

use mattervisor_tests::{Site, StatusExt};

/// The answer with every time, duration and path of this run replaced.
#[track_caller]
fn why(site: &Site, name: &str) -> String {
    let told = site.ctl(&["why", name]).ok().stdout;
    let told = told.replace(&site.file(""), "ROOT/");
    let lines = told.lines().map(|line| {
        let words = line.split(' ').map(plain);
        words.collect::<Vec<_>>().join(" ")
    });
    // A duration of two units counts as one.
    let text = lines.collect::<Vec<_>>().join("\n");
    text.replace("SPAN SPAN", "SPAN")
}

/// `3s`, `1.2s,`, `2m` as SPAN, a stamp as TIME, the rest as it is.
fn plain(word: &str) -> String {
    let core = word.trim_matches(['(', ')', ',', ';', ':']);
    let number = core.trim_end_matches(['m', 's', 'h', 'd']);
    let is_span = number != core && number.parse::<f64>().is_ok()
        || core.ends_with('s') && number.split('m').all(|it| it.parse::<u64>().is_ok());
    let is_time = core.len() > 20 && core.ends_with('Z') && core.as_bytes()[10] == b'T';
    match (is_span, is_time) {
        (true, _) => word.replacen(core, "SPAN", 1),
        (_, true) => word.replacen(core, "TIME", 1),
        _ => word.to_owned(),
    }
}

/// The part before the list of events, which differs with the speed of the machine.
fn head(told: &str) -> &str {
    told.split("\n\n").next().unwrap_or(told)
}

/// The advice at the end of the answer.
fn advice(told: &str) -> &str {
    told.split_once("what to do:\n").map_or("", |(_, it)| it)
}

#[test]
fn a_requirement_that_is_held_two_levels_down_is_the_cause() {
    let mut site = Site::new();
    site.child("disk", &["sleep"], "");
    site.child("database", &["sleep"], "requires = ['disk']");
    site.child("app", &["sleep"], "requires = ['database']");
    site.start_ready();
    site.ctl(&["stop", "disk"]).ok();
    let by = site.status().service("disk").held.clone().unwrap().by;
    let told = why(&site, "app");
    assert_eq!(
        head(&told),
        format!(
            "app has been waiting for database for SPAN
   because database has been waiting for disk for SPAN
      because disk was stopped by {by} SPAN ago, at TIME"
        )
    );
    assert_eq!(
        advice(&told),
        "  ctl start disk            lifts the stop; what waits for it comes up by itself"
    );
    // The advised command helps.
    site.ctl(&["start", "disk"]).ok();
    site.wait_for("app is ready", |status| status.ready("app"));
}

#[test]
fn a_dependency_in_a_crash_loop_is_the_cause_with_its_last_words() {
    let mut site = Site::new();
    let policy = r#"
        [ready]
        notify = true
        [restart]
        delay = "1h"
        max_delay = "1h"
    "#;
    site.child("database", &["print=no space left", "exit=127"], policy);
    site.child(
        "app",
        &["print=unheard", "sleep"],
        "requires = ['database']",
    );
    site.start_ready();
    site.wait_state("database", "backoff");
    let told = why(&site, "app");
    assert_eq!(
        head(&told),
        "app has been waiting for database for SPAN
   because database has been in backoff for SPAN: exit code 127; 2 failures in a row; next try in SPAN; restarted automatically once
      (exit code 127: as shells put it: a command was not found)"
    );
    assert!(told.contains("TIME no space left"), "{told}");
    assert!(!told.contains("unheard"), "{told}");
    assert_eq!(
        advice(&told),
        "  ctl logs database         shows more of what it said
  ctl restart database      tries again at once"
    );
}

#[test]
fn a_disabled_dependency_is_told_and_no_cause() {
    let mut site = Site::new();
    site.child("redis", &["sleep"], "enable = false");
    site.child("app", &["sleep"], "requires = ['redis']");
    site.start_ready();
    assert_eq!(
        why(&site, "app"),
        "app has been running for SPAN and is ready
   (it needs redis, which is disabled on this host and so not waited for)"
    );
    let told = why(&site, "redis");
    assert_eq!(
        head(&told).split(':').next(),
        Some("redis is disabled on this host")
    );
    assert!(advice(&told).contains("ctl reconfigure"), "{told}");
}

#[test]
fn an_unhealthy_service_is_told_with_its_probes_words_and_what_it_needs() {
    let mut site = Site::new();
    let probe = r#"
        [health]
        exec = ["sh", "-c", "echo the queue is full; exit 1"]
        interval = "50ms"
        failures = 1
    "#;
    site.child("queue", &["sleep"], probe);
    site.child("app", &["sleep"], &format!("requires = ['queue']\n{probe}"));
    site.start_ready();
    site.wait_for("both are unhealthy", |status| {
        ["queue", "app"].map(|name| status.service(name).healthy) == [Some(false); 2]
    });
    let told = why(&site, "app");
    assert_eq!(
        head(&told),
        "app has been running for SPAN, but is not healthy: exit code 1: the queue is full
   because queue has been running for SPAN, but is not healthy: exit code 1: the queue is full"
    );
    assert_eq!(
        advice(&told),
        "  ctl logs queue            shows more of what it said
  ctl restart queue         if it does not recover by itself"
    );
}

#[test]
fn a_start_that_took_too_long_names_the_probe_and_the_timeout() {
    let mut site = Site::new();
    let ready = r#"
        [ready]
        exec = ["sh", "-c", "echo still migrating; exit 1"]
        interval = "50ms"
        timeout = "700ms"
        [restart]
        policy = "never"
    "#;
    site.child("app", &["sleep"], ready);
    site.start_ready();
    site.wait_state("app", "failed");
    let told = why(&site, "app");
    assert_eq!(
        head(&told),
        "app failed SPAN ago: not ready in time; its probe said last: exit code 1: still migrating"
    );
    assert_eq!(
        advice(&told),
        "  ctl logs app              shows more of what it said
  if it only needs longer: raise `timeout` in the [ready] of its service file
  ctl start app             tries again"
    );
}

#[test]
fn a_validator_that_refuses_is_quoted() {
    let mut site = Site::new();
    let more = r#"
        validate = ["sh", "-c", "echo line 3: no such word; exit 2"]
        [restart]
        policy = "never"
    "#;
    site.child("proxy", &["sleep"], more);
    site.start_ready();
    let told = why(&site, "proxy");
    assert!(head(&told).contains("line 3: no such word"), "{told}");
    assert!(told.contains("what to do:"), "{told}");
}

#[test]
fn all_well_is_one_line() {
    let mut site = Site::new();
    site.child("app", &["print=busy", "sleep"], "");
    site.start_ready();
    assert_eq!(
        why(&site, "app"),
        "app has been running for SPAN and is ready"
    );
}

/// A command that goes into the background is swept with the process that it left there.
#[test]
fn a_command_that_puts_itself_into_the_background_is_told_to_stay() {
    let mut site = Site::new();
    site.child(
        "daemon",
        &["double-fork", "exit=0"],
        "[restart]\ndelay = '1m'\n",
    );
    site.start();
    site.wait_for("it pauses", |status| {
        let daemon = status.service("daemon");
        daemon.state == api::ServiceState::Backoff && daemon.restarts > 0
    });
    let told = why(&site, "daemon");
    assert!(
        advice(&told).contains("keep it in the foreground"),
        "{told}"
    );
}
