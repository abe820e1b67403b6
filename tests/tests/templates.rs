//! One service file, several services.

use mattervisor_tests::{StatusExt, World};

fn names(world: &World) -> Vec<String> {
    let services = world.status().services.into_iter();
    services.map(|service| service.name).collect()
}

#[test]
fn instances_run_are_told_apart_and_come_and_go() {
    let mut world = World::new();
    let more = "[settings]\nqueue = { default = \"q-{{ instance }}\", env = \"QUEUE\" }\n";
    world.child("worker@", &["print={{ instance }}", "env", "sleep"], more);
    world.site("worker.instances = [\"1\", \"blue\"]\n\"worker@1\".queue = \"own\"\n");
    world.start_ready();
    assert_eq!(names(&world), ["worker@1", "worker@blue"]);
    for (name, line) in [("worker@1", "QUEUE=own"), ("worker@blue", "QUEUE=q-blue")] {
        world.wait_log(name, |it| it == line);
    }
    assert!(world.log("worker@blue").contains(&"blue".to_owned()));
    assert!(world.log_dir("worker@1").ends_with("worker@1"));

    let before = world.status();
    world.ctl(&["restart", "worker@*"]).ok();
    let after = world.status();
    for name in ["worker@1", "worker@blue"] {
        assert_ne!(after.pid(name), before.pid(name));
    }
    world.ctl(&["stop", "worker@blue"]).ok();
    assert!(world.status().ready("worker@1"));

    let kept = world.status().pid("worker@1");
    world.site("worker.instances = [\"1\", \"green\"]\n\"worker@1\".queue = \"own\"\n");
    world.ctl(&["reconfigure"]).ok();
    let status = world.wait_for("green is up and blue has left", |status| {
        let mut services = status.services.iter();
        services.any(|it| it.name == "worker@green" && it.ready)
            && status.services.iter().all(|it| it.name != "worker@blue")
    });
    assert_eq!(status.pid("worker@1"), kept, "what did not change goes on");
}
