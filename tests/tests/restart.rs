//! Restarts: whether a service that ends starts again, and after which delay.

mod exec;

use std::time::Duration;

use mattervisor_tests::{Site, StatusExt, alive, eventually, kill, stamps};
use nix::sys::signal::Signal;

/// Lets time pass by the supervisor's own clock: runs a oneshot that takes that long.
fn let_pass(site: &Site, name: &str) {
    site.ctl(&["start", name]).ok();
    site.wait_for("time has passed", |status| {
        status.state(name) == "completed"
    });
}

const NO_JITTER: &str = "jitter = 0\n";

/// Behaviour 4: a service that was stopped by hand stays down.
#[test]
fn b04_manual_stop_inhibits_the_restart() {
    let mut site = Site::new();
    let file = site.file("stamps");
    site.child("a", &[&format!("file={file}"), "trap-term=1", "sleep"], "");
    site.child("while", &["delay=300"], "type = 'oneshot'");
    site.start_ready();
    site.ctl(&["stop", "a", "while"]).ok();
    let_pass(&site, "while");
    let status = site.status();
    assert_eq!(status.state("a"), "stopped");
    assert!(status.service("a").held.is_some());
    assert_eq!(stamps(file.as_ref()).len(), 1);
}

/// Behaviour 5: a stop during the stopping half of a restart cancels the restart.
#[test]
fn b05_stop_during_the_stopping_phase_of_a_restart_cancels_it() {
    let mut site = Site::new();
    let file = site.file("stamps");
    site.child(
        "a",
        &[
            &format!("file={file}"),
            "stop-delay=400",
            "trap-term=0",
            "sleep",
        ],
        "",
    );
    site.start_ready();
    site.ctl(&["restart", "a", "--no-wait"]).ok();
    site.wait_state("a", "stopping");
    site.ctl(&["stop", "a"]).ok();
    assert_eq!(site.status().state("a"), "stopped");
    assert_eq!(stamps(file.as_ref()).len(), 1);
}

/// Behaviour 6: a start during a stop takes effect after the stop, with a new process.
#[test]
fn b06_start_while_stopping_is_honoured_after_the_stop() {
    let mut site = Site::new();
    site.child("a", &["stop-delay=400", "trap-term=0", "sleep"], "");
    site.start_ready();
    let pid = site.status().pid("a");
    site.ctl(&["stop", "a", "--no-wait"]).ok();
    site.wait_state("a", "stopping");
    site.ctl(&["start", "a"]).ok();
    let status = site.status();
    assert!(status.ready("a"));
    assert_ne!(status.pid("a"), pid);
    assert!(!alive(pid), "the old one still lives");
}

/// Behaviour 9: a stop during the delay before a restart cancels the restart.
#[test]
fn b09_stop_during_the_restart_delay_never_starts() {
    let mut site = Site::new();
    let file = site.file("stamps");
    site.child(
        "a",
        &[&format!("file={file}"), "exit=1"],
        r#"
            [restart]
            delay = "500ms"
            max_delay = "500ms"
        "#,
    );
    site.child("while", &["delay=900"], "type = 'oneshot'");
    site.start_ready();
    site.ctl(&["stop", "while"]).ok();
    site.wait_state("a", "backoff");
    site.ctl(&["stop", "a"]).ok();
    let starts = stamps(file.as_ref()).len();
    assert_eq!(site.status().state("a"), "stopped");
    let_pass(&site, "while");
    assert_eq!(stamps(file.as_ref()).len(), starts, "it started again");
    assert_eq!(site.status().state("a"), "stopped");
}

/// Behaviour 10: a stop right after the start returns promptly, and the child is gone.
#[test]
fn b10_stop_right_after_the_start_returns_promptly() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    for _ in 0..10 {
        site.ctl(&["start", "a", "--no-wait"]).ok();
        let told = site.ctl(&["stop", "a"]).ok();
        assert!(told.took < Duration::from_secs(5), "{told:#?}");
        assert_eq!(site.status().state("a"), "stopped");
        let left = site
            .processes()
            .into_iter()
            .filter(|pid| mattervisor_tests::command_line(*pid).ends_with(" sleep"));
        assert_eq!(left.count(), 0);
    }
}

/// Behaviour 30: restarts by hand, however many and however slow their stops, use up no limit.
#[test]
fn b30_clean_restarts_by_hand_and_slow_stops_use_up_no_limit() {
    let mut site = Site::new();
    let go = site.file("go");
    std::fs::write(&go, "").unwrap();
    site.child(
        "a",
        &["stop-delay=50", "trap-term=0", "sleep"],
        r#"
            [restart]
            delay = "10ms"
            max_delay = "10ms"
            limit = { starts = 2, within = "1h" }
        "#,
    );
    site.start_ready();
    for _ in 0..5 {
        site.ctl(&["restart", "a"]).ok();
    }
    // The limit is unused so far: two ends are followed by a start each, the third is one too many.
    for _ in 0..2 {
        let pid = site.status().pid("a");
        kill(pid, Signal::SIGKILL);
        site.wait_reborn("a", pid);
    }
    kill(site.status().pid("a"), Signal::SIGKILL);
    let status = site.wait_state("a", "failed");
    let reason = status.service("a").reason.clone().unwrap_or_default();
    assert!(reason.contains("too often"), "{reason}");
}

/// Behaviour 29: a service past its limit has failed; a later manual start begins a new count.
#[test]
fn b29_restart_limit_ends_in_failed_and_a_manual_start_resets_it() {
    let mut site = Site::new();
    let file = site.file("stamps");
    let policy = format!(
        r#"
            [restart]
            delay = "10ms"
            max_delay = "10ms"
            limit = {{ starts = 3, within = "1m" }}
            {NO_JITTER}
        "#
    );
    site.child("a", &[&format!("file={file}"), "exit=1"], &policy);
    site.start_ready();
    site.wait_state("a", "failed");
    let first = stamps(file.as_ref()).len();
    assert!((3..=4).contains(&first), "{first} starts for a limit of 3");
    // The service is ready as soon as it is executed, so the start itself may succeed.
    site.ctl(&["start", "a"]);
    eventually("as many starts again", || {
        (stamps(file.as_ref()).len() == 2 * first).then_some(())
    });
    site.wait_state("a", "failed");
}

/// Behaviour 31: `on-failure` restarts failures alone; named codes and signals are no failures.
#[test]
fn b31_on_failure_restarts_failures_only() {
    let mut site = Site::new();
    let policy = r#"
        [restart]
        policy = "on-failure"
        delay = "10ms"
        success = [7, "USR1"]
    "#;
    for (name, verb) in [
        ("zero", "exit=0"),
        ("seven", "exit=7"),
        ("signal", "kill-self=USR1"),
    ] {
        site.child(name, &[&format!("file={}", site.file(name)), verb], policy);
    }
    site.child(
        "three",
        &[&format!("file={}", site.file("three")), "exit=3"],
        policy,
    );
    site.start_ready();
    site.wait_for("three is restarted", |status| {
        status.service("three").restarts >= 2
    });
    for name in ["zero", "seven", "signal"] {
        assert_eq!(stamps(&site.path(name)).len(), 1, "{name} was restarted");
        assert_eq!(site.status().service(name).restarts, 0);
    }
}

/// Behaviour 32: chosen exit codes of a oneshot satisfy what requires it.
#[test]
fn b32_success_codes_satisfy_dependents() {
    let mut site = Site::new();
    site.child(
        "setup",
        &["exit=4"],
        r#"
            type = "oneshot"
            [restart]
            policy = "on-failure"
            success = [4]
        "#,
    );
    site.child("top", &["sleep"], "requires = ['setup']");
    site.start_ready();
    assert_eq!(site.status().state("setup"), "completed");
    assert_eq!(site.status().state("top"), "running");
}

/// Behaviour 33: the delays grow by the factor up to `max_delay`, after one immediate restart.
#[test]
fn b33_backoff_grows_to_its_cap() {
    let mut site = Site::new();
    let file = site.file("stamps");
    let policy = format!(
        r#"
            [restart]
            delay = "100ms"
            factor = 2
            max_delay = "400ms"
            {NO_JITTER}
        "#
    );
    site.child("a", &[&format!("file={file}"), "exit=1"], &policy);
    site.start();
    site.wait_for("six restarts", |status| status.service("a").restarts >= 6);
    let starts = stamps(file.as_ref());
    let gaps: Vec<u64> = starts
        .windows(2)
        .map(|two| (two[1].at_ns - two[0].at_ns) / 1_000_000)
        .collect();
    assert!(
        gaps[0] < 100,
        "the first early death restarts at once: {gaps:?}"
    );
    for (gap, least) in gaps[1..].iter().zip([100, 200, 400, 400]) {
        assert!((least..least + 300).contains(gap), "{gaps:?}");
    }
}

/// Behaviour 34: a manual start during a long delay takes effect at once.
#[test]
fn b34_manual_start_during_a_long_delay_starts_now() {
    let mut site = Site::new();
    let (file, bad) = (site.file("stamps"), site.file("bad"));
    std::fs::write(&bad, "").unwrap();
    let policy = r#"
        [restart]
        delay = "1h"
        max_delay = "1h"
    "#;
    site.child(
        "a",
        &[
            &format!("file={file}"),
            &format!("shift-exit={bad}:1"),
            "sleep",
        ],
        policy,
    );
    site.start_ready();
    let status = site.wait_state("a", "backoff");
    let next = status.service("a").next_try_ms.unwrap_or_default();
    assert!(next > 60_000, "the next try is due in {next} ms");
    std::fs::remove_file(&bad).unwrap();
    let told = site.ctl(&["start", "a"]).ok();
    assert!(told.took < Duration::from_secs(10));
    assert!(site.status().ready("a"));
    assert_eq!(
        site.status().service("a").restarts,
        0,
        "counted since the last manual start"
    );
}

/// Behaviour 47: many SIGKILLs in a row leave exactly one child, and every one is counted.
#[test]
fn b47_sigkills_in_a_row_leave_exactly_one_child() {
    const KILLS: u32 = 40;
    let mut site = Site::new();
    site.child(
        "a",
        &["sleep"],
        r#"
            [restart]
            delay = "1ms"
            max_delay = "1ms"
        "#,
    );
    site.start_ready();
    let mut pid = site.status().pid("a");
    for _ in 0..KILLS {
        kill(pid, Signal::SIGKILL);
        pid = site.wait_reborn("a", pid).pid("a");
    }
    assert_eq!(site.status().service("a").restarts, KILLS);
    let sleepers: Vec<i32> = site
        .processes()
        .into_iter()
        .filter(|pid| mattervisor_tests::command_line(*pid).ends_with(" sleep"))
        .collect();
    assert_eq!(sleepers, [pid]);
}

/// A crash loop shows as backoff, with count, last exit and next try; `why` shows its last lines.
#[test]
fn a_crash_loop_is_explained() {
    let mut site = Site::new();
    let policy = r#"
        [restart]
        delay = "1h"
        max_delay = "1h"
    "#;
    site.child("a", &["print=cannot find the dragon", "exit=17"], policy);
    site.start_ready();
    let status = site.wait_state("a", "backoff");
    let service = status.service("a");
    assert_eq!(service.last_exit.as_ref().unwrap().code, Some(17));
    assert_eq!(service.restarts, 1);
    assert!(service.next_try_ms.is_some());
    let why = site.ctl(&["why", "a"]);
    assert!(
        why.stdout.contains("17") && why.stdout.contains("cannot find the dragon"),
        "{why:#?}"
    );
}
