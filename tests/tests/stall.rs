//! A supervisor that was stopped for a while, or had no turn, judges what has come before it judges by the
//! clock.

use std::time::{Duration, Instant};

use mattervisor_tests::{StatusExt, World, eventually, kill, stamps};
use nix::sys::signal::Signal;

/// `READY=1` came in time, while the control process was stopped.
#[test]
fn what_was_said_in_time_counts_after_a_stall() {
    let mut world = World::new();
    let (go, said) = (world.file("go"), world.file("said"));
    let verbs = [
        format!("wait-file={go}"),
        "notify=READY=1".to_owned(),
        format!("file={said}"),
        "sleep".to_owned(),
    ];
    let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
    world.child("slow", &verbs, "[ready]\nnotify = true\ntimeout = \"3s\"");
    let begun = Instant::now();
    world.start();
    world.wait_state("slow", "starting");
    let (control, pid) = (world.control_pid(), world.status().pid("slow"));
    kill(control, Signal::SIGSTOP);
    let in_time = begun.elapsed() < Duration::from_secs(2);
    std::fs::write(&go, "").unwrap();
    eventually("it has said that it is ready", || {
        (!stamps(said.as_ref()).is_empty()).then_some(())
    });
    eventually("its time is over", || {
        (begun.elapsed() > Duration::from_secs(5)).then_some(())
    });
    kill(control, Signal::SIGCONT);
    let status = world.wait_settled().status();
    assert!(in_time, "this machine is too slow for this test");
    assert_eq!((status.pid("slow"), status.state("slow")), (pid, "running"));
    assert_eq!(status.service("slow").restarts, 0);
}
