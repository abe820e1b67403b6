//! Faults of gitlab-ctl and runit, one test each. Most comments state the fault; the test holds
//! that we do not have it.

use std::time::Duration;

use mattervisor_tests::{Site, StatusExt, alive, eventually, kill, lines, stamps};
use nix::sys::signal::Signal;

/// gitlab-ctl acts on the first name and drops the others without a word.
#[test]
fn the_second_name_is_not_dropped() {
    let mut site = Site::new();
    for name in ["a", "b", "c"] {
        site.child(name, &["sleep"], "");
    }
    site.start_ready();
    let before = site.status();
    site.ctl(&["restart", "a", "b"]).ok();
    let after = site.status();
    assert_ne!(after.pid("a"), before.pid("a"));
    assert_ne!(after.pid("b"), before.pid("b"));
    assert_eq!(after.pid("c"), before.pid("c"));
}

/// `gitlab-ctl restart mattermots` prints nothing and succeeds.
#[test]
fn a_typo_in_a_name_does_not_succeed_silently() {
    let mut site = Site::new();
    site.child("mattermost", &["sleep"], "");
    site.start_ready();
    let told = site.ctl(&["restart", "mattermots"]);
    assert_ne!(told.code, 0);
    assert!(told.stderr.contains("mattermost"), "{told:#?}");
}

/// A disabled service is not passed over in silence.
#[test]
fn a_disabled_service_is_not_passed_over() {
    let mut site = Site::new();
    site.child("off", &["sleep"], "enable = false");
    site.start_ready();
    let told = site.ctl(&["start", "off"]);
    assert_ne!(told.code, 0);
    assert!(!told.stderr.is_empty());
    assert!(!site.status().service("off").enabled);
}

/// Without names gitlab-ctl goes through the alphabet; here the dependencies give the order.
#[test]
fn stop_of_all_follows_dependencies_not_the_alphabet() {
    let mut site = Site::new();
    let stops = site.file("stops");
    let stop = format!("stop-file={stops}");
    site.child("aaa-database", &[&stop, "sleep"], "");
    site.child(
        "zzz-server",
        &[&stop, "sleep"],
        "requires = ['aaa-database']",
    );
    site.start_ready();
    let before = site.status();
    site.ctl(&["stop"]).ok();
    let order: Vec<i32> = stamps(stops.as_ref())
        .iter()
        .map(|stamp| stamp.pid)
        .collect();
    assert_eq!(
        order,
        [before.pid("zzz-server"), before.pid("aaa-database")]
    );
}

/// Without names gitlab-ctl stops one service after the other, each with its own timeout.
#[test]
fn stop_of_all_is_parallel() {
    let mut site = Site::new();
    for number in 0..6 {
        site.child(
            &format!("s{number}"),
            &["stop-delay=700", "trap-term=0", "print=set", "sleep"],
            "",
        );
    }
    site.start_ready();
    for number in 0..6 {
        site.wait_log(&format!("s{number}"), |line| line == "set");
    }
    let told = site.ctl(&["stop"]).ok();
    assert!(
        told.took < Duration::from_millis(6 * 700),
        "{:?}",
        told.took
    );
}

/// The exit code of gitlab-ctl is the sum of the services' codes, modulo 256.
#[test]
fn exit_codes_are_not_summed() {
    let mut site = Site::new();
    let never = r#"
        [ready]
        notify = true
        timeout = "200ms"
        [restart]
        policy = "never"
    "#;
    for number in 0..5 {
        site.child(&format!("s{number}"), &["sleep"], never);
    }
    site.start_ready();
    let told = site.ctl(&["start"]);
    assert_eq!(told.code, 1, "{told:#?}");
    site.ctl(&["status"]).expect_code(3);
}

/// `restart` within the same second reports the old pid as restarted.
#[test]
fn a_restart_within_the_same_second_is_a_restart() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    for _ in 0..5 {
        let pid = site.status().pid("a");
        site.ctl(&["restart", "a"]).ok();
        assert_ne!(site.status().pid("a"), pid);
        assert!(!alive(pid));
    }
}

/// `stop` of a service that ignores TERM times out, and the service lives on.
#[test]
fn a_stubborn_service_is_stopped_and_that_counts_as_done() {
    let mut site = Site::new();
    site.child(
        "stuck",
        &["ignore-term", "print=set", "sleep"],
        "[stop]\ntimeout = '200ms'",
    );
    site.start_ready();
    site.wait_log("stuck", |line| line == "set");
    let pid = site.status().pid("stuck");
    site.ctl(&["restart", "stuck"]).ok();
    assert!(!alive(pid));
    assert_ne!(site.status().pid("stuck"), pid);
}

/// A background child outlives `ok: down`.
#[test]
fn down_means_that_background_children_are_down_too() {
    let mut site = Site::new();
    let left = site.file("left");
    site.child("a", &[&format!("child={left}"), "sleep"], "");
    site.start_ready();
    let child: i32 = eventually("the child is noted", || {
        lines(left.as_ref())
            .first()
            .and_then(|line| line.parse().ok())
    });
    site.ctl(&["stop", "a"]).ok();
    assert!(!alive(child));
}

/// TERM to runsvdir leaves every service running without a supervisor.
#[test]
fn term_to_the_supervisor_leaves_no_orphans() {
    let mut site = Site::new();
    site.child("a", &["child", "sleep"], "");
    site.start_ready();
    assert_eq!(site.stop(), 0);
    assert_eq!(site.leftovers(), Vec::<String>::new());
}

/// HUP to runsvdir takes everything down with 111.
#[test]
fn hup_to_the_supervisor_does_not_take_the_services_down() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let pid = site.status().pid("a");
    site.signal(Signal::SIGHUP);
    // Once this second SIGHUP has taken effect, the first one has been handled.
    site.child("b", &["sleep"], "");
    site.signal(Signal::SIGHUP);
    site.wait_for("b runs", |status| {
        status
            .services
            .iter()
            .any(|service| service.name == "b" && service.ready)
    });
    assert_eq!(site.status().pid("a"), pid);
}

/// KILL of a runsv leads to a second copy of its service.
#[test]
fn a_killed_supervisor_process_does_not_make_a_second_copy() {
    let mut site = Site::new();
    let file = site.file("stamps");
    site.child("a", &[&format!("file={file}"), "sleep"], "");
    site.start_ready();
    let pid = site.status().pid("a");
    kill(site.control_pid(), Signal::SIGKILL);
    assert_eq!(site.status().pid("a"), pid);
    assert_eq!(stamps(file.as_ref()).len(), 1);
}

/// `hup`, `term`, `kill` print nothing and succeed whatever comes of it.
#[test]
fn a_signal_that_reaches_nobody_is_a_failure() {
    let mut site = Site::new();
    site.child("a", &["on-hup=heard", "print=set", "sleep"], "");
    site.start_ready();
    site.wait_log("a", |line| line == "set");
    site.ctl(&["hup", "a"]).ok();
    site.wait_log("a", |line| line == "heard");
    site.ctl(&["stop", "a"]).ok();
    let told = site.ctl(&["hup", "a"]);
    assert_ne!(told.code, 0, "{told:#?}");
    assert!(!told.stderr.is_empty());
}

/// A crash loop shows as `run: … 0s`.
#[test]
fn a_crash_loop_does_not_look_like_running() {
    let mut site = Site::new();
    site.child(
        "a",
        &["exit=1"],
        r#"
            [restart]
            delay = "1h"
            max_delay = "1h"
        "#,
    );
    site.start_ready();
    site.wait_state("a", "backoff");
    site.ctl(&["status", "a"]).expect_code(3);
    let line = site.ctl(&["status", "a", "--format", "runit"]).stdout;
    assert!(line.starts_with("down: a:"), "{line}");
}

/// A command with its words swapped is a usage error, and `--help` is no error.
#[test]
fn commands_with_words_swapped_are_usage() {
    let site = Site::new();
    site.ctl(&["mattermost", "restart"]).expect_code(2);
    site.ctl(&["--help"]).ok();
}

/// Monitors that parse gitlab-ctl's lines go on working.
#[test]
fn the_runit_format_has_the_lines_that_monitors_parse() {
    let mut site = Site::new();
    site.child("up", &["sleep"], "");
    site.child("down", &["sleep"], "");
    site.start_ready();
    site.ctl(&["stop", "down"]).ok();
    let pid = site.status().pid("up");
    let lines = site.ctl(&["status", "--format", "runit"]).stdout;
    let run = format!("run: up: (pid {pid}) ");
    assert!(lines.lines().any(|line| line.starts_with(&run)), "{lines}");
    assert!(
        lines
            .lines()
            .any(|line| line.starts_with("down: down: ") && line.contains("normally up")),
        "{lines}"
    );
}
