//! What the machine may do to the daemon: it goes on, and says what it cannot do.

use std::{fs, path::Path};

use mattervisor_tests::{StatusExt, World, eventually, skip};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A small disk, gone with the test.
pub(crate) struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    pub(crate) fn mount(path: &'a Path, size: &str) -> Self {
        let options = format!("size={size},mode=755");
        fs::create_dir_all(path).unwrap();
        mount(
            Some("tmpfs"),
            path,
            Some("tmpfs"),
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .unwrap();
        Self(path)
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) {
        let mut block = 64 << 10;
        let mut count = 0;
        while block > 0 {
            let path = self.0.join(format!("fill-{count}"));
            if fs::write(path, vec![b'x'; block]).is_err() {
                block /= 2;
            }
            count += 1;
        }
    }

    pub(crate) fn clear(&self) {
        for entry in fs::read_dir(self.0).unwrap() {
            let path = entry.unwrap().path();
            if path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("fill-"))
            {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

/// Logs and state on a full disk: services run, stop and start all the same, and it is said.
#[test]
fn a_full_disk_stops_nothing_and_is_said() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to mount a small disk");
    }
    let mut world = World::new();
    let var = world.path("var");
    let disk = Disk::mount(&var, "512k");
    world.child("a", &["print=hello", "sleep"], "");
    world.child("b", &["sleep"], "");
    world.start_ready();
    disk.fill();
    world.ctl(&["stop", "a"]).ok();
    let status = world.status();
    assert_eq!(
        (status.state("a"), status.state("b")),
        ("stopped", "running")
    );
    let warnings = status.supervisor.warnings.join("\n");
    assert!(warnings.contains("will not survive"), "{warnings}");
    world.ctl(&["start", "a"]).ok();
    world.ctl(&["restart", "b"]).ok();
    disk.clear();
    // What is written from now on is there again, and so is a word on what is missing.
    world.ctl(&["restart", "a"]).ok();
    eventually("the log goes on", || {
        world
            .log("a")
            .iter()
            .any(|line| line == "hello")
            .then_some(())
    });
    // What is stopped from now on stays so, and nobody is warned any more.
    world.ctl(&["stop", "a"]).ok();
    assert_eq!(world.status().supervisor.warnings, Vec::<String>::new());
    assert_eq!(world.stop(), 0, "{}", world.supervisor_log());
    drop(disk);
}

/// Too few descriptors for all services: those that cannot be started are tried again, the daemon
/// goes on and can be asked.
#[test]
fn too_few_descriptors_end_nothing() {
    const SERVICES: usize = 60;
    let mut world = World::new();
    for number in 0..SERVICES {
        world.child(&format!("s{number:02}"), &["sleep"], "");
    }
    world.nofile(100);
    world.start();
    let status = world.wait_for("some run and some do not", |status| {
        let running = status
            .services
            .iter()
            .filter(|it| it.state == "running")
            .count();
        let waiting = status
            .services
            .iter()
            .filter(|it| it.state == "backoff")
            .count();
        running > 0 && waiting > 0 && running + waiting == SERVICES
    });
    let waiting = status
        .services
        .iter()
        .find(|it| it.state == "backoff")
        .unwrap();
    let reason = waiting.reason.clone().unwrap_or_default();
    assert!(
        reason.contains("open files") || reason.contains("pipe"),
        "{reason}"
    );
    assert_eq!(world.stop(), 0, "{}", world.supervisor_log());
}
