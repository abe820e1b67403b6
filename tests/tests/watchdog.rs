//! A service that must say that it is alive, and what its silence means.

use mattervisor_tests::{StatusExt, World};

/// A `testchild` that is ready, and says that it is alive as long as its file exists.
fn watched(world: &World, name: &str, table: &str) {
    let alive = world.file(&format!("{name}.alive"));
    std::fs::write(&alive, "").unwrap();
    let verbs = ["notify=READY=1", &format!("ping-while={alive}:50")];
    world.child(
        name,
        &verbs,
        &format!("[ready]\nnotify = true\n[watchdog]\n{table}"),
    );
}

fn fall_silent(world: &World, name: &str) {
    std::fs::remove_file(world.path(&format!("{name}.alive"))).unwrap();
}

/// Silence ends the run by the watchdog's own signal, and the next one takes its place.
#[test]
fn silence_ends_the_run_by_the_watchdogs_signal_and_restarts() {
    let mut world = World::new();
    watched(&world, "a", "timeout = \"1s\"\nsignal = \"ABRT\"");
    world.child("told", &["env", "sleep"], "[watchdog]\ntimeout = \"90s\"");
    world.start_ready();
    let pid = world.status().pid("a");
    fall_silent(&world, "a");
    world.wait_for("a is restarted", |status| status.service("a").restarts >= 1);
    std::fs::write(world.path("a.alive"), "").unwrap();
    let status = world.wait_reborn("a", pid);
    let exit = status.service("a").last_exit.clone().unwrap();
    assert_eq!(exit.signal.as_deref(), Some("ABRT"), "{exit:?}");
    // As sd_watchdog_enabled(3) reads it.
    world.wait_log("told", |line| line == "WATCHDOG_USEC=90000000");
    world.wait_log("told", |line| line.starts_with("NOTIFY_SOCKET="));
}

/// One that has just been heard lives on for as long as it speaks, also over the death of control.
#[test]
fn what_speaks_is_left_alone_also_when_control_dies() {
    let mut world = World::new();
    watched(&world, "a", "timeout = \"1s\"");
    world.child("while", &["delay=2500"], "type = \"oneshot\"");
    world.start_ready();
    let pid = world.status().pid("a");
    mattervisor_tests::kill(world.control_pid(), nix::sys::signal::Signal::SIGKILL);
    world.ctl(&["restart", "while"]).ok();
    let status = world.status();
    assert_eq!(status.pid("a"), pid);
    assert_eq!(status.service("a").restarts, 0);
}

/// Degraded is shown and told, nothing is restarted, and the next word ends it.
#[test]
fn silence_may_only_degrade_and_ends_with_the_next_word() {
    let mut world = World::new();
    watched(&world, "a", "timeout = \"1s\"\naction = \"degrade\"");
    world.start_ready();
    let pid = world.status().pid("a");
    fall_silent(&world, "a");
    let status = world.wait_for("a is degraded", |status| {
        status.service("a").healthy == Some(false)
    });
    let reason = status.service("a").reason.clone().unwrap_or_default();
    assert!(reason.contains("watchdog"), "{reason}");
    assert!(status.ready("a"), "degraded is still up");
    std::fs::write(world.path("a.alive"), "").unwrap();
    let status = world.wait_for("a is well again", |status| {
        status.service("a").healthy == Some(true)
    });
    assert_eq!(status.pid("a"), pid);
    assert_eq!(status.service("a").restarts, 0);
}

/// A run may give up by itself, and may set how long it may be silent.
#[test]
fn a_run_triggers_its_watchdog_and_sets_its_timeout() {
    let mut world = World::new();
    let go = world.file("go");
    let verbs = [
        "notify=WATCHDOG_USEC=0",
        "notify=READY=1",
        &format!("wait-file={go}"),
        "notify=WATCHDOG=trigger",
        "sleep",
    ];
    world.child(
        "a",
        &verbs,
        "[ready]\nnotify = true\n[watchdog]\ntimeout = \"300ms\"\n[restart]\npolicy = \"never\"",
    );
    world.child("while", &["delay=1500"], "type = \"oneshot\"");
    world.start_ready();
    assert_eq!(world.status().state("a"), "running", "it need not speak");
    std::fs::write(go, "").unwrap();
    let status = world.wait_state("a", "failed");
    let reason = status.service("a").reason.clone().unwrap_or_default();
    assert!(reason.contains("watchdog"), "{reason}");
}
