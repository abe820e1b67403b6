//! Faults of the machine, such as a full disk: the supervisor goes on, and says what it cannot do.

use std::{fs, path::Path, time::Duration};

use mattervisor_tests::{Site, StatusExt, alive, eventually, kill, skip};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::Signal,
};

/// A tmpfs, unmounted on drop.
pub(crate) struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    pub(crate) fn mount(path: &'a Path, size: &str) -> Self {
        Self::mount_with(path, size, MsFlags::empty())
    }

    pub(crate) fn mount_with(path: &'a Path, size: &str, flags: MsFlags) -> Self {
        let options = format!("size={size},mode=755");
        fs::create_dir_all(path).unwrap();
        mount(
            Some("tmpfs"),
            path,
            Some("tmpfs"),
            flags,
            Some(options.as_str()),
        )
        .unwrap();
        Self(path)
    }

    /// Fills the disk to the last byte.
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

/// With logs and state on a full disk, services run, stop and start all the same, and status warns.
#[test]
fn a_full_disk_stops_nothing_and_is_said() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to mount a small disk");
    }
    let mut site = Site::new();
    let var = site.path("var");
    let disk = Disk::mount(&var, "512k");
    site.child("a", &["print=hello", "sleep"], "");
    site.child("b", &["sleep"], "");
    site.start_ready();
    disk.fill();
    site.ctl(&["stop", "a"]).ok();
    let status = site.status();
    assert_eq!(
        (status.state("a"), status.state("b")),
        ("stopped", "running")
    );
    let warnings = status.supervisor.warnings.join("\n");
    assert!(warnings.contains("will not survive"), "{warnings}");
    site.ctl(&["start", "a"]).ok();
    site.ctl(&["restart", "b"]).ok();
    disk.clear();
    // Lines that are written from now on are in the log.
    site.ctl(&["restart", "a"]).ok();
    eventually("the log goes on", || {
        site.log("a")
            .iter()
            .any(|line| line == "hello")
            .then_some(())
    });
    // A stop is stored again, and status no longer warns.
    site.ctl(&["stop", "a"]).ok();
    assert_eq!(site.status().warnings(), [""; 0]);
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    drop(disk);
}

/// Too few descriptors for all services: the supervisor retries the services that it cannot start,
/// and answers requests.
#[test]
fn too_few_descriptors_end_nothing() {
    const SERVICES: usize = 60;
    let mut site = Site::new();
    for number in 0..SERVICES {
        site.child(&format!("s{number:02}"), &["sleep"], "");
    }
    site.nofile(100);
    site.start();
    let status = site.wait_for("some run and some do not", |status| {
        let running = status
            .services
            .iter()
            .filter(|it| it.state == api::ServiceState::Running)
            .count();
        let waiting = status
            .services
            .iter()
            .filter(|it| it.state == api::ServiceState::Backoff)
            .count();
        running > 0 && waiting > 0 && running + waiting == SERVICES
    });
    let waiting = status
        .services
        .iter()
        .find(|it| it.state == api::ServiceState::Backoff)
        .unwrap();
    let reason = waiting.reason.clone().unwrap_or_default();
    assert!(
        reason.contains("open files") || reason.contains("pipe"),
        "{reason}"
    );
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
}

/// Kills keeper and control process as if both died at the same moment.
fn kill_both(site: &mut Site) {
    let control = site.control_pid();
    kill(control, Signal::SIGSTOP);
    site.signal(Signal::SIGKILL);
    site.wait_end(Duration::from_secs(5));
    kill(control, Signal::SIGKILL);
    eventually("control is gone", || (!alive(control)).then_some(()));
}

/// A stop that a full disk cannot store is reported as not stored. Once the disk has room, the
/// supervisor stores the stop without another command.
#[test]
fn a_stop_that_is_on_no_disk_is_said_and_stored_as_soon_as_there_is_room() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to mount a small disk");
    }
    let mut site = Site::new();
    let var = site.path("var");
    let disk = Disk::mount(&var, "512k");
    for name in ["a", "b", "c"] {
        site.child(name, &["sleep"], "");
    }
    site.start_ready();
    disk.fill();
    let told = site.ctl(&["stop", "a"]).ok();
    assert!(told.stderr.contains("not stored"), "{told:?}");
    assert!(told.stderr.contains("No space left"), "{told:?}");
    let told = site
        .ctl(&["stop", "b", "--no-wait", "--format", "json"])
        .ok();
    let outcome: api::Outcome = serde_json::from_str(&told.stdout).unwrap();
    let why = outcome.unstored.holds.unwrap_or_default();
    assert!(why.contains("No space left"), "{why}");
    // A restart changes no hold, so its output does not mention storage.
    let told = site.ctl(&["restart", "c"]).ok();
    assert!(
        !told.stderr.contains("a restart of the supervisor"),
        "{told:?}"
    );
    let told = site.ctl(&["start", "b"]).ok();
    assert!(
        !told.stderr.contains("lift"),
        "as the disk has it: {told:?}"
    );
    disk.clear();
    eventually("it is stored by itself", || {
        site.status().warnings().is_empty().then_some(())
    });
    kill_both(&mut site);
    site.start();
    let status = site.wait_for("the others run", |status| {
        status.ready("b") && status.ready("c")
    });
    assert_eq!(status.state("a"), "stopped");
    assert!(status.service("a").held.is_some());
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    drop(disk);
}

/// A stop that is not stored yet is stored during the shutdown.
#[test]
fn a_stop_that_is_on_no_disk_is_stored_at_the_end() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to mount a small disk");
    }
    let mut site = Site::new();
    let var = site.path("var");
    let disk = Disk::mount(&var, "512k");
    site.child("a", &["sleep"], "");
    site.child("b", &["sleep"], "");
    site.start_ready();
    disk.fill();
    for _ in 0..4 {
        // Each failed attempt to store makes the delay before the next one longer.
        site.ctl(&["stop", "a"]).ok();
        site.ctl(&["start", "a"]).ok();
    }
    site.ctl(&["stop", "a"]).ok();
    disk.clear();
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    site.start();
    let status = site.wait_for("the other runs", |status| status.ready("b"));
    assert_eq!(status.state("a"), "stopped");
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    drop(disk);
}

/// Control is killed again and again while restarts are requested: each restart happens exactly
/// once and is in the history.
#[test]
fn each_change_is_done_once_though_control_dies_all_the_time() {
    const CHANGES: usize = 20;
    let mut site = Site::new();
    let file = site.file("stamps");
    site.child("a", &[&format!("file={file}"), "sleep"], "");
    site.start_ready();
    let over = std::sync::atomic::AtomicBool::new(false);
    let asked = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let old = site.control_pid();
                kill(old, Signal::SIGKILL);
                // The next control process answers, so each one lives for a moment.
                let _ = site.ctl(&["status"]);
            }
        });
        let asked: Vec<_> = (0..CHANGES).map(|_| site.ctl(&["restart", "a"])).collect();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        asked
    });
    for told in asked {
        told.ok();
    }
    assert_eq!(mattervisor_tests::stamps(file.as_ref()).len(), CHANGES + 1);
    let told = site.ctl(&["events", "--changes", "-n", "1000"]).ok().stdout;
    let done = told
        .lines()
        .filter(|line| line.contains("restart") && line.contains("done"));
    assert_eq!(done.count(), CHANGES, "{told}");
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
}
