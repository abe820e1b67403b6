//! `start-except`, `stop-except`, `restart-except`: the named services are left as they are.

use mattervisor_tests::{Site, StatusExt, stamps};

/// `data` requires `prepare`, a oneshot that requires `base`; `app` requires `data`, `front`
/// nothing.
fn stack() -> (Site, String) {
    let mut site = Site::new();
    let prepared = site.file("prepared");
    site.child("base", &["sleep"], "");
    site.child(
        "prepare",
        &[&format!("file={prepared}")],
        "type = 'oneshot'\nrequires = ['base']",
    );
    site.child("data", &["sleep"], "requires = ['prepare']");
    site.child("app", &["sleep"], "requires = ['data']");
    site.child("front", &["sleep"], "");
    site.start_ready();
    (site, prepared)
}

#[test]
fn what_is_excepted_is_neither_stopped_nor_restarted_nor_is_what_it_needs() {
    let (site, prepared) = stack();
    let before = site.status();
    let told = site.ctl(&["restart-except", "data"]).ok().both();
    assert!(
        told.contains("prepare is left as it is: data needs it"),
        "{told}"
    );
    let after = site.status();
    for kept in ["base", "data"] {
        assert_eq!(before.pid(kept), after.pid(kept), "{kept}: {told}");
    }
    for other in ["app", "front"] {
        assert_ne!(before.pid(other), after.pid(other), "{other}: {told}");
    }
    site.ctl(&["stop-except", "data"]).ok();
    let after = site.status();
    for kept in ["base", "data"] {
        assert_eq!(before.pid(kept), after.pid(kept), "{kept}");
        assert!(after.ready(kept), "{after:#?}");
    }
    for other in ["app", "front"] {
        assert_eq!(after.state(other), "stopped");
    }
    assert_eq!(after.state("prepare"), "completed");
    assert_eq!(stamps(prepared.as_ref()).len(), 1, "it has run again");
    let nothing = site.ctl(&["stop-except", "app", "front"]).expect_code(2);
    assert!(nothing.both().contains("nothing is left"), "{nothing:#?}");
}

#[test]
fn what_is_excepted_is_not_started_and_who_needs_it_says_so() {
    let (site, _) = stack();
    site.ctl(&["stop"]).ok();
    let refused = site.ctl(&["start-except", "data"]).expect_code(1);
    let said = "app requires data, which is excepted and does not run";
    assert!(refused.both().contains(said), "{refused:#?}");
    assert_eq!(
        site.status().state("front"),
        "stopped",
        "nothing was started"
    );
    // A service that only an excepted one requires is started like any other.
    site.ctl(&["start-except", "data", "app"]).ok();
    let status = site.status();
    assert_eq!(status.state("data"), "stopped");
    assert!(status.ready("base") && status.ready("front"), "{status:#?}");
    site.ctl(&["start", "data"]).ok();
    let pid = site.status().pid("data");
    site.ctl(&["start-except", "data"]).ok();
    let status = site.status();
    assert_eq!(status.pid("data"), pid);
    assert!(status.ready("app"), "{status:#?}");
}
