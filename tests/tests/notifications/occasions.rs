//! The occasions of notifications, and how often each one is sent.

use std::{fs, path::Path};

use mattervisor_tests::{Site, StatusExt, binary, install, kill, skip};
use nix::sys::signal::Signal;

use super::{hooks::Hooks, site_file};

/// A crash loop causes two messages, the second of which says that the service flaps, and then
/// none. Status and events say so as well, also after the control process was replaced.
#[test]
fn a_crash_loop_is_told_a_few_times_and_shown_as_flapping() {
    let hooks = Hooks::new(&[]);
    let mut site = Site::new();
    site_file(
        &site,
        &hooks.site_file("[\"restarted\", \"failed\", \"unhealthy\", \"recovered\"]"),
    );
    let pace = r#"
        [restart]
        delay = "20ms"
        max_delay = "20ms"
    "#;
    site.child("a", &["exit=3"], pace);
    site.start();
    site.wait_for("it flaps", |status| {
        let reason = status.service("a").reason.clone().unwrap_or_default();
        status.service("a").restarts > 20 && reason.contains("flapping: restarted")
    });
    let posted = hooks.wait(2);
    let text = posted[1].body["text"].as_str().unwrap();
    assert!(
        text.contains("a is flapping: restarted 5 times within 10m"),
        "{text}"
    );
    let events = site
        .ctl(&["events", "-n", "1000", "--format", "json"])
        .ok()
        .stdout;
    assert_eq!(
        events.matches("\"kind\":\"flapping\"").count(),
        1,
        "{events}"
    );
    let control = site.control_pid();
    kill(control, Signal::SIGKILL);
    let status = site.wait_for("another control process", |status| {
        status.supervisor.pid != control && status.service("a").restarts > 40
    });
    let reason = status.service("a").reason.clone().unwrap_or_default();
    assert!(reason.contains("flapping: restarted"), "{reason}");
    assert_eq!(hooks.posted().len(), 2, "{:?}", hooks.posted());
}

/// A health probe that fails, and then succeeds again.
#[test]
fn what_is_unhealthy_is_told() {
    let hooks = Hooks::new(&[]);
    let mut site = Site::new();
    site_file(&site, &hooks.site_file("[\"unhealthy\", \"recovered\"]"));
    let sick = site.file("sick");
    let health = format!(
        r#"
            [health]
            exec = ["/bin/sh", "-c", "! test -e {sick}"]
            interval = "50ms"
            failures = 1
        "#
    );
    site.child("a", &["sleep"], &health);
    site.start_ready();
    fs::write(&sick, "").unwrap();
    let posted = hooks.wait(1);
    let text = posted[0].body["text"].as_str().unwrap();
    assert!(text.contains("a is unhealthy"), "{text}");
    fs::remove_file(&sick).unwrap();
    let posted = hooks.wait(2);
    let text = posted[1].body["text"].as_str().unwrap();
    assert!(text.contains("a has recovered"), "{text}");
}

/// A package has replaced a program whose process still runs.
#[test]
fn a_program_that_was_replaced_is_told_once() {
    let hooks = Hooks::new(&[]);
    let mut site = Site::new();
    site_file(&site, &hooks.site_file("[\"deleted-binary\"]"));
    let program = site.path("program");
    install(&binary("testchild"), &program);
    site.service(
        "a",
        &format!("command = ['{}', 'sleep']\n", program.display()),
    );
    site.child("b", &["sleep"], "");
    site.start_ready();
    fs::remove_file(&program).unwrap();
    install(&binary("testchild"), &program);
    // A start makes the supervisor check the programs of services soon.
    site.ctl(&["restart", "b"]).ok();
    let posted = hooks.wait(1);
    let text = posted[0].body["text"].as_str().unwrap();
    assert!(
        text.contains("runs a program that has been replaced"),
        "{text}"
    );
    assert!(text.contains("ctl restart a"), "{text}");
}

/// A nearly full disk below a directory of a service.
#[test]
fn a_disk_that_is_nearly_full_is_told() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to mount a small disk");
    }
    let hooks = Hooks::new(&[]);
    let mut site = Site::new();
    site_file(&site, &hooks.site_file("[\"disk\"]"));
    let data = site.path("data");
    fs::create_dir(&data).unwrap();
    let disk = Small::mount(&data);
    fs::write(data.join("fill"), vec![b'x'; 950 << 10]).unwrap();
    let directory = format!(
        r#"
            [[directories]]
            path = "{}"
            mode = "0755"
        "#,
        data.display()
    );
    site.child("a", &["sleep"], &directory);
    site.start_ready();
    let posted = hooks.wait(1);
    let text = posted[0].body["text"].as_str().unwrap();
    assert!(
        text.contains("is nearly full") && text.contains("(7 %)"),
        "{text}"
    );
    assert!(text.contains(&data.display().to_string()), "{text}");
    drop(disk);
}

/// A tmpfs of one MiB, unmounted on drop.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(path: &'a Path) -> Self {
        use nix::mount::{MsFlags, mount};
        let options = Some("size=1024k,mode=755");
        mount(
            Some("tmpfs"),
            path,
            Some("tmpfs"),
            MsFlags::empty(),
            options,
        )
        .unwrap();
        Self(path)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}
