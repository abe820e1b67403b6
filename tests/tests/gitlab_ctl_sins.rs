//! What gitlab-ctl and runit did wrong, one test each, with us on the right side.

use std::time::Duration;

use mattervisor_tests::{StatusExt, World, alive, eventually, kill, lines, stamps};
use nix::sys::signal::Signal;

/// gitlab-ctl acts on the first name and drops the others without a word.
#[test]
fn the_second_name_is_not_dropped() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.child(name, &["sleep"], "");
    }
    world.start_ready();
    let before = world.status();
    world.ctl(&["restart", "a", "b"]).ok();
    let after = world.status();
    assert_ne!(after.pid("a"), before.pid("a"));
    assert_ne!(after.pid("b"), before.pid("b"));
    assert_eq!(after.pid("c"), before.pid("c"));
}

/// `gitlab-ctl restart mattermots` prints nothing and succeeds.
#[test]
fn a_typo_in_a_name_does_not_succeed_silently() {
    let mut world = World::new();
    world.child("mattermost", &["sleep"], "");
    world.start_ready();
    let told = world.ctl(&["restart", "mattermots"]);
    assert_ne!(told.code, 0);
    assert!(told.stderr.contains("mattermost"), "{told:#?}");
}

/// A disabled service is not passed over in silence.
#[test]
fn a_disabled_service_is_not_passed_over() {
    let mut world = World::new();
    world.child("off", &["sleep"], "enable = false");
    world.start_ready();
    let told = world.ctl(&["start", "off"]);
    assert_ne!(told.code, 0);
    assert!(!told.stderr.is_empty());
    assert!(!world.status().service("off").enabled);
}

/// Without names gitlab-ctl goes through the alphabet; the order is the dependencies'.
#[test]
fn stop_of_all_follows_dependencies_not_the_alphabet() {
    let mut world = World::new();
    let stops = world.file("stops");
    let stop = format!("stop-file={stops}");
    world.child("aaa-database", &[&stop, "sleep"], "");
    world.child(
        "zzz-server",
        &[&stop, "sleep"],
        "requires = [\"aaa-database\"]",
    );
    world.start_ready();
    let before = world.status();
    world.ctl(&["stop"]).ok();
    let order: Vec<i32> = stamps(stops.as_ref())
        .iter()
        .map(|stamp| stamp.pid)
        .collect();
    assert_eq!(
        order,
        [before.pid("zzz-server"), before.pid("aaa-database")]
    );
}

/// Without names gitlab-ctl takes one after the other, each with its own timeout.
#[test]
fn stop_of_all_is_parallel() {
    let mut world = World::new();
    for number in 0..6 {
        world.child(
            &format!("s{number}"),
            &["stop-delay=700", "trap-term=0", "print=set", "sleep"],
            "",
        );
    }
    world.start_ready();
    for number in 0..6 {
        world.wait_log(&format!("s{number}"), |line| line == "set");
    }
    let told = world.ctl(&["stop"]).ok();
    assert!(
        told.took < Duration::from_millis(6 * 700),
        "{:?}",
        told.took
    );
}

/// The exit code of gitlab-ctl is the sum of the services' codes, modulo 256.
#[test]
fn exit_codes_are_not_summed() {
    let mut world = World::new();
    let never = "[ready]\nnotify = true\ntimeout = \"200ms\"\n[restart]\npolicy = \"never\"";
    for number in 0..5 {
        world.child(&format!("s{number}"), &["sleep"], never);
    }
    world.start_ready();
    let told = world.ctl(&["start"]);
    assert_eq!(told.code, 1, "{told:#?}");
    world.ctl(&["status"]).expect_code(3);
}

/// `restart` within the same second reports the old pid as restarted.
#[test]
fn a_restart_within_the_same_second_is_a_restart() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.start_ready();
    for _ in 0..5 {
        let pid = world.status().pid("a");
        world.ctl(&["restart", "a"]).ok();
        assert_ne!(world.status().pid("a"), pid);
        assert!(!alive(pid));
    }
}

/// `stop` of a service that ignores TERM times out, and it lives on.
#[test]
fn a_stubborn_service_is_stopped_and_that_counts_as_done() {
    let mut world = World::new();
    world.child(
        "stuck",
        &["ignore-term", "print=set", "sleep"],
        "[stop]\ntimeout = \"200ms\"",
    );
    world.start_ready();
    world.wait_log("stuck", |line| line == "set");
    let pid = world.status().pid("stuck");
    world.ctl(&["restart", "stuck"]).ok();
    assert!(!alive(pid));
    assert_ne!(world.status().pid("stuck"), pid);
}

/// A background child outlives `ok: down`.
#[test]
fn down_means_that_background_children_are_down_too() {
    let mut world = World::new();
    let left = world.file("left");
    world.child("a", &[&format!("child={left}"), "sleep"], "");
    world.start_ready();
    let child: i32 = eventually("the child is noted", || {
        lines(left.as_ref())
            .first()
            .and_then(|line| line.parse().ok())
    });
    world.ctl(&["stop", "a"]).ok();
    assert!(!alive(child));
}

/// TERM to runsvdir leaves every service running without a supervisor.
#[test]
fn term_to_the_supervisor_leaves_no_orphans() {
    let mut world = World::new();
    world.child("a", &["child", "sleep"], "");
    world.start_ready();
    assert_eq!(world.stop(), 0);
    assert_eq!(world.leftovers(), Vec::<String>::new());
}

/// HUP to runsvdir takes everything down with 111.
#[test]
fn hup_to_the_supervisor_does_not_take_the_services_down() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.start_ready();
    let pid = world.status().pid("a");
    world.signal(Signal::SIGHUP);
    // A change that comes after it has been dealt with.
    world.child("b", &["sleep"], "");
    world.signal(Signal::SIGHUP);
    world.wait_for("b runs", |status| {
        status
            .services
            .iter()
            .any(|service| service.name == "b" && service.ready)
    });
    assert_eq!(world.status().pid("a"), pid);
}

/// KILL of a runsv leads to a second copy of its service.
#[test]
fn a_killed_supervisor_process_does_not_make_a_second_copy() {
    let mut world = World::new();
    let file = world.file("stamps");
    world.child("a", &[&format!("file={file}"), "sleep"], "");
    world.start_ready();
    let pid = world.status().pid("a");
    kill(world.control_pid(), Signal::SIGKILL);
    assert_eq!(world.status().pid("a"), pid);
    assert_eq!(stamps(file.as_ref()).len(), 1);
}

/// `hup`, `term`, `kill` print nothing and succeed whatever comes of it.
#[test]
fn a_signal_that_reaches_nobody_is_a_failure() {
    let mut world = World::new();
    world.child("a", &["on-hup=heard", "print=set", "sleep"], "");
    world.start_ready();
    world.wait_log("a", |line| line == "set");
    world.ctl(&["hup", "a"]).ok();
    world.wait_log("a", |line| line == "heard");
    world.ctl(&["stop", "a"]).ok();
    let told = world.ctl(&["hup", "a"]);
    assert_ne!(told.code, 0, "{told:#?}");
    assert!(!told.stderr.is_empty());
}

/// A crash loop shows as `run: … 0s`.
#[test]
fn a_crash_loop_does_not_look_like_running() {
    let mut world = World::new();
    world.child(
        "a",
        &["exit=1"],
        "[restart]\ndelay = \"1h\"\nmax_delay = \"1h\"",
    );
    world.start_ready();
    world.wait_state("a", "backoff");
    world.ctl(&["status", "a"]).expect_code(3);
    let line = world.ctl(&["status", "a", "--format", "runit"]).stdout;
    assert!(line.starts_with("down: a:"), "{line}");
}

/// A command with words swapped gets a hint, and `--help` is no error.
#[test]
fn commands_with_words_swapped_are_usage() {
    let world = World::new();
    world.ctl(&["mattermost", "restart"]).expect_code(2);
    world.ctl(&["--help"]).ok();
}

/// Monitors that parse gitlab-ctl's lines go on working.
#[test]
fn the_runit_format_has_the_lines_that_monitors_parse() {
    let mut world = World::new();
    world.child("up", &["sleep"], "");
    world.child("down", &["sleep"], "");
    world.start_ready();
    world.ctl(&["stop", "down"]).ok();
    let pid = world.status().pid("up");
    let lines = world.ctl(&["status", "--format", "runit"]).stdout;
    let run = format!("run: up: (pid {pid}) ");
    assert!(lines.lines().any(|line| line.starts_with(&run)), "{lines}");
    assert!(
        lines
            .lines()
            .any(|line| line.starts_with("down: down: ") && line.contains("normally up")),
        "{lines}"
    );
}
