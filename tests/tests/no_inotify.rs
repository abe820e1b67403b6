//! The system gives no inotify instance (an account has 128 by default, for all its programs):
//! followers of logs and watches of files poll instead, and say so.

use std::fs;

use mattervisor_tests::{Events, Site, StatusExt, eventually, skip, stamps};

/// A site whose processes get no inotify instance.
fn site() -> Site {
    let mut site = Site::new();
    let none = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"";
    site.behind(&[
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        none,
        "sh",
    ]);
    site
}

#[test]
fn without_inotify_logs_are_read_and_followed() {
    if !nix::unistd::geteuid().is_root() {
        skip!("the processes of a user namespace are ended by root alone");
    }
    let mut site = site();
    let go = site.file("go");
    site.child(
        "a",
        &[
            "print=first",
            &format!("wait-file={go}"),
            "print=second",
            "sleep",
        ],
        "",
    );
    site.start_ready();
    site.wait_log("a", |line| line == "first");
    let read = site.ctl(&["logs", "a"]).ok();
    assert!(read.stdout.contains("first"), "{}", read.both());
    let tail = Events::lines(site.ctl_command().args(["tail", "a"]));
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
    let mut site = site();
    let (watched, started) = (site.file("watched"), site.file("started"));
    fs::write(&watched, "one").unwrap();
    let table = format!(
        r#"
            [[watches]]
            path = "{watched}"
            on_change = "restart"
        "#
    );
    site.child("a", &[&format!("file={started}"), "sleep"], &table);
    site.start_ready();
    let status = site.wait_for("status warns", |status| !status.warnings().is_empty());
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
