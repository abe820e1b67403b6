//! What follows an end: at once, later, or never.

use std::time::Duration;

use mattervisor_tests::{StatusExt, World, alive, eventually, kill, stamps};
use nix::sys::signal::Signal;

/// Lets a while pass on the supervisor's own clock: a oneshot that takes that long.
fn let_pass(world: &World, name: &str) {
    world.ctl(&["start", name]).ok();
    world.wait_for("time has passed", |status| {
        status.state(name) == "completed"
    });
}

const NO_JITTER: &str = "jitter = 0\n";

/// Behaviour 4: what was stopped stays down.
#[test]
fn b04_manual_stop_inhibits_the_restart() {
    let mut world = World::new();
    let file = world.file("stamps");
    world.child("a", &[&format!("file={file}"), "trap-term=1", "sleep"], "");
    world.child("while", &["delay=300"], "type = \"oneshot\"");
    world.start_ready();
    world.ctl(&["stop", "a", "while"]).ok();
    let_pass(&world, "while");
    let status = world.status();
    assert_eq!(status.state("a"), "stopped");
    assert!(status.service("a").held.is_some());
    assert_eq!(stamps(file.as_ref()).len(), 1);
}

/// Behaviour 5: a stop during the stopping half of a restart cancels the restart.
#[test]
fn b05_stop_during_the_stopping_phase_of_a_restart_cancels_it() {
    let mut world = World::new();
    let file = world.file("stamps");
    world.child(
        "a",
        &[
            &format!("file={file}"),
            "stop-delay=400",
            "trap-term=0",
            "sleep",
        ],
        "",
    );
    world.start_ready();
    world.ctl(&["restart", "a", "--no-wait"]).ok();
    world.wait_state("a", "stopping");
    world.ctl(&["stop", "a"]).ok();
    assert_eq!(world.status().state("a"), "stopped");
    assert_eq!(stamps(file.as_ref()).len(), 1);
}

/// Behaviour 6: a start while it stops is honoured once it has stopped, with a new process.
#[test]
fn b06_start_while_stopping_is_honoured_after_the_stop() {
    let mut world = World::new();
    world.child("a", &["stop-delay=400", "trap-term=0", "sleep"], "");
    world.start_ready();
    let pid = world.status().pid("a");
    world.ctl(&["stop", "a", "--no-wait"]).ok();
    world.wait_state("a", "stopping");
    world.ctl(&["start", "a"]).ok();
    let status = world.status();
    assert!(status.ready("a"));
    assert_ne!(status.pid("a"), pid);
    assert!(!alive(pid), "the old one still lives");
}

/// Behaviour 9: a stop during the pause before a restart ends it there.
#[test]
fn b09_stop_during_the_restart_delay_never_starts() {
    let mut world = World::new();
    let file = world.file("stamps");
    world.child(
        "a",
        &[&format!("file={file}"), "exit=1"],
        "[restart]\ndelay = \"500ms\"\nmax_delay = \"500ms\"",
    );
    world.child("while", &["delay=900"], "type = \"oneshot\"");
    world.start_ready();
    world.ctl(&["stop", "while"]).ok();
    world.wait_state("a", "backoff");
    world.ctl(&["stop", "a"]).ok();
    let starts = stamps(file.as_ref()).len();
    assert_eq!(world.status().state("a"), "stopped");
    let_pass(&world, "while");
    assert_eq!(stamps(file.as_ref()).len(), starts, "it started again");
    assert_eq!(world.status().state("a"), "stopped");
}

/// Behaviour 10: a stop right after the start returns promptly, and the child is gone.
#[test]
fn b10_stop_right_after_the_start_returns_promptly() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.start_ready();
    for _ in 0..10 {
        world.ctl(&["start", "a", "--no-wait"]).ok();
        let told = world.ctl(&["stop", "a"]).ok();
        assert!(told.took < Duration::from_secs(5), "{told:#?}");
        assert_eq!(world.status().state("a"), "stopped");
        let left = world
            .processes()
            .into_iter()
            .filter(|pid| mattervisor_tests::command_line(*pid).ends_with(" sleep"));
        assert_eq!(left.count(), 0);
    }
}

/// Behaviour 12: what cannot be executed has failed, with stage and reason, and is not retried.
#[test]
fn b12_exec_failure_names_the_stage_and_the_reason() {
    let mut world = World::new();
    let plain = world.file("plain");
    std::fs::write(&plain, "no program").unwrap();
    world.service("gone", "command = [\"/nonexistent/program\"]\n");
    world.service("plain", &format!("command = [\"{plain}\"]\n"));
    world.service(
        "nodir",
        "command = [\"/bin/true\"]\nworking_dir = \"/nonexistent/dir\"\n",
    );
    world.child("fine", &["sleep"], "");
    world.start_ready();
    let status = world.status();
    let reason = |name: &str| {
        let service = status.service(name);
        assert_eq!(service.state, "failed", "{service:#?}");
        assert_eq!(service.restarts, 0);
        service.reason.clone().unwrap_or_default().to_lowercase()
    };
    assert!(
        reason("gone").contains("no such file"),
        "{}",
        reason("gone")
    );
    assert!(
        reason("plain").contains("permission denied"),
        "{}",
        reason("plain")
    );
    assert!(
        reason("nodir").contains("chdir") || reason("nodir").contains("director"),
        "{}",
        reason("nodir")
    );
    assert!(status.ready("fine"));
}

/// Behaviour 13: a child that ends before anybody looks is counted once.
#[test]
fn b13_an_end_before_exec_is_noticed_is_handled_once() {
    let mut world = World::new();
    let file = world.file("stamps");
    for number in 0..20 {
        world.child(
            &format!("s{number}"),
            &[&format!("file={file}"), "exit=0"],
            "type = \"oneshot\"",
        );
    }
    world.start_ready();
    let status = world.status();
    for service in &status.services {
        assert_eq!(
            (service.state.as_str(), service.restarts),
            ("completed", 0),
            "{service:#?}"
        );
    }
    assert_eq!(stamps(file.as_ref()).len(), 20);
}

/// Behaviour 30: restarts by hand, however many and however slow their stops, use up no limit.
#[test]
fn b30_clean_restarts_by_hand_and_slow_stops_use_up_no_limit() {
    let mut world = World::new();
    let go = world.file("go");
    std::fs::write(&go, "").unwrap();
    world.child(
        "a",
        &["stop-delay=50", "trap-term=0", "sleep"],
        "[restart]\ndelay = \"10ms\"\nmax_delay = \"10ms\"\nlimit = { starts = 2, within = \"1h\" }",
    );
    world.start_ready();
    for _ in 0..5 {
        world.ctl(&["restart", "a"]).ok();
    }
    // The limit is whole: two ends are followed by a start each, the third is one too many.
    for _ in 0..2 {
        let pid = world.status().pid("a");
        kill(pid, Signal::SIGKILL);
        world.wait_reborn("a", pid);
    }
    kill(world.status().pid("a"), Signal::SIGKILL);
    let status = world.wait_state("a", "failed");
    let reason = status.service("a").reason.clone().unwrap_or_default();
    assert!(reason.contains("too often"), "{reason}");
}

/// Behaviour 29: past the limit it has failed; a later manual start begins a new count.
#[test]
fn b29_restart_limit_ends_in_failed_and_a_manual_start_resets_it() {
    let mut world = World::new();
    let file = world.file("stamps");
    let policy = format!(
        "[restart]\ndelay = \"10ms\"\nmax_delay = \"10ms\"\n{NO_JITTER}limit = {{ starts = 3, within = \"1m\" }}"
    );
    world.child("a", &[&format!("file={file}"), "exit=1"], &policy);
    world.start_ready();
    world.wait_state("a", "failed");
    let first = stamps(file.as_ref()).len();
    assert!((3..=4).contains(&first), "{first} starts for a limit of 3");
    // Ready as soon as it is executed: the start itself may well succeed.
    world.ctl(&["start", "a"]);
    eventually("as many starts again", || {
        (stamps(file.as_ref()).len() == 2 * first).then_some(())
    });
    world.wait_state("a", "failed");
}

/// Behaviour 31: `on-failure` restarts failures alone; named codes and signals are no failures.
#[test]
fn b31_on_failure_restarts_failures_only() {
    let mut world = World::new();
    let policy = "[restart]\npolicy = \"on-failure\"\ndelay = \"10ms\"\nsuccess = [7, \"USR1\"]";
    for (name, verb) in [
        ("zero", "exit=0"),
        ("seven", "exit=7"),
        ("signal", "kill-self=USR1"),
    ] {
        world.child(name, &[&format!("file={}", world.file(name)), verb], policy);
    }
    world.child(
        "three",
        &[&format!("file={}", world.file("three")), "exit=3"],
        policy,
    );
    world.start_ready();
    world.wait_for("three is restarted", |status| {
        status.service("three").restarts >= 2
    });
    for name in ["zero", "seven", "signal"] {
        assert_eq!(stamps(&world.path(name)).len(), 1, "{name} was restarted");
        assert_eq!(world.status().service(name).restarts, 0);
    }
}

/// Behaviour 32: chosen exit codes of a oneshot satisfy what requires it.
#[test]
fn b32_success_codes_satisfy_dependents() {
    let mut world = World::new();
    world.child(
        "setup",
        &["exit=4"],
        "type = \"oneshot\"\n[restart]\npolicy = \"on-failure\"\nsuccess = [4]",
    );
    world.child("top", &["sleep"], "requires = [\"setup\"]");
    world.start_ready();
    assert_eq!(world.status().state("setup"), "completed");
    assert_eq!(world.status().state("top"), "running");
}

/// Behaviour 33: the pauses grow by the factor up to the longest, after one immediate restart.
#[test]
fn b33_backoff_grows_to_its_cap() {
    let mut world = World::new();
    let file = world.file("stamps");
    let policy =
        format!("[restart]\ndelay = \"100ms\"\nfactor = 2\nmax_delay = \"400ms\"\n{NO_JITTER}");
    world.child("a", &[&format!("file={file}"), "exit=1"], &policy);
    world.start();
    world.wait_for("six restarts", |status| status.service("a").restarts >= 6);
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

/// Behaviour 34: a manual start during a long pause starts now.
#[test]
fn b34_manual_start_during_a_long_delay_starts_now() {
    let mut world = World::new();
    let (file, bad) = (world.file("stamps"), world.file("bad"));
    std::fs::write(&bad, "").unwrap();
    let policy = "[restart]\ndelay = \"1h\"\nmax_delay = \"1h\"";
    world.child(
        "a",
        &[
            &format!("file={file}"),
            &format!("shift-exit={bad}:1"),
            "sleep",
        ],
        policy,
    );
    world.start_ready();
    let status = world.wait_state("a", "backoff");
    let next = status.service("a").next_try_ms.unwrap_or_default();
    assert!(next > 60_000, "the next try is due in {next} ms");
    std::fs::remove_file(&bad).unwrap();
    let told = world.ctl(&["start", "a"]).ok();
    assert!(told.took < Duration::from_secs(10));
    assert!(world.status().ready("a"));
    assert_eq!(
        world.status().service("a").restarts,
        0,
        "counted since the last manual start"
    );
}

/// Behaviour 47: many SIGKILLs in a row leave exactly one child, and every one is counted.
#[test]
fn b47_sigkills_in_a_row_leave_exactly_one_child() {
    const KILLS: u32 = 40;
    let mut world = World::new();
    world.child(
        "a",
        &["sleep"],
        "[restart]\ndelay = \"1ms\"\nmax_delay = \"1ms\"",
    );
    world.start_ready();
    let mut pid = world.status().pid("a");
    for _ in 0..KILLS {
        kill(pid, Signal::SIGKILL);
        pid = world.wait_reborn("a", pid).pid("a");
    }
    assert_eq!(world.status().service("a").restarts, KILLS);
    let sleepers: Vec<i32> = world
        .processes()
        .into_iter()
        .filter(|pid| mattervisor_tests::command_line(*pid).ends_with(" sleep"))
        .collect();
    assert_eq!(sleepers, [pid]);
}

/// A crash loop shows as backoff, with count, last exit and next try; `why` shows its last lines.
#[test]
fn a_crash_loop_is_explained() {
    let mut world = World::new();
    let policy = "[restart]\ndelay = \"1h\"\nmax_delay = \"1h\"";
    world.child("a", &["print=cannot find the dragon", "exit=17"], policy);
    world.start_ready();
    let status = world.wait_state("a", "backoff");
    let service = status.service("a");
    assert_eq!(service.last_exit.as_ref().unwrap().code, Some(17));
    assert_eq!(service.restarts, 1);
    assert!(service.next_try_ms.is_some());
    let why = world.ctl(&["why", "a"]);
    assert!(
        why.stdout.contains("17") && why.stdout.contains("cannot find the dragon"),
        "{why:#?}"
    );
}
