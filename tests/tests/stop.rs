//! How services are asked to end, and made to.

use std::time::Duration;

use mattervisor_tests::{StatusExt, Tracer, World, alive, kill};
use nix::sys::signal::Signal;

/// Behaviour 22: a stop that is not obeyed ends in SIGKILL, has succeeded, and says so.
#[test]
fn b22_stop_timeout_escalates_to_sigkill_and_says_so() {
    let mut world = World::new();
    world.child(
        "a",
        &["ignore-term", "print=ignoring", "sleep"],
        "[stop]\ntimeout = \"300ms\"",
    );
    world.start_ready();
    world.wait_log("a", |line| line == "ignoring");
    let pid = world.status().pid("a");
    let told = world.ctl(&["stop", "a"]).ok();
    assert!(told.both().contains("KILL"), "{told:#?}");
    assert!(told.took >= Duration::from_millis(300));
    assert!(!alive(pid));
    let status = world.status();
    assert_eq!(status.state("a"), "stopped");
    assert_eq!(
        status
            .service("a")
            .last_exit
            .as_ref()
            .unwrap()
            .signal
            .as_deref(),
        Some("KILL")
    );
}

/// Behaviour 20: a stop that asks for more time gets it, also of a service whose readiness is not
/// told by notification.
#[test]
fn b20_extend_timeout_prolongs_the_stop() {
    let mut world = World::new();
    let verbs = [
        "notify-on-term=EXTEND_TIMEOUT_USEC=20000000",
        "stop-delay=1200",
        "trap-term=9",
        "print=set",
        "sleep",
    ];
    let more = "notify_access = \"main\"\n[stop]\ntimeout = \"500ms\"";
    world.child("asks", &verbs, more);
    world.start_ready();
    world.wait_log("asks", |line| line == "set");
    world.ctl(&["stop", "asks"]).ok();
    let exit = world.status().service("asks").last_exit.clone().unwrap();
    assert_eq!(exit.code, Some(9), "it was killed: {exit:?}");
}

/// Behaviour 23: every stop signal that a service may name is the one that it gets.
#[test]
fn b23_custom_stop_signals() {
    let mut world = World::new();
    let names = ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH"];
    for (code, name) in (40..).zip(names) {
        let verbs = [&format!("trap={name}:{code}"), "print=set", "sleep"];
        world.child(
            &name.to_lowercase(),
            &verbs,
            &format!("[stop]\nsignal = \"{name}\"\ntimeout = \"5s\""),
        );
    }
    world.start_ready();
    for name in names {
        world.wait_log(&name.to_lowercase(), |line| line == "set");
    }
    world.ctl(&["stop"]).ok();
    let status = world.status();
    for (code, name) in (40..).zip(names) {
        let exit = status
            .service(&name.to_lowercase())
            .last_exit
            .clone()
            .unwrap();
        assert_eq!(exit.code, Some(code), "{name}: {exit:?}");
    }
}

/// Behaviour 24: the time until SIGKILL is each service's own.
#[test]
fn b24_the_kill_delay_is_per_service() {
    let mut world = World::new();
    world.child(
        "short",
        &["ignore-term", "print=set", "sleep"],
        "[stop]\ntimeout = \"100ms\"",
    );
    world.child(
        "long",
        &["ignore-term", "print=set", "sleep"],
        "[stop]\ntimeout = \"2s\"",
    );
    world.start_ready();
    for name in ["short", "long"] {
        world.wait_log(name, |line| line == "set");
    }
    let short = world.ctl(&["stop", "short"]).ok().took;
    let long = world.ctl(&["stop", "long"]).ok().took;
    assert!(short < Duration::from_secs(2), "{short:?}");
    assert!(long >= Duration::from_secs(2), "{long:?}");
}

/// A paused process sees its stop signal.
#[test]
fn a_paused_service_stops_by_its_signal() {
    let mut world = World::new();
    world.child(
        "a",
        &["trap-term=0", "print=set", "sleep"],
        "[stop]\ntimeout = \"30s\"",
    );
    world.start_ready();
    world.wait_log("a", |line| line == "set");
    kill(world.status().pid("a"), Signal::SIGSTOP);
    let told = world.ctl(&["stop", "a"]).ok();
    assert!(told.took < Duration::from_secs(10), "{told:#?}");
    assert_eq!(
        world.status().service("a").last_exit.as_ref().unwrap().code,
        Some(0)
    );
}

/// Several names and patterns are acted on together.
#[test]
fn several_names_and_globs_are_one_stop() {
    let mut world = World::new();
    for name in ["web1", "web2", "db", "other"] {
        world.child(name, &["sleep"], "");
    }
    world.start_ready();
    world.ctl(&["stop", "web*", "db"]).ok();
    let status = world.status();
    for name in ["web1", "web2", "db"] {
        assert_eq!(status.state(name), "stopped");
    }
    assert_eq!(status.state("other"), "running");
}

/// What is so already is said to be so, and is not done again.
#[test]
fn a_needless_start_or_stop_says_so() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.start_ready();
    let pid = world.status().services[0].pid;
    let started = world.ctl(&["start", "a"]).ok();
    assert!(started.stdout.contains("already running"), "{started:#?}");
    assert_eq!(world.status().services[0].pid, pid);
    let stopped = world.ctl(&["stop", "a"]).ok();
    assert!(!stopped.stdout.contains("already"), "{stopped:#?}");
    let stopped = world.ctl(&["stop", "a"]).ok();
    assert!(stopped.stdout.contains("already stopped"), "{stopped:#?}");
}

/// What SIGKILL does not end is not stopped: said, named, never started a second time beside it, and what
/// its goal says as soon as it has gone.
#[test]
fn a_service_that_sigkill_does_not_end_is_not_stopped_and_says_so() {
    let mut world = World::new();
    world.child("a", &["sleep"], "[stop]\ntimeout = \"300ms\"");
    world.child("b", &["sleep"], "");
    world.start_ready();
    let (pid, b) = (world.status().pid("a"), world.status().pid("b"));
    let tracer = Tracer::hold(pid);
    let told = world.ctl(&["stop", "a"]);
    assert_eq!(told.code, 1, "{told:#?}");
    let named = format!("pid {pid} (testchild): a tracer holds it");
    assert!(told.both().contains(&named), "{told:#?}");
    let status = world.status();
    assert_eq!(status.state("a"), "failed");
    assert!(
        status
            .service("a")
            .reason
            .as_ref()
            .unwrap()
            .contains(&named),
        "{status:#?}"
    );
    // Over a new control process too.
    let control = world.control_pid();
    kill(control, Signal::SIGKILL);
    world.wait_for("the next one", |status| {
        status.supervisor.pid != control
            && status
                .service("a")
                .reason
                .as_ref()
                .is_some_and(|it| it.contains(&named))
    });
    for verb in ["start", "restart"] {
        let told = world.ctl(&[verb, "a"]);
        assert_eq!(told.code, 1, "{told:#?}");
        assert!(told.both().contains(&named), "{told:#?}");
    }
    drop(tracer);
    world.wait_state("a", "running");
    let status = world.status();
    assert!(!alive(pid) && status.pid("a") != pid);
    assert_eq!(status.pid("b"), b);
}

/// The same, and it is not wanted any more.
#[test]
fn what_goes_at_last_is_stopped_if_that_is_what_was_asked() {
    let mut world = World::new();
    world.child("a", &["sleep"], "[stop]\ntimeout = \"100ms\"");
    world.start_ready();
    let tracer = Tracer::hold(world.status().pid("a"));
    assert_eq!(world.ctl(&["stop", "a"]).code, 1);
    drop(tracer);
    world.wait_state("a", "stopped");
}
