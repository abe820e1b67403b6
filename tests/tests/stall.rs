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

/// For so long the keeper does not run: longer than any patience below.
const KEEPER_STOPPED: Duration = Duration::from_secs(4);

/// The keeper does not run for a while, in which something is done, and at last something has happened.
fn stop_keeper(world: &World, meanwhile: impl FnOnce(), happened: impl Fn() -> bool) {
    let begun = Instant::now();
    kill(world.keeper_pid(), Signal::SIGSTOP);
    meanwhile();
    eventually("the keeper was stopped for long enough", || {
        (begun.elapsed() > KEEPER_STOPPED && happened()).then_some(())
    });
    kill(world.keeper_pid(), Signal::SIGCONT);
}

/// All words of a service come through the keeper: while that does not run, silence means nothing.
#[test]
fn what_speaks_in_time_is_left_alone_though_the_keeper_was_stopped() {
    let mut world = World::new();
    let (alive, go, said) = (world.file("alive"), world.file("go"), world.file("said"));
    std::fs::write(&alive, "").unwrap();
    let pings = ["notify=READY=1", &format!("ping-while={alive}:50")];
    let table = "[ready]\nnotify = true\n[watchdog]\ntimeout = \"1s\"";
    world.child("watched", &pings, table);
    let (wait, told) = (format!("wait-file={go}"), format!("file={said}"));
    let notifies = [&wait, "notify=READY=1", &told, "sleep"];
    let table = "[ready]\nnotify = true\ntimeout = \"3s\"";
    world.child("notifies", &notifies, table);
    let writes = [&wait, "ready-fd=5:\\n", "sleep"];
    world.child("writes", &writes, "[ready]\nfd = 5\ntimeout = \"3s\"");
    world.child("while", &["delay=2500"], "type = \"oneshot\"");
    world.start();
    world.wait_state("while", "completed");
    let begun = Instant::now();
    world
        .ctl(&["restart", "notifies", "writes", "--no-wait"])
        .ok();
    world.wait_state("notifies", "starting");
    world.wait_state("writes", "starting");
    world.wait_state("watched", "running");
    let status = world.status();
    let names = ["watched", "notifies", "writes"];
    let pids = names.map(|name| status.pid(name));
    let in_time = begun.elapsed() < Duration::from_secs(2);
    let speak = || std::fs::write(&go, "").unwrap();
    stop_keeper(&world, speak, || !stamps(said.as_ref()).is_empty());
    world.ctl(&["restart", "while"]).ok();
    let status = world.status();
    assert!(in_time, "this machine is too slow for this test");
    for (name, pid) in names.into_iter().zip(pids) {
        assert_eq!((status.pid(name), status.state(name)), (pid, "running"));
        assert_eq!(status.service(name).restarts, 0, "{name}");
    }
}

/// A stop signal that waits with the keeper is not followed by SIGKILL at once.
#[test]
fn what_is_asked_to_stop_has_its_time_though_the_keeper_was_stopped() {
    let mut world = World::new();
    let verbs = ["stop-delay=700", "trap-term=0", "sleep"];
    world.child("slow", &verbs, "[stop]\ntimeout = \"2s\"");
    world.start_ready();
    let stop = || drop(world.ctl(&["stop", "slow", "--no-wait"]).ok());
    stop_keeper(&world, stop, || true);
    let status = world.wait_state("slow", "stopped");
    let exit = status.service("slow").last_exit.clone().unwrap();
    assert_eq!(exit.code, Some(0), "{exit:?}");
}
