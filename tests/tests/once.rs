//! Services that are started once, and those whose failure ends the daemon.

use std::time::Duration;

use mattervisor_tests::{StatusExt, World, kill, stamps};
use nix::sys::signal::Signal;

/// `ctl once` starts, lifts the hold, and does not restart; it holds over the death of control.
#[test]
fn once_starts_and_does_not_restart() {
    let mut world = World::new();
    let (file, go) = (world.file("stamps"), world.file("go"));
    world.child(
        "a",
        &[
            &format!("file={file}"),
            &format!("wait-file={go}"),
            "exit=0",
        ],
        "",
    );
    world.start_ready();
    world.ctl(&["stop", "a"]).ok();
    world.ctl(&["once", "a"]).ok();
    let status = world.status();
    assert_eq!(status.state("a"), "running");
    assert!(status.service("a").held.is_none(), "the hold is lifted");
    let reason = status.service("a").reason.clone().unwrap_or_default();
    assert!(reason.contains("once"), "{reason}");
    kill(world.control_pid(), Signal::SIGKILL);
    std::fs::write(&go, "").unwrap();
    world.wait_state("a", "completed");
    assert_eq!(stamps(file.as_ref()).len(), 2, "it was started again");
    // A start is a start again: it restarts what ends.
    std::fs::remove_file(&go).unwrap();
    world.ctl(&["start", "a"]).ok();
    let pid = world.status().pid("a");
    kill(pid, Signal::SIGKILL);
    world.wait_reborn("a", pid);
}

/// One that is started once and fails has failed, whatever its policy.
#[test]
fn once_that_fails_has_failed() {
    let mut world = World::new();
    let (file, go) = (world.file("stamps"), world.file("go"));
    world.child(
        "a",
        &[
            &format!("file={file}"),
            &format!("wait-file={go}"),
            "exit=3",
        ],
        "",
    );
    world.start_ready();
    let pid = world.status().pid("a");
    world.ctl(&["once", "a"]).ok();
    assert_eq!(world.status().pid("a"), pid, "what runs is left alone");
    std::fs::write(&go, "").unwrap();
    let status = world.wait_state("a", "failed");
    let exit = status.service("a").last_exit.clone().unwrap();
    assert_eq!(exit.code, Some(3));
    assert_eq!(stamps(file.as_ref()).len(), 1);
}

/// The daemon stops everything in order and ends with a failure, saying why.
#[test]
fn exit_when_failed_stops_all_in_order_and_ends_with_one() {
    let mut world = World::new();
    let (stops, go) = (world.file("stops"), world.file("go"));
    let stop = format!("stop-file={stops}");
    world.child("base", &[&stop, "sleep"], "");
    world.child("top", &[&stop, "sleep"], "requires = [\"base\"]");
    world.child(
        "vital",
        &[&format!("wait-file={go}"), "exit=7"],
        "exit_when_failed = true\n[restart]\npolicy = \"never\"",
    );
    world.start_ready();
    let status = world.status();
    let (base, top) = (status.pid("base"), status.pid("top"));
    std::fs::write(&go, "").unwrap();
    assert_eq!(world.wait_end(Duration::from_secs(60)), 1);
    let order: Vec<i32> = stamps(stops.as_ref())
        .iter()
        .map(|stamp| stamp.pid)
        .collect();
    assert_eq!(order, [top, base]);
    assert_eq!(world.leftovers(), Vec::<String>::new());
    let log = world.supervisor_log();
    assert!(
        log.contains("exit_when_failed of vital") && log.contains("exit code 7"),
        "{log}"
    );
}
