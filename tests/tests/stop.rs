//! Stops of services: the signal, the timeout, and SIGKILL.

use std::time::Duration;

use mattervisor_tests::{Site, StatusExt, Tracer, alive, kill};
use nix::sys::signal::Signal;

/// Behaviour 22: a stop that the service ignores ends in SIGKILL, succeeds, and says so.
#[test]
fn b22_stop_timeout_escalates_to_sigkill_and_says_so() {
    let mut site = Site::new();
    site.child(
        "a",
        &["ignore-term", "print=ignoring", "sleep"],
        "[stop]\ntimeout = '300ms'",
    );
    site.start_ready();
    site.wait_log("a", |line| line == "ignoring");
    let pid = site.status().pid("a");
    let told = site.ctl(&["stop", "a"]).ok();
    assert!(told.both().contains("KILL"), "{told:#?}");
    assert!(told.took >= Duration::from_millis(300));
    assert!(!alive(pid));
    let status = site.status();
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

/// Behaviour 20: a service that asks for more time during its stop gets it, also if its readiness
/// does not come by notification.
#[test]
fn b20_extend_timeout_prolongs_the_stop() {
    let mut site = Site::new();
    let verbs = [
        "notify-on-term=EXTEND_TIMEOUT_USEC=20000000",
        "stop-delay=1200",
        "trap-term=9",
        "print=set",
        "sleep",
    ];
    let more = r#"
        notify_access = "main"
        [stop]
        timeout = "500ms"
    "#;
    site.child("asks", &verbs, more);
    site.start_ready();
    site.wait_log("asks", |line| line == "set");
    site.ctl(&["stop", "asks"]).ok();
    let exit = site.status().service("asks").last_exit.clone().unwrap();
    assert_eq!(exit.code, Some(9), "it was killed: {exit:?}");
}

/// Behaviour 23: a service gets the stop signal that its file names.
#[test]
fn b23_custom_stop_signals() {
    let mut site = Site::new();
    let names = ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH"];
    for (code, name) in (40..).zip(names) {
        let verbs = [&format!("trap={name}:{code}"), "print=set", "sleep"];
        site.child(
            &name.to_lowercase(),
            &verbs,
            &format!(
                r#"
                    [stop]
                    signal = "{name}"
                    timeout = "5s"
                "#
            ),
        );
    }
    site.start_ready();
    for name in names {
        site.wait_log(&name.to_lowercase(), |line| line == "set");
    }
    site.ctl(&["stop"]).ok();
    let status = site.status();
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
    let mut site = Site::new();
    site.child(
        "short",
        &["ignore-term", "print=set", "sleep"],
        "[stop]\ntimeout = '100ms'",
    );
    site.child(
        "long",
        &["ignore-term", "print=set", "sleep"],
        "[stop]\ntimeout = '2s'",
    );
    site.start_ready();
    for name in ["short", "long"] {
        site.wait_log(name, |line| line == "set");
    }
    let short = site.ctl(&["stop", "short"]).ok().took;
    let long = site.ctl(&["stop", "long"]).ok().took;
    assert!(short < Duration::from_secs(2), "{short:?}");
    assert!(long >= Duration::from_secs(2), "{long:?}");
}

/// A process that SIGSTOP has paused gets its stop signal.
#[test]
fn a_paused_service_stops_by_its_signal() {
    let mut site = Site::new();
    site.child(
        "a",
        &["trap-term=0", "print=set", "sleep"],
        "[stop]\ntimeout = '30s'",
    );
    site.start_ready();
    site.wait_log("a", |line| line == "set");
    kill(site.status().pid("a"), Signal::SIGSTOP);
    let told = site.ctl(&["stop", "a"]).ok();
    assert!(told.took < Duration::from_secs(10), "{told:#?}");
    assert_eq!(
        site.status().service("a").last_exit.as_ref().unwrap().code,
        Some(0)
    );
}

/// Several names and patterns are acted on together.
#[test]
fn several_names_and_globs_are_one_stop() {
    let mut site = Site::new();
    for name in ["web1", "web2", "db", "other"] {
        site.child(name, &["sleep"], "");
    }
    site.start_ready();
    site.ctl(&["stop", "web*", "db"]).ok();
    let status = site.status();
    for name in ["web1", "web2", "db"] {
        assert_eq!(status.state(name), "stopped");
    }
    assert_eq!(status.state("other"), "running");
}

/// A start of a running service and a stop of a stopped one do nothing, and say so.
#[test]
fn a_needless_start_or_stop_says_so() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let pid = site.status().services[0].pid;
    let started = site.ctl(&["start", "a"]).ok();
    assert!(started.stdout.contains("already running"), "{started:#?}");
    assert_eq!(site.status().services[0].pid, pid);
    let stopped = site.ctl(&["stop", "a"]).ok();
    assert!(!stopped.stdout.contains("already"), "{stopped:#?}");
    let stopped = site.ctl(&["stop", "a"]).ok();
    assert!(stopped.stdout.contains("already stopped"), "{stopped:#?}");
}

/// A service that SIGKILL does not end is not stopped: the command fails and names the process, no
/// second run starts beside it, and its goal is met as soon as the process has gone.
#[test]
fn a_service_that_sigkill_does_not_end_is_not_stopped_and_says_so() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "[stop]\ntimeout = '300ms'");
    site.child("b", &["sleep"], "");
    site.start_ready();
    let (pid, b) = (site.status().pid("a"), site.status().pid("b"));
    let tracer = Tracer::hold(pid);
    let told = site.ctl(&["stop", "a"]);
    assert_eq!(told.code, 1, "{told:#?}");
    let named = format!("pid {pid} (testchild): a tracer holds it");
    assert!(told.both().contains(&named), "{told:#?}");
    let status = site.status();
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
    // A new control process names the process, too.
    let control = site.control_pid();
    kill(control, Signal::SIGKILL);
    site.wait_for("the next one", |status| {
        status.supervisor.pid != control
            && status
                .service("a")
                .reason
                .as_ref()
                .is_some_and(|it| it.contains(&named))
    });
    for verb in ["start", "restart"] {
        let told = site.ctl(&[verb, "a"]);
        assert_eq!(told.code, 1, "{told:#?}");
        assert!(told.both().contains(&named), "{told:#?}");
    }
    drop(tracer);
    site.wait_state("a", "running");
    let status = site.status();
    assert!(!alive(pid) && status.pid("a") != pid);
    assert_eq!(status.pid("b"), b);
}

/// A service that was asked to stop is stopped once its process has gone at last.
#[test]
fn what_goes_at_last_is_stopped_if_that_is_what_was_asked() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "[stop]\ntimeout = '100ms'");
    site.start_ready();
    let tracer = Tracer::hold(site.status().pid("a"));
    assert_eq!(site.ctl(&["stop", "a"]).code, 1);
    drop(tracer);
    site.wait_state("a", "stopped");
}
