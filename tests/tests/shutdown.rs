//! The end of the daemon itself, and what it tells its init.

use std::time::{Duration, Instant};

use mattervisor_tests::{StatusExt, Tracer, World, stamps};
use nix::sys::signal::Signal;

/// SIGTERM stops everything in reverse order of start and ends with 0.
#[test]
fn sigterm_stops_all_in_order_and_exits_zero() {
    let mut world = World::new();
    let stops = world.file("stops");
    let stop = format!("stop-file={stops}");
    world.child("base", &[&stop, "sleep"], "");
    world.child("top", &[&stop, "sleep"], "requires = [\"base\"]");
    world.start_ready();
    let status = world.status();
    let (base, top) = (
        mattervisor_tests::StatusExt::pid(&status, "base"),
        mattervisor_tests::StatusExt::pid(&status, "top"),
    );
    assert_eq!(world.stop(), 0, "{}", world.supervisor_log());
    let order: Vec<i32> = stamps(stops.as_ref())
        .iter()
        .map(|stamp| stamp.pid)
        .collect();
    assert_eq!(order, [top, base]);
    assert_eq!(world.leftovers(), Vec::<String>::new());
    let told = world.init_messages();
    assert!(
        told.iter().any(|message| message.contains("STOPPING=1")),
        "{told:?}"
    );
}

/// Behaviour 11: a shutdown while services are starting leaves none.
#[test]
fn b11_shutdown_while_services_are_starting_leaves_none() {
    let mut world = World::new();
    for number in 0..8 {
        let ready = "[ready]\nnotify = true\ntimeout = \"1m\"";
        world.child(&format!("s{number}"), &["child", "sleep"], ready);
    }
    world.child("late", &["sleep"], "requires = [\"s0\"]");
    world.start();
    assert_eq!(world.stop(), 0, "{}", world.supervisor_log());
    assert_eq!(world.leftovers(), Vec::<String>::new());
}

/// A second SIGTERM shortens the deadlines.
#[test]
fn a_second_sigterm_shortens_the_deadlines() {
    let mut world = World::new();
    world.child(
        "a",
        &["ignore-term", "print=set", "sleep"],
        "[stop]\ntimeout = \"10m\"",
    );
    world.start_ready();
    world.wait_log("a", |line| line == "set");
    let started = Instant::now();
    world.signal(Signal::SIGTERM);
    world.wait_for("it stops", |status| status.services[0].state == "stopping");
    world.signal(Signal::SIGTERM);
    assert_eq!(
        world.wait_end(Duration::from_secs(60)),
        0,
        "{}",
        world.supervisor_log()
    );
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(world.leftovers(), Vec::<String>::new());
}

/// READY=1 comes once everything has settled, not before.
#[test]
fn init_hears_ready_only_when_all_has_settled() {
    let mut world = World::new();
    let go = world.file("go");
    let ready = "[ready]\nnotify = true\ntimeout = \"1m\"";
    world.child(
        "slow",
        &[&format!("wait-file={go}"), "notify=READY=1", "sleep"],
        ready,
    );
    world.child(
        "crash",
        &["exit=1"],
        "[restart]\ndelay = \"1h\"\nmax_delay = \"1h\"",
    );
    world.start();
    world.wait_state("crash", "backoff");
    let early = world.init_messages();
    assert!(
        !early.iter().any(|message| message.contains("READY=1")),
        "{early:?}"
    );
    std::fs::write(go, "").unwrap();
    world.wait_settled();
}

/// A service that SIGKILL does not end holds the shutdown up for a bounded time, and is named.
#[test]
fn a_shutdown_over_what_will_not_go_ends_and_names_it() {
    let mut world = World::new();
    world.child("base", &["sleep"], "");
    world.child(
        "a",
        &["sleep"],
        "requires = [\"base\"]\n[stop]\ntimeout = \"100ms\"",
    );
    world.start_ready();
    let status = world.status();
    let (a, base) = (status.pid("a"), status.pid("base"));
    let tracer = Tracer::hold(a);
    world.signal(Signal::SIGTERM);
    assert_eq!(world.wait_end(Duration::from_secs(60)), 1);
    let log = world.supervisor_log();
    let named = format!("pid {a} (testchild): a tracer holds it");
    assert!(
        log.contains(&named) && !log.contains("everything is stopped"),
        "{log}"
    );
    assert!(!mattervisor_tests::alive(base));
    drop(tracer);
}

/// Who did not obey is named, also at a plain shutdown.
#[test]
fn a_shutdown_names_what_needed_sigkill() {
    let mut world = World::new();
    world.child(
        "deaf",
        &["ignore-term", "print=set", "sleep"],
        "[stop]\ntimeout = \"100ms\"",
    );
    world.child("good", &["sleep"], "");
    world.start_ready();
    world.wait_log("deaf", |line| line == "set");
    assert_eq!(world.stop(), 0);
    let log = world.supervisor_log();
    assert!(log.contains("SIGKILL was needed for: deaf"), "{log}");
}
