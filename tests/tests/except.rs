//! `start-except`, `stop-except`, `restart-except`: what is named is left as it is.

use mattervisor_tests::{StatusExt, World, stamps};

/// `data` requires `prepare`, a oneshot that requires `base`; `app` requires `data`, `front` nothing.
fn stack() -> (World, String) {
    let mut world = World::new();
    let prepared = world.file("prepared");
    world.child("base", &["sleep"], "");
    world.child(
        "prepare",
        &[&format!("file={prepared}")],
        "type = \"oneshot\"\nrequires = [\"base\"]",
    );
    world.child("data", &["sleep"], "requires = [\"prepare\"]");
    world.child("app", &["sleep"], "requires = [\"data\"]");
    world.child("front", &["sleep"], "");
    world.start_ready();
    (world, prepared)
}

#[test]
fn what_is_excepted_is_neither_stopped_nor_restarted_nor_is_what_it_needs() {
    let (world, prepared) = stack();
    let before = world.status();
    let told = world.ctl(&["restart-except", "data"]).ok().both();
    assert!(
        told.contains("prepare is left as it is: data needs it"),
        "{told}"
    );
    let after = world.status();
    for kept in ["base", "data"] {
        assert_eq!(before.pid(kept), after.pid(kept), "{kept}: {told}");
    }
    for other in ["app", "front"] {
        assert_ne!(before.pid(other), after.pid(other), "{other}: {told}");
    }
    world.ctl(&["stop-except", "data"]).ok();
    let after = world.status();
    for kept in ["base", "data"] {
        assert_eq!(before.pid(kept), after.pid(kept), "{kept}");
        assert!(after.ready(kept), "{after:#?}");
    }
    for other in ["app", "front"] {
        assert_eq!(after.state(other), "stopped");
    }
    assert_eq!(after.state("prepare"), "completed");
    assert_eq!(stamps(prepared.as_ref()).len(), 1, "it has run again");
    let nothing = world.ctl(&["stop-except", "app", "front"]).expect_code(2);
    assert!(nothing.both().contains("nothing is left"), "{nothing:#?}");
}

#[test]
fn what_is_excepted_is_not_started_and_who_needs_it_says_so() {
    let (world, _) = stack();
    world.ctl(&["stop"]).ok();
    let refused = world.ctl(&["start-except", "data"]).expect_code(1);
    let said = "app requires data, which is excepted and does not run";
    assert!(refused.both().contains(said), "{refused:#?}");
    assert_eq!(
        world.status().state("front"),
        "stopped",
        "nothing was started"
    );
    // What it needs itself is one of all the others.
    world.ctl(&["start-except", "data", "app"]).ok();
    let status = world.status();
    assert_eq!(status.state("data"), "stopped");
    assert!(status.ready("base") && status.ready("front"), "{status:#?}");
    world.ctl(&["start", "data"]).ok();
    let pid = world.status().pid("data");
    world.ctl(&["start-except", "data"]).ok();
    let status = world.status();
    assert_eq!(status.pid("data"), pid);
    assert!(status.ready("app"), "{status:#?}");
}
