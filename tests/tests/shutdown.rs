//! The shutdown of the supervisor, and its messages to init.

use std::time::{Duration, Instant};

use mattervisor_tests::{Site, StatusExt, Tracer, stamps};
use nix::sys::signal::Signal;

/// SIGTERM stops everything in reverse order of start and ends with 0.
#[test]
fn sigterm_stops_all_in_order_and_exits_zero() {
    let mut site = Site::new();
    let stops = site.file("stops");
    let stop = format!("stop-file={stops}");
    site.child("base", &[&stop, "sleep"], "");
    site.child("top", &[&stop, "sleep"], "requires = ['base']");
    site.start_ready();
    let status = site.status();
    let (base, top) = (
        mattervisor_tests::StatusExt::pid(&status, "base"),
        mattervisor_tests::StatusExt::pid(&status, "top"),
    );
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    let order: Vec<i32> = stamps(stops.as_ref())
        .iter()
        .map(|stamp| stamp.pid)
        .collect();
    assert_eq!(order, [top, base]);
    assert_eq!(site.leftovers(), Vec::<String>::new());
    let told = site.init_messages();
    assert!(
        told.iter().any(|message| message.contains("STOPPING=1")),
        "{told:?}"
    );
}

/// Behaviour 11: a shutdown while services are starting leaves no process.
#[test]
fn b11_shutdown_while_services_are_starting_leaves_none() {
    let mut site = Site::new();
    for number in 0..8 {
        let ready = r#"
            [ready]
            notify = true
            timeout = "1m"
        "#;
        site.child(&format!("s{number}"), &["child", "sleep"], ready);
    }
    site.child("late", &["sleep"], "requires = ['s0']");
    site.start();
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    assert_eq!(site.leftovers(), Vec::<String>::new());
}

/// A second SIGTERM shortens the deadlines.
#[test]
fn a_second_sigterm_shortens_the_deadlines() {
    let mut site = Site::new();
    site.child(
        "a",
        &["ignore-term", "print=set", "sleep"],
        "[stop]\ntimeout = '10m'",
    );
    site.start_ready();
    site.wait_log("a", |line| line == "set");
    let started = Instant::now();
    site.signal(Signal::SIGTERM);
    site.wait_for("it stops", |status| {
        status.services[0].state == api::ServiceState::Stopping
    });
    site.signal(Signal::SIGTERM);
    assert_eq!(
        site.wait_end(Duration::from_secs(60)),
        0,
        "{}",
        site.supervisor_log()
    );
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(site.leftovers(), Vec::<String>::new());
}

/// READY=1 comes once everything has settled, not before.
#[test]
fn init_hears_ready_only_when_all_has_settled() {
    let mut site = Site::new();
    let go = site.file("go");
    let ready = r#"
        [ready]
        notify = true
        timeout = "1m"
    "#;
    site.child(
        "slow",
        &[&format!("wait-file={go}"), "notify=READY=1", "sleep"],
        ready,
    );
    site.child(
        "crash",
        &["exit=1"],
        r#"
            [restart]
            delay = "1h"
            max_delay = "1h"
        "#,
    );
    site.start();
    site.wait_state("crash", "backoff");
    let early = site.init_messages();
    assert!(
        !early.iter().any(|message| message.contains("READY=1")),
        "{early:?}"
    );
    std::fs::write(go, "").unwrap();
    site.wait_settled();
}

/// A service that SIGKILL does not end delays the shutdown for a bounded time, and is named.
#[test]
fn a_shutdown_over_what_will_not_go_ends_and_names_it() {
    let mut site = Site::new();
    site.child("base", &["sleep"], "");
    site.child(
        "a",
        &["sleep"],
        r#"
            requires = ["base"]
            [stop]
            timeout = "100ms"
        "#,
    );
    site.start_ready();
    let status = site.status();
    let (a, base) = (status.pid("a"), status.pid("base"));
    let tracer = Tracer::hold(a);
    site.signal(Signal::SIGTERM);
    assert_eq!(site.wait_end(Duration::from_secs(60)), 1);
    let log = site.supervisor_log();
    let named = format!("pid {a} (testchild): a tracer holds it");
    assert!(
        log.contains(&named) && !log.contains("everything is stopped"),
        "{log}"
    );
    assert!(!mattervisor_tests::alive(base));
    drop(tracer);
}

/// The log names each service that needed SIGKILL.
#[test]
fn a_shutdown_names_what_needed_sigkill() {
    let mut site = Site::new();
    site.child(
        "deaf",
        &["ignore-term", "print=set", "sleep"],
        "[stop]\ntimeout = '100ms'",
    );
    site.child("good", &["sleep"], "");
    site.start_ready();
    site.wait_log("deaf", |line| line == "set");
    assert_eq!(site.stop(), 0);
    let log = site.supervisor_log();
    assert!(log.contains("SIGKILL was needed for: deaf"), "{log}");
}
