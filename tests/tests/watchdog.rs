//! Watchdogs: services that must send pings, and the consequences of their silence.

use mattervisor_tests::{Site, StatusExt};

/// A `testchild` that is ready, and sends pings as long as its file exists.
fn watched(site: &Site, name: &str, table: &str) {
    let alive = site.file(&format!("{name}.alive"));
    std::fs::write(&alive, "").unwrap();
    let verbs = ["notify=READY=1", &format!("ping-while={alive}:50")];
    site.child(
        name,
        &verbs,
        &format!(
            "
                [ready]
                notify = true
                [watchdog]
                {table}
            "
        ),
    );
}

fn fall_silent(site: &Site, name: &str) {
    std::fs::remove_file(site.path(&format!("{name}.alive"))).unwrap();
}

/// Silence ends the run by the watchdog's own signal, and a new run starts.
#[test]
fn silence_ends_the_run_by_the_watchdogs_signal_and_restarts() {
    let mut site = Site::new();
    watched(&site, "a", "timeout = '1s'\nsignal = 'ABRT'");
    site.child("told", &["env", "sleep"], "[watchdog]\ntimeout = '90s'");
    site.start_ready();
    let pid = site.status().pid("a");
    fall_silent(&site, "a");
    site.wait_for("a is restarted", |status| status.service("a").restarts >= 1);
    std::fs::write(site.path("a.alive"), "").unwrap();
    let status = site.wait_reborn("a", pid);
    let exit = status.service("a").last_exit.clone().unwrap();
    assert_eq!(exit.signal.as_deref(), Some("ABRT"), "{exit:?}");
    // The variable that sd_watchdog_enabled(3) reads.
    site.wait_log("told", |line| line == "WATCHDOG_USEC=90000000");
    site.wait_log("told", |line| line.starts_with("NOTIFY_SOCKET="));
}

/// A service that sends its pings is left alone, also over the death of the control process.
#[test]
fn what_speaks_is_left_alone_also_when_control_dies() {
    let mut site = Site::new();
    watched(&site, "a", "timeout = '1s'");
    site.child("while", &["delay=2500"], "type = 'oneshot'");
    site.start_ready();
    let pid = site.status().pid("a");
    mattervisor_tests::kill(site.control_pid(), nix::sys::signal::Signal::SIGKILL);
    site.ctl(&["restart", "while"]).ok();
    let status = site.status();
    assert_eq!(status.pid("a"), pid);
    assert_eq!(status.service("a").restarts, 0);
}

/// With `action = 'degrade'` silence is shown as degraded and restarts nothing, and the next ping
/// ends it.
#[test]
fn silence_may_only_degrade_and_ends_with_the_next_word() {
    let mut site = Site::new();
    watched(&site, "a", "timeout = '1s'\naction = 'degrade'");
    site.start_ready();
    let pid = site.status().pid("a");
    fall_silent(&site, "a");
    let status = site.wait_for("a is degraded", |status| {
        status.service("a").healthy == Some(false)
    });
    let reason = status.service("a").reason.clone().unwrap_or_default();
    assert!(reason.contains("watchdog"), "{reason}");
    assert!(status.ready("a"), "degraded is still up");
    std::fs::write(site.path("a.alive"), "").unwrap();
    let status = site.wait_for("a is well again", |status| {
        status.service("a").healthy == Some(true)
    });
    assert_eq!(status.pid("a"), pid);
    assert_eq!(status.service("a").restarts, 0);
}

/// A run may set the timeout of its watchdog, and may trigger its watchdog itself.
#[test]
fn a_run_triggers_its_watchdog_and_sets_its_timeout() {
    let mut site = Site::new();
    let go = site.file("go");
    let verbs = [
        "notify=WATCHDOG_USEC=0",
        "notify=READY=1",
        &format!("wait-file={go}"),
        "notify=WATCHDOG=trigger",
        "sleep",
    ];
    site.child(
        "a",
        &verbs,
        r#"
            [ready]
            notify = true
            [watchdog]
            timeout = "300ms"
            [restart]
            policy = "never"
        "#,
    );
    site.child("while", &["delay=1500"], "type = 'oneshot'");
    site.start_ready();
    assert_eq!(site.status().state("a"), "running", "it need not speak");
    std::fs::write(go, "").unwrap();
    let status = site.wait_state("a", "failed");
    let reason = status.service("a").reason.clone().unwrap_or_default();
    assert!(reason.contains("watchdog"), "{reason}");
}
