//! Services that complete: daemons that end with success, and oneshots that a command or a plan
//! runs again.

use std::fs;

use api::PlanImpact;
use mattervisor_tests::{Site, StatusExt, stamps};

use crate::reconfigure::{actions, dry_run, outcome};

/// A daemon that ends with success and is not restarted has not failed: no notification calls it a
/// failure, services that require it start, and `exit_when_failed` does not end the supervisor.
#[test]
fn a_daemon_that_ends_with_success_is_no_failure() {
    let mut site = Site::new();
    let (go, told) = (site.file("go"), site.file("told"));
    site.site_file(&format!(
        r#"
            [notify.file]
            on = ["failed"]
            command = ["/bin/sh", "-c", 'echo "$MATTERVISOR_CAUSE" >> "$0"', "{told}"]
        "#
    ));
    let well = r#"
        exit_when_failed = true
        [restart]
        policy = "on-failure"
        success = [130]
    "#;
    site.child("p", &[&format!("wait-file={go}"), "exit=130"], well);
    site.child("late", &["sleep"], "requires = ['p']");
    site.start_ready();
    fs::write(&go, "").unwrap();
    let status = site.wait_state("p", "completed");
    assert_eq!(
        status.service("p").last_exit.as_ref().unwrap().code,
        Some(130)
    );
    site.ctl(&["status"]).ok();
    let told_late = site.ctl(&["restart", "late"]).ok();
    assert!(told_late.both().contains("late: running"), "{told_late:#?}");
    // The same holds for a service that a reconfigure adds.
    let never = "[restart]\npolicy = 'never'";
    site.child("added", &["exit=0"], never);
    let added = outcome(&site.ctl(&["reconfigure", "--format", "json"]).ok());
    assert!(
        added.results.iter().any(|it| it.service == "added"),
        "{added:#?}"
    );
    site.wait_state("added", "completed");
    // Notifications go out in order: were a success taken for a failure, a line for it would come
    // before this one.
    site.child("bad", &["exit=1"], never);
    site.ctl(&["reconfigure"]);
    mattervisor_tests::eventually("a failure is told", || {
        let told = fs::read_to_string(&told).unwrap_or_default();
        (told == "failed\n").then_some(())
    });
    fs::remove_file(&go).unwrap();
    let again = site.ctl(&["start", "p"]).ok();
    assert!(again.both().contains("p: running"), "{again:#?}");
}

/// A oneshot that a command or a plan runs again is named, predicted by the dry run and waited for;
/// its failure fails the command.
#[test]
fn a_oneshot_that_runs_again_is_named_and_waited_for() {
    let mut site = Site::new();
    let (runs, bad) = (site.file("runs"), site.file("bad"));
    site.child("db", &["sleep"], "");
    site.child(
        "setup",
        &[
            &format!("file={runs}"),
            &format!("shift-exit={bad}:3"),
            "delay=300",
        ],
        r#"
            type = "oneshot"
            requires = ["db"]
            [restart]
            policy = "never"
        "#,
    );
    site.start_ready();
    let told = site.ctl(&["restart", "db"]).ok().both();
    assert!(told.contains("setup runs again"), "{told}");
    assert!(told.contains("setup: completed"), "{told}");
    assert_eq!(site.status().state("setup"), "completed");
    assert_eq!(stamps(runs.as_ref()).len(), 2);
    site.child("db", &["sleep"], "[env]\nNEW = '1'\n");
    let preview = dry_run(&site, &[]);
    assert_eq!(
        actions(&preview)["setup"],
        PlanImpact::Restart,
        "{preview:#?}"
    );
    let told = site.ctl(&["reconfigure"]).ok().both();
    assert!(told.contains("setup: completed"), "{told}");
    assert_eq!(stamps(runs.as_ref()).len(), 3);
    fs::write(&bad, "").unwrap();
    let told = site.ctl(&["restart", "db"]).expect_code(1).both();
    assert!(told.contains("setup: failed"), "{told}");
    fs::remove_file(&bad).unwrap();
    site.ctl(&["start", "setup"]).ok();
    let told = site.ctl(&["stop", "db"]).ok().both();
    assert!(told.contains("setup runs again when"), "{told}");
}

/// A service that restarts because of another is reported as restarted, not as already running.
#[test]
fn what_restarts_with_another_is_not_running_already() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.child("hard", &["sleep"], "requires = ['a']");
    site.start_ready();
    let before = site.status().pid("hard");
    let told = outcome(&site.ctl(&["restart", "a", "--format", "json"]).ok());
    let hard = told.results.iter().find(|it| it.service == "hard").unwrap();
    assert_ne!(hard.pid, Some(before));
    assert_eq!(hard.verdict, api::Verdict::Done, "{told:#?}");
}

/// A completed oneshot is stopped once the services that require it are down, and the command
/// reports it as stopped only then.
#[test]
fn a_stop_of_what_is_completed_waits_for_who_requires_it() {
    let mut site = Site::new();
    site.child("setup", &["exit=0"], "type = 'oneshot'");
    let slow = r#"
        requires = ["setup"]
        [stop]
        timeout = "300ms"
    "#;
    site.child("slow", &["ignore-term", "sleep"], slow);
    site.start_ready();
    let told = site.ctl(&["stop", "setup", "slow"]).ok().both();
    assert!(told.contains("setup: stopped"), "{told}");
    assert_eq!(site.status().state("setup"), "stopped", "{told}");
}
