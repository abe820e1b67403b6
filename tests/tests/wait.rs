//! `ctl wait` waits until services are ready, healthy or stopped, whatever happens meanwhile.

use std::time::Duration;

use mattervisor_tests::{LIMIT, Running, Site, StatusExt, eventually, kill};
use nix::sys::signal::Signal;

/// Starts `ctl wait`, and returns once it has opened a socket.
fn wait(site: &Site, arguments: &[&str]) -> Running {
    let running = Running::start(site.ctl_command().arg("wait").args(arguments));
    listening(&running);
    running
}

fn listening(running: &Running) {
    let directory = format!("/proc/{}/fd", running.pid());
    eventually("it listens", || {
        let fds = std::fs::read_dir(&directory).ok()?.flatten();
        let mut links = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
        // tokio has a socket pair of its own, so the connection to the supervisor may not be there
        // yet.
        links
            .any(|link| link.to_string_lossy().starts_with("socket:"))
            .then_some(())
    });
}

/// Behaviour 48: `ctl wait` returns the exit status of the main process, 255 for a signal; the
/// control process may die and the plan may change meanwhile; a service that leaves the plan is not
/// waited for.
#[test]
fn b48_wait_returns_the_exit_status_survives_kill_9_and_reconfigure_and_fails_if_it_vanishes() {
    let mut site = Site::new();
    let go = site.file("go");
    let job = |go: &str, code| [format!("wait-file={go}"), format!("exit={code}")];
    let verbs = job(&go, 42);
    let never = "[restart]\npolicy = 'never'";
    site.child("job", &[&verbs[0], &verbs[1]], never);
    site.child("victim", &["sleep"], never);
    let slow = r#"
        [ready]
        notify = true
        timeout = "1h"
    "#;
    site.child("leaver", &["sleep"], slow);
    site.start();
    site.wait_for("all run", |status| {
        status.ready("job") && status.ready("victim") && status.state("leaver") == "starting"
    });
    let status = ["--stopped", "--exit-status"];
    let mut job = wait(&site, &[&status[..], &["job"]].concat());
    let victim = wait(&site, &[&status[..], &["victim"]].concat());
    let leaver = wait(&site, &["leaver"]);
    for _ in 0..2 {
        let old = site.control_pid();
        kill(old, Signal::SIGKILL);
        assert_ne!(site.control_pid(), old);
    }
    site.child("other", &["sleep"], "");
    site.without("leaver");
    site.ctl(&["reconfigure"]).ok();
    let told = leaver.finish_within(LIMIT).expect_code(4);
    assert!(told.stderr.contains("leaver"), "{told:#?}");
    assert!(!job.has_ended(), "nothing has happened to it");
    kill(site.status().pid("victim"), Signal::SIGKILL);
    assert_eq!(victim.finish_within(LIMIT).code, 255);
    std::fs::write(&go, "").unwrap();
    let told = job.finish_within(LIMIT);
    assert_eq!((told.code, told.stdout.as_str()), (42, ""), "{told:#?}");
    // A wait for a run that is over returns at once.
    site.ctl(&["wait", "--stopped", "--exit-status", "job"])
        .expect_code(42);
}

/// `--ready` is the default, `--healthy` asks for more, `--stopped` for the opposite.
#[test]
fn ready_healthy_and_stopped_are_told_apart() {
    let mut site = Site::new();
    let go = site.file("go");
    let well = site.file("well");
    let health = format!(
        r#"
            [ready]
            notify = true
            timeout = "1h"
            [health]
            exec = ["test", "-e", "{well}"]
            interval = "50ms"
            failures = 1
        "#
    );
    let verb = format!("wait-file={go}");
    site.child("a", &[&verb, "notify=READY=1", "sleep"], &health);
    site.start();
    let mut ready = wait(&site, &["a"]);
    let mut healthy = wait(&site, &["--healthy", "a"]);
    let mut stopped = wait(&site, &["--stopped", "a"]);
    assert!(!ready.has_ended() && !healthy.has_ended());
    std::fs::write(&go, "").unwrap();
    ready.finish_within(LIMIT).ok();
    site.wait_for("it is ill", |status| {
        status.services[0].healthy == Some(false)
    });
    let ill = site.ctl(&["wait", "--healthy", "--timeout", "100ms", "a"]);
    assert_eq!(ill.code, 7, "{ill:#?}");
    // The service may have counted as healthy for a moment, before the first probe.
    if !healthy.has_ended() {
        std::fs::write(&well, "").unwrap();
    }
    healthy.finish_within(LIMIT).ok();
    assert!(!stopped.has_ended());
    site.ctl(&["stop", "a"]).ok();
    stopped.finish_within(LIMIT).ok();
    let told = site.ctl(&["wait", "a"]).expect_code(3);
    assert!(
        told.took < Duration::from_secs(5),
        "what is held is not waited for"
    );
}
