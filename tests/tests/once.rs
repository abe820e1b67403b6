//! Services that are started once, and services whose failure ends the supervisor.

use std::time::Duration;

use mattervisor_tests::{Site, StatusExt, kill, stamps};
use nix::sys::signal::Signal;

/// `ctl once` starts a held service, lifts the hold, and does not restart the service when it ends,
/// also after the death of the control process.
#[test]
fn once_starts_and_does_not_restart() {
    let mut site = Site::new();
    let (file, go) = (site.file("stamps"), site.file("go"));
    site.child(
        "a",
        &[
            &format!("file={file}"),
            &format!("wait-file={go}"),
            "exit=0",
        ],
        "",
    );
    site.start_ready();
    site.ctl(&["stop", "a"]).ok();
    site.ctl(&["once", "a"]).ok();
    let status = site.status();
    assert_eq!(status.state("a"), "running");
    assert!(status.service("a").held.is_none(), "the hold is lifted");
    let reason = status.service("a").reason.clone().unwrap_or_default();
    assert!(reason.contains("once"), "{reason}");
    kill(site.control_pid(), Signal::SIGKILL);
    std::fs::write(&go, "").unwrap();
    site.wait_state("a", "completed");
    assert_eq!(stamps(file.as_ref()).len(), 2, "it was started again");
    // A later `ctl start` restores the restart policy.
    std::fs::remove_file(&go).unwrap();
    site.ctl(&["start", "a"]).ok();
    let pid = site.status().pid("a");
    kill(pid, Signal::SIGKILL);
    site.wait_reborn("a", pid);
}

/// A service that is started once and ends with an error has failed, whatever its policy.
#[test]
fn once_that_fails_has_failed() {
    let mut site = Site::new();
    let (file, go) = (site.file("stamps"), site.file("go"));
    site.child(
        "a",
        &[
            &format!("file={file}"),
            &format!("wait-file={go}"),
            "exit=3",
        ],
        "",
    );
    site.start_ready();
    let pid = site.status().pid("a");
    site.ctl(&["once", "a"]).ok();
    assert_eq!(site.status().pid("a"), pid, "what runs is left alone");
    std::fs::write(&go, "").unwrap();
    let status = site.wait_state("a", "failed");
    let exit = status.service("a").last_exit.clone().unwrap();
    assert_eq!(exit.code, Some(3));
    assert_eq!(stamps(file.as_ref()).len(), 1);
}

/// With `exit_when_failed` the supervisor stops everything in order, exits with 1 and logs why.
#[test]
fn exit_when_failed_stops_all_in_order_and_ends_with_one() {
    let mut site = Site::new();
    let (stops, go) = (site.file("stops"), site.file("go"));
    let stop = format!("stop-file={stops}");
    site.child("base", &[&stop, "sleep"], "");
    site.child("top", &[&stop, "sleep"], "requires = ['base']");
    site.child(
        "vital",
        &[&format!("wait-file={go}"), "exit=7"],
        r#"
            exit_when_failed = true
            [restart]
            policy = "never"
        "#,
    );
    site.start_ready();
    let status = site.status();
    let (base, top) = (status.pid("base"), status.pid("top"));
    std::fs::write(&go, "").unwrap();
    assert_eq!(site.wait_end(Duration::from_secs(60)), 1);
    let order: Vec<i32> = stamps(stops.as_ref())
        .iter()
        .map(|stamp| stamp.pid)
        .collect();
    assert_eq!(order, [top, base]);
    assert_eq!(site.leftovers(), Vec::<String>::new());
    let log = site.supervisor_log();
    assert!(
        log.contains("exit_when_failed of vital") && log.contains("exit code 7"),
        "{log}"
    );
}
