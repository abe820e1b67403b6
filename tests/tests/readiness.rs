//! When a service counts as ready, which messages make it so, and the timeout of a start.

mod notify;

use std::time::Duration;

use mattervisor_tests::{Site, StatusExt, free_port};

/// Behaviour 15: a service that is not ready in time is stopped, and the reason names the timeout.
#[test]
fn b15_start_timeout_stops_the_process_and_says_so() {
    let mut site = Site::new();
    site.child(
        "a",
        &["sleep"],
        r#"
            [ready]
            notify = true
            timeout = "300ms"
            [restart]
            policy = "never"
        "#,
    );
    site.start_ready();
    let status = site.status();
    let service = status.service("a");
    assert_eq!((service.state.as_str(), service.pid), ("failed", None));
    let reason = service.reason.clone().unwrap_or_default();
    assert!(
        reason.contains("ready") || reason.contains("time"),
        "{reason}"
    );
}

/// Behaviour 17: on a readiness descriptor only a newline counts; other bytes, and its end, do not.
#[test]
fn b17_only_a_newline_on_the_readiness_fd_counts() {
    let mut site = Site::new();
    let go = site.file("go");
    let ready = r#"
        [ready]
        fd = 3
        timeout = "1m"
    "#;
    let verbs = [
        "ready-fd=3:almost",
        "print=said",
        &format!("wait-file={go}"),
        "ready-fd=3:there\\n",
        "sleep",
    ];
    site.child("a", &verbs, ready);
    site.child(
        "impatient",
        &["ready-fd=3:never", "sleep"],
        r#"
            [ready]
            fd = 3
            timeout = "300ms"
            [restart]
            policy = "never"
        "#,
    );
    site.start();
    site.wait_log("a", |line| line == "said");
    let status = site.wait_state("impatient", "failed");
    assert_eq!(status.state("a"), "starting", "{status:#?}");
    std::fs::write(go, "").unwrap();
    let status = site.wait_state("a", "running");
    assert!(status.ready("a"));
}

/// Behaviour 21: a line that is written in pieces counts once it is whole, and one of an earlier
/// run does not count.
#[test]
fn b21_ready_line_split_by_buffering_counts_once_it_is_whole() {
    let mut site = Site::new();
    let go = site.file("go");
    let verbs = [
        "print=begins",
        "print-part=now listen",
        "err=",
        "print-part=now listen",
        &format!("wait-file={go}"),
        "print-part=ing on 808",
        "print=5",
        "sleep",
    ];
    let ready = r#"
        [ready]
        log = 'listening on \d+$'
        timeout = "1m"
    "#;
    site.child("a", &verbs, ready);
    site.start();
    site.wait_log("a", |line| line.contains("now listen"));
    assert_eq!(site.status().state("a"), "starting");
    std::fs::write(&go, "").unwrap();
    assert!(site.wait_state("a", "running").ready("a"));
    // The log has the ready line of the first run, which does not count for the second.
    std::fs::remove_file(&go).unwrap();
    site.ctl(&["restart", "a", "--no-wait"]).ok();
    site.wait_state("a", "starting");
    site.ctl(&["wait", "a", "--timeout", "300ms"])
        .expect_code(7);
    std::fs::write(&go, "").unwrap();
    site.wait_state("a", "running");
}

/// Behaviour 21: a pattern that changes during a start finds a line that the run has logged
/// already, and a line that comes while no control process runs is found as well.
#[test]
fn b21_a_changed_pattern_matches_what_the_run_has_logged_already() {
    let mut site = Site::new();
    let go = site.file("go");
    let verbs = [
        "print=up at last",
        &format!("wait-file={go}"),
        "print=really up",
        "sleep",
    ];
    let ready = |pattern: &str| {
        format!(
            r#"
                [ready]
                log = "{pattern}"
                timeout = "1m"
            "#
        )
    };
    site.child("a", &verbs, &ready("^really"));
    site.child("b", &["delay=100", "print=b is up", "sleep"], &ready("up$"));
    site.start();
    site.wait_log("a", |line| line == "up at last");
    assert_eq!(site.wait_state("b", "running").state("a"), "starting");
    let pid = site.status().pid("a");
    // No control process watches while the line is written.
    mattervisor_tests::kill(site.control_pid(), nix::sys::signal::Signal::SIGKILL);
    std::fs::write(&go, "").unwrap();
    let status = site.wait_state("a", "running");
    assert_eq!(status.pid("a"), pid);
    std::fs::remove_file(&go).unwrap();
    site.ctl(&["restart", "a", "--no-wait"]).ok();
    site.wait_for("a starts anew", |status| {
        status.state("a") == "starting" && status.service("a").pid != Some(pid)
    });
    let pid = site.status().pid("a");
    site.child("a", &verbs, &ready("at last$"));
    site.ctl(&["reconfigure"]).ok();
    let status = site.wait_state("a", "running");
    assert_eq!(status.pid("a"), pid);
}

/// A delay makes a service ready, and so does a unix socket that answers.
#[test]
fn delay_and_unix_sockets_make_ready() {
    let mut site = Site::new();
    let (go, socket) = (site.file("go"), site.file("s"));
    site.child("slow", &["sleep"], "[ready]\ndelay = '700ms'");
    site.child(
        "socket",
        &[&format!("wait-file={go}"), &format!("unix={socket}")],
        &format!(
            r#"
                [ready]
                unix = "{socket}"
                interval = "50ms"
                timeout = "1m"
            "#
        ),
    );
    site.child("after", &["sleep"], "requires = ['slow']");
    site.start();
    let started = std::time::Instant::now();
    let status = site.wait_state("after", "running");
    assert!(status.ready("slow"));
    assert!(started.elapsed() < Duration::from_secs(15));
    assert_eq!(status.state("socket"), "starting");
    std::fs::write(go, "").unwrap();
    assert!(site.wait_state("socket", "running").ready("socket"));
}

/// READY=1 of an earlier run does not make a later one ready.
#[test]
fn readiness_is_each_runs_own() {
    let mut site = Site::new();
    let quiet = site.file("quiet");
    let verbs = [&format!("shift-exit={quiet}:0"), "notify=READY=1", "sleep"];
    site.child(
        "a",
        &verbs,
        r#"
            [ready]
            notify = true
            timeout = "1m"
            [restart]
            delay = "1h"
            max_delay = "1h"
        "#,
    );
    site.start_ready();
    std::fs::write(&quiet, "").unwrap();
    let told = site.ctl(&["restart", "a"]);
    assert_ne!(told.code, 0, "{told:#?}");
    assert!(!site.status().ready("a"));
}

/// A successful probe by http, tcp or a command makes a service ready.
#[test]
fn http_tcp_and_exec_make_ready() {
    let mut site = Site::new();
    let (web, plain) = (free_port(), free_port());
    let (answer, flag) = (site.file("answer"), site.file("flag"));
    let fast = "interval = '50ms'\ntimeout = '1m'";
    site.child(
        "http",
        &[&format!("http={web}:@{answer}:all is well")],
        &format!(
            r#"
                [ready]
                http = "http://127.0.0.1:{web}/up"
                status = [200]
                body = "well"
                {fast}
            "#
        ),
    );
    site.child(
        "tcp",
        &["delay=200", &format!("listen={plain}")],
        &format!(
            r#"
                [ready]
                tcp = "127.0.0.1:{plain}"
                {fast}
            "#
        ),
    );
    site.child(
        "exec",
        &["sleep"],
        &format!(
            r#"
                [ready]
                exec = ["/usr/bin/test", "-e", "{flag}"]
                {fast}
            "#
        ),
    );
    site.start();
    site.wait_for("tcp is ready", |status| status.ready("tcp"));
    let status = site.status();
    assert!(
        !status.ready("http") && !status.ready("exec"),
        "{status:#?}"
    );
    std::fs::write(answer, "200").unwrap();
    site.wait_for("http is ready", |status| status.ready("http"));
    assert!(!site.status().ready("exec"));
    std::fs::write(flag, "").unwrap();
    site.wait_for("exec is ready", |status| status.ready("exec"));
}

/// While a service starts, its reason names the readiness probe that cannot be executed.
#[test]
fn a_probe_that_cannot_be_executed_is_named() {
    let mut site = Site::new();
    site.child(
        "a",
        &["sleep"],
        r#"
            [ready]
            exec = ["/no/such/probe"]
            interval = "50ms"
            timeout = "1m"
        "#,
    );
    site.start();
    site.wait_for("the probe's failure is told", |status| {
        let reason = status.service("a").reason.as_deref().unwrap_or_default();
        reason.starts_with("not ready yet: cannot execute /no/such/probe: No such file")
    });
}

/// `ctl wait` waits for a ready service, and gives up after its timeout.
#[test]
fn ctl_wait_waits_and_gives_up() {
    let mut site = Site::new();
    let go = site.file("go");
    let ready = r#"
        [ready]
        notify = true
        timeout = "1m"
    "#;
    site.child(
        "a",
        &[&format!("wait-file={go}"), "notify=READY=1", "sleep"],
        ready,
    );
    site.start();
    site.wait_state("a", "starting");
    let gave_up = site
        .ctl(&["wait", "a", "--timeout", "200ms"])
        .expect_code(7);
    assert!(gave_up.took >= Duration::from_millis(200));
    std::fs::write(go, "").unwrap();
    site.ctl(&["wait", "a", "--timeout", "20s"]).ok();
    assert!(site.status().ready("a"));
}
