//! Work that is done: daemons that end with success, and oneshots that a command or a plan runs again.

use std::fs;

use api::PlanImpact;
use mattervisor_tests::{StatusExt, World, stamps};

use crate::reconfigure::{actions, dry_run, outcome};

/// One that ends with success, and is not restarted, has not failed: nothing calls it a failure, nothing that requires
/// it is held back, and the daemon goes on.
#[test]
fn a_daemon_that_ends_with_success_is_no_failure() {
    let mut world = World::new();
    let (go, told) = (world.file("go"), world.file("told"));
    world.site(&format!(
        "[notify.file]\non = [\"failed\"]\ncommand = [\"/bin/sh\", \"-c\", 'echo \"$MATTERVISOR_CAUSE\" >> \"$0\"', \"{told}\"]\n"
    ));
    let well = "exit_when_failed = true\n[restart]\npolicy = \"on-failure\"\nsuccess = [130]";
    world.child("p", &[&format!("wait-file={go}"), "exit=130"], well);
    world.child("late", &["sleep"], "requires = [\"p\"]");
    world.start_ready();
    fs::write(&go, "").unwrap();
    let status = world.wait_state("p", "completed");
    assert_eq!(
        status.service("p").last_exit.as_ref().unwrap().code,
        Some(130)
    );
    world.ctl(&["status"]).ok();
    let told_late = world.ctl(&["restart", "late"]).ok();
    assert!(told_late.both().contains("late: running"), "{told_late:#?}");
    // The same for one that comes with a plan.
    let never = "[restart]\npolicy = \"never\"";
    world.child("added", &["exit=0"], never);
    let added = outcome(&world.ctl(&["reconfigure", "--format", "json"]).ok());
    assert!(
        added.results.iter().any(|it| it.service == "added"),
        "{added:#?}"
    );
    world.wait_state("added", "completed");
    // Something that does fail is told; all that was to be told before it has been by then.
    world.child("bad", &["exit=1"], never);
    world.ctl(&["reconfigure"]);
    mattervisor_tests::eventually("a failure is told", || {
        let told = fs::read_to_string(&told).unwrap_or_default();
        (told == "failed\n").then_some(())
    });
    fs::remove_file(&go).unwrap();
    let again = world.ctl(&["start", "p"]).ok();
    assert!(again.both().contains("p: running"), "{again:#?}");
}

/// What a command or a plan runs again is named, waited for, foretold, and its failure is one of the command.
#[test]
fn a_oneshot_that_runs_again_is_named_and_waited_for() {
    let mut world = World::new();
    let (runs, bad) = (world.file("runs"), world.file("bad"));
    world.child("db", &["sleep"], "");
    world.child(
        "setup",
        &[
            &format!("file={runs}"),
            &format!("shift-exit={bad}:3"),
            "delay=300",
        ],
        "type = \"oneshot\"\nrequires = [\"db\"]\n[restart]\npolicy = \"never\"",
    );
    world.start_ready();
    let told = world.ctl(&["restart", "db"]).ok().both();
    assert!(told.contains("setup runs again"), "{told}");
    assert!(told.contains("setup: completed"), "{told}");
    assert_eq!(world.status().state("setup"), "completed");
    assert_eq!(stamps(runs.as_ref()).len(), 2);
    world.child("db", &["sleep"], "[env]\nNEW = \"1\"\n");
    let preview = dry_run(&world, &[]);
    assert_eq!(
        actions(&preview)["setup"],
        PlanImpact::Restart,
        "{preview:#?}"
    );
    let told = world.ctl(&["reconfigure"]).ok().both();
    assert!(told.contains("setup: completed"), "{told}");
    assert_eq!(stamps(runs.as_ref()).len(), 3);
    fs::write(&bad, "").unwrap();
    let told = world.ctl(&["restart", "db"]).expect_code(1).both();
    assert!(told.contains("setup: failed"), "{told}");
    fs::remove_file(&bad).unwrap();
    world.ctl(&["start", "setup"]).ok();
    let told = world.ctl(&["stop", "db"]).ok().both();
    assert!(told.contains("setup runs again when"), "{told}");
}

/// What was restarted because of another is not said to run already.
#[test]
fn what_restarts_with_another_is_not_running_already() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.child("hard", &["sleep"], "requires = [\"a\"]");
    world.start_ready();
    let before = world.status().pid("hard");
    let told = outcome(&world.ctl(&["restart", "a", "--format", "json"]).ok());
    let hard = told.results.iter().find(|it| it.service == "hard").unwrap();
    assert_ne!(hard.pid, Some(before));
    assert_eq!(hard.verdict, api::Verdict::Done, "{told:#?}");
}

/// What is completed is stopped once what requires it is down, and is said to be so then.
#[test]
fn a_stop_of_what_is_completed_waits_for_who_requires_it() {
    let mut world = World::new();
    world.child("setup", &["exit=0"], "type = \"oneshot\"");
    let slow = "requires = [\"setup\"]\n[stop]\ntimeout = \"300ms\"";
    world.child("slow", &["ignore-term", "sleep"], slow);
    world.start_ready();
    let told = world.ctl(&["stop", "setup", "slow"]).ok().both();
    assert!(told.contains("setup: stopped"), "{told}");
    assert_eq!(world.status().state("setup"), "stopped", "{told}");
}
