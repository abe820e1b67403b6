//! Templates: one service file, several services.

use mattervisor_tests::{Site, StatusExt};

fn names(site: &Site) -> Vec<String> {
    let services = site.status().services.into_iter();
    services.map(|service| service.name).collect()
}

#[test]
fn instances_run_are_told_apart_and_come_and_go() {
    let mut site = Site::new();
    let more = "[settings]\nqueue = { default = 'q-{{ instance }}', env = 'QUEUE' }\n";
    site.child("worker@", &["print={{ instance }}", "env", "sleep"], more);
    site.site_file("worker.instances = ['1', 'blue']\n'worker@1'.queue = 'own'\n");
    site.start_ready();
    assert_eq!(names(&site), ["worker@1", "worker@blue"]);
    for (name, line) in [("worker@1", "QUEUE=own"), ("worker@blue", "QUEUE=q-blue")] {
        site.wait_log(name, |it| it == line);
    }
    assert!(site.log("worker@blue").contains(&"blue".to_owned()));
    assert!(site.log_dir("worker@1").ends_with("worker@1"));

    let before = site.status();
    site.ctl(&["restart", "worker@*"]).ok();
    let after = site.status();
    for name in ["worker@1", "worker@blue"] {
        assert_ne!(after.pid(name), before.pid(name));
    }
    site.ctl(&["stop", "worker@blue"]).ok();
    assert!(site.status().ready("worker@1"));

    let kept = site.status().pid("worker@1");
    site.site_file("worker.instances = ['1', 'green']\n'worker@1'.queue = 'own'\n");
    site.ctl(&["reconfigure"]).ok();
    let status = site.wait_for("green is up and blue has left", |status| {
        let mut services = status.services.iter();
        services.any(|it| it.name == "worker@green" && it.ready)
            && status.services.iter().all(|it| it.name != "worker@blue")
    });
    assert_eq!(status.pid("worker@1"), kept, "what did not change goes on");
}
