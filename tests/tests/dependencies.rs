//! The order of starts and stops along dependencies.

use mattervisor_tests::{Site, StatusExt, eventually, stamps};

/// A service is ready once it sends READY=1.
const READY_WHEN_TOLD: &str = r#"
    [ready]
    notify = true
    timeout = "1m"
"#;

/// Behaviour 1: starting a service starts its dependencies, and these first.
#[test]
fn b01_starting_a_service_starts_its_dependencies() {
    let mut site = Site::new();
    let (base, top) = (site.file("base.stamps"), site.file("top.stamps"));
    site.child(
        "base",
        &[
            &format!("file={base}"),
            "delay=50",
            "notify=READY=1",
            "sleep",
        ],
        READY_WHEN_TOLD,
    );
    site.child(
        "top",
        &[&format!("file={top}"), "sleep"],
        "requires = ['base']",
    );
    site.start_ready();
    site.ctl(&["stop", "base", "top"]).ok();
    site.ctl(&["start", "top"]).ok();
    let status = site.status();
    assert!(status.ready("base") && status.ready("top"), "{status:#?}");
    let top = eventually("top has started twice", || {
        Some(stamps(top.as_ref())).filter(|starts| starts.len() == 2)
    });
    let base = stamps(base.as_ref());
    assert!(
        top[1].at_ns > base[1].at_ns + 50_000_000,
        "top started before base was ready"
    );
}

/// Behaviour 2: stopping a dependency stops its dependents first, in reverse order; the dependents
/// show which service they wait for, keep their goal, and come back with the dependency.
#[test]
fn b02_stopping_a_dependency_stops_dependents_first_and_they_come_back() {
    let mut site = Site::new();
    let stops = site.file("stops");
    let verbs = [format!("stop-file={stops}"), "sleep".to_owned()];
    let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
    site.child("base", &verbs, "");
    site.child("middle", &verbs, "requires = ['base']");
    site.child("top", &verbs, "requires = ['middle']");
    site.start_ready();
    let before = site.status();
    let told = site.ctl(&["stop", "base"]).ok();
    assert!(
        told.both().contains("top"),
        "it does not say that top stops too: {}",
        told.both()
    );
    let order: Vec<i32> = stamps(stops.as_ref())
        .iter()
        .map(|stamp| stamp.pid)
        .collect();
    assert_eq!(
        order,
        [before.pid("top"), before.pid("middle"), before.pid("base")]
    );
    let status = site.status();
    assert_eq!(status.state("base"), "stopped");
    assert!(status.service("base").held.is_some());
    assert_eq!(
        (status.state("middle"), status.service("middle").goal),
        ("waiting", api::Goal::Up)
    );
    assert_eq!(status.service("middle").waiting_on, ["base"]);
    assert!(status.service("middle").held.is_none());
    site.ctl(&["start", "base"]).ok();
    site.wait_for("all run again", |status| {
        ["base", "middle", "top"]
            .iter()
            .all(|name| status.ready(name))
    });
}

/// Behaviour 7: a stop of a service that only waits is done at once.
#[test]
fn b07_stop_while_waiting_for_dependencies_returns_at_once() {
    let mut site = Site::new();
    site.child("base", &["sleep"], READY_WHEN_TOLD);
    site.child("top", &["sleep"], "requires = ['base']");
    site.start();
    site.wait_state("top", "waiting");
    let told = site.ctl(&["stop", "top"]).ok();
    assert!(told.took.as_secs() < 5, "{told:#?}");
    assert_eq!(site.status().state("top"), "stopped");
    assert_eq!(site.status().state("base"), "starting");
}

/// Behaviour 8: a restart of a waiting service neither starts it early nor hangs.
#[test]
fn b08_restart_while_waiting_on_a_dependency_does_not_start_early() {
    let mut site = Site::new();
    let (go, top) = (site.file("go"), site.file("top.stamps"));
    site.child(
        "base",
        &[&format!("wait-file={go}"), "notify=READY=1", "sleep"],
        READY_WHEN_TOLD,
    );
    site.child(
        "top",
        &[&format!("file={top}"), "sleep"],
        "requires = ['base']",
    );
    site.start();
    site.wait_state("top", "waiting");
    site.ctl(&["restart", "top", "--no-wait"]).ok();
    assert_eq!(site.status().state("top"), "waiting");
    assert_eq!(stamps(top.as_ref()), []);
    std::fs::write(&go, "").unwrap();
    site.wait_state("top", "running");
    assert_eq!(stamps(top.as_ref()).len(), 1);
}

/// Behaviour 14: an end before readiness is a failed start; a service that requires the failed one
/// waits, a service that wants it runs.
#[test]
fn b14_exit_before_readiness_holds_back_only_what_requires_it() {
    let mut site = Site::new();
    site.child(
        "base",
        &["delay=50", "exit=9"],
        &format!(
            r#"
                {READY_WHEN_TOLD}
                [restart]
                policy = "never"
            "#
        ),
    );
    site.child("strict", &["sleep"], "requires = ['base']");
    site.child("easy", &["sleep"], "wants = ['base']");
    site.start_ready();
    let status = site.status();
    assert_eq!(status.state("base"), "failed");
    assert_eq!(
        status.service("base").last_exit.as_ref().unwrap().code,
        Some(9)
    );
    assert_eq!(status.state("strict"), "waiting");
    assert_eq!(status.state("easy"), "running");
}

/// Behaviour 16: a wanted service that is not ready in time does not fail its dependent.
#[test]
fn b16_start_timeout_of_a_soft_dependency_does_not_fail_its_dependent() {
    let mut site = Site::new();
    site.child(
        "base",
        &["sleep"],
        r#"
            [ready]
            notify = true
            timeout = "200ms"
            [restart]
            policy = "never"
        "#,
    );
    site.child("top", &["sleep"], "wants = ['base']");
    site.start_ready();
    let status = site.status();
    assert_eq!(status.state("base"), "failed");
    assert_eq!(status.state("top"), "running");
}

/// Behaviour 35: the restart of a crashed dependency restarts only the services that are bound to
/// it.
#[test]
fn b35_crash_of_a_dependency_bounces_only_what_binds_to_it() {
    let mut site = Site::new();
    site.child("base", &["sleep"], "");
    site.child("loose", &["sleep"], "requires = ['base']");
    site.child("bound", &["sleep"], "binds_to = ['base']");
    site.start_ready();
    let before = site.status();
    mattervisor_tests::kill(before.pid("base"), nix::sys::signal::Signal::SIGKILL);
    site.wait_reborn("base", before.pid("base"));
    let after = site.wait_reborn("bound", before.pid("bound"));
    assert_eq!(after.pid("loose"), before.pid("loose"));
    assert_eq!(after.service("base").restarts, 1);
    assert_eq!(after.service("loose").restarts, 0);
}

/// A start lifts the holds of the services that the started one requires, and says so; a restart
/// over a held requirement is refused.
#[test]
fn a_start_lifts_the_holds_of_what_it_requires_and_says_so() {
    let mut site = Site::new();
    site.child("base", &["sleep"], "");
    site.child("top", &["sleep"], "requires = ['base']");
    site.start_ready();
    site.ctl(&["stop", "base"]).ok();
    let refused = site.ctl(&["restart", "top"]);
    assert_eq!(
        refused.code, 1,
        "a restart over a held requirement: {refused:#?}"
    );
    assert!(refused.both().contains("base"), "{refused:#?}");
    let told = site.ctl(&["start", "top"]).ok();
    assert!(told.both().contains("base"), "{told:#?}");
    let status = site.status();
    assert!(status.ready("base") && status.ready("top"));
    assert!(status.service("base").held.is_none());
}

/// Behaviour 41: a cycle of twenty services is reported with all its members, and none of them is
/// applied.
#[test]
fn b41_a_cycle_of_twenty_is_reported_not_hung() {
    let mut site = Site::new();
    site.child("alone", &["sleep"], "");
    site.start_ready();
    for number in 0..20 {
        let next = (number + 1) % 20;
        site.child(
            &format!("ring{number}"),
            &["sleep"],
            &format!("requires = ['ring{next}']"),
        );
    }
    let checked = site.ctl(&["check-config"]).expect_code(1);
    for number in 0..20 {
        assert!(
            checked.both().contains(&format!("ring{number}")),
            "{}",
            checked.both()
        );
    }
    assert_ne!(site.ctl(&["reconfigure"]).code, 0);
    let status = site.status();
    assert_eq!(status.state("alone"), "running");
    assert!(
        status
            .services
            .iter()
            .all(|service| !service.name.starts_with("ring"))
    );
}

/// Independent services start beside each other, not one after the other.
#[test]
fn what_the_graph_allows_starts_in_parallel() {
    let mut site = Site::new();
    let log = site.file("stamps");
    for number in 0..6 {
        let verbs = [
            &format!("file={log}"),
            "delay=500",
            "notify=READY=1",
            "sleep",
        ];
        site.child(&format!("s{number}"), &verbs, READY_WHEN_TOLD);
    }
    site.start_ready();
    let starts = stamps(log.as_ref());
    let first = starts.iter().map(|stamp| stamp.at_ns).min().unwrap();
    let last = starts.iter().map(|stamp| stamp.at_ns).max().unwrap();
    assert!(
        last - first < 500_000_000,
        "one waited for another: {starts:?}"
    );
}
