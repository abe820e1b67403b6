//! The system gives no inotify instance (128 for each account by default, and others use them too):
//! what is told of changes elsewhere looks for itself, and says so.

use std::fs;

use mattervisor_tests::{Events, World, eventually, skip, stamps};

/// A world that can have none.
fn world() -> World {
    let mut world = World::new();
    let none = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"";
    world.behind(&[
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        none,
        "sh",
    ]);
    world
}

#[test]
fn without_inotify_logs_are_read_and_followed() {
    if !nix::unistd::geteuid().is_root() {
        skip!("the processes of a user namespace are ended by root alone");
    }
    let mut world = world();
    let go = world.file("go");
    world.child(
        "a",
        &[
            "print=first",
            &format!("wait-file={go}"),
            "print=second",
            "sleep",
        ],
        "",
    );
    world.start_ready();
    world.wait_log("a", |line| line == "first");
    let read = world.ctl(&["logs", "a"]).ok();
    assert!(read.stdout.contains("first"), "{}", read.both());
    let tail = Events::lines(world.ctl_command().args(["tail", "a"]));
    let shows = |word: &str| {
        eventually(word, || {
            let all = tail.all();
            all.iter().any(|line| line.contains(word)).then_some(())
        });
    };
    shows("first");
    shows("looks for new lines every 1 s");
    fs::write(&go, "").unwrap();
    shows("second");
}

#[test]
fn without_inotify_watched_files_are_looked_at_and_status_warns() {
    if !nix::unistd::geteuid().is_root() {
        skip!("the processes of a user namespace are ended by root alone");
    }
    let mut world = world();
    let (watched, started) = (world.file("watched"), world.file("started"));
    fs::write(&watched, "one").unwrap();
    let table = format!("[[watches]]\npath = \"{watched}\"\non_change = \"restart\"");
    world.child("a", &[&format!("file={started}"), "sleep"], &table);
    world.start_ready();
    let status = world.wait_for("status warns", |status| {
        !status.supervisor.warnings.is_empty()
    });
    let warnings = status.supervisor.warnings.join("\n");
    assert!(warnings.contains("looked at every 10 s only"), "{warnings}");
    assert!(
        warnings.contains("fs.inotify.max_user_instances"),
        "{warnings}"
    );
    fs::write(&watched, "two").unwrap();
    eventually("the change is noticed", || {
        (stamps(started.as_ref()).len() >= 2).then_some(())
    });
}
