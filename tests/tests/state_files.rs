//! A corrupt file, a fifo or a directory in the place of a state file is reported and put aside,
//! and the supervisor does not block on it.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, symlink},
    path::Path,
};

use mattervisor_tests::{Site, StatusExt, eventually};
use nix::{sys::stat::Mode, unistd::mkfifo};

const FILES: [&str; 5] = [
    "plan.json",
    "kept-plans.json",
    "holds.json",
    "maintenance.json",
    "schedule.json",
];

/// Makes something at the path that is no state file.
type Planter = fn(&Path);

fn corrupt(path: &Path) {
    fs::write(path, "{\"half\": ").unwrap();
}

fn foreign(path: &Path) {
    fs::write(path, "[1, \"two\", {\"three\": 3}]").unwrap();
}

fn huge(path: &Path) {
    fs::File::create(path).unwrap().set_len(3 << 30).unwrap();
}

fn fifo(path: &Path) {
    mkfifo(path, Mode::from_bits_truncate(0o600)).unwrap();
}

fn directory(path: &Path) {
    fs::create_dir(path).unwrap();
    fs::write(path.join("inside"), "").unwrap();
}

fn dangling(path: &Path) {
    symlink("/nonexistent/place", path).unwrap();
}

fn socket(path: &Path) {
    drop(std::os::unix::net::UnixListener::bind(path).unwrap());
}

const PLANTERS: [(&str, Planter); 7] = [
    ("corrupt", corrupt),
    ("foreign", foreign),
    ("huge", huge),
    ("a fifo", fifo),
    ("a directory", directory),
    ("a dangling link", dangling),
    ("a socket", socket),
];

/// The paths that were put aside for a file.
fn aside(site: &Site, file: &str) -> Vec<std::path::PathBuf> {
    let dir = site.path("var/lib/mattervisor");
    let prefix = format!("{file}.broken-");
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let aside = names.filter(|it| it.file_name().to_string_lossy().starts_with(&prefix));
    aside.map(|it| it.path()).collect()
}

/// With each of these in the place of its state files, the supervisor starts, warns, and keeps what
/// was there.
#[test]
fn what_is_no_state_file_is_told_and_put_aside() {
    for (what, plant) in PLANTERS {
        let mut site = Site::new();
        site.child("a", &["sleep"], "");
        site.child(
            "often",
            &["exit=0"],
            "
                type = 'oneshot'
                [schedule]
                cron = '0 4 * * *'
            ",
        );
        let dir = site.path("var/lib/mattervisor");
        fs::create_dir_all(&dir).unwrap();
        for file in FILES {
            plant(&dir.join(file));
        }
        site.start_ready();
        let warnings = site.status().supervisor.warnings.join("\n");
        for file in FILES {
            assert!(warnings.contains(file), "{what} {file}: {warnings}");
            assert_eq!(aside(&site, file).len(), 1, "{what} {file}");
            let log = site.supervisor_log();
            assert!(log.contains(file), "{what} {file} is not in the log: {log}");
        }
        if what == "a fifo" {
            let kept = aside(&site, "holds.json").remove(0);
            assert!(fs::metadata(kept).unwrap().file_type().is_fifo());
        }
        site.ctl(&["stop", "a"]).ok();
        assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
        site.start();
        let status = site.wait_for("it has begun", |status| status.state("a") == "stopped");
        let warnings = status.supervisor.warnings.join("\n");
        for file in FILES {
            assert!(!warnings.contains(file), "{what} {file}: {warnings}");
        }
        assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    }
}

/// However often a file is broken, only a few copies are kept.
#[test]
fn few_of_those_put_aside_are_kept() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    for _ in 0..5 {
        fs::create_dir_all(site.path("var/lib/mattervisor")).unwrap();
        fs::write(site.path("var/lib/mattervisor/holds.json"), "no").unwrap();
        site.start_ready();
        assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    }
    let kept = aside(&site, "holds.json").len();
    assert!((1..=3).contains(&kept), "{kept}");
}

/// A path in the directory of the history that is no segment delays neither a query nor a change.
#[test]
fn a_segment_of_the_history_that_is_none_is_put_aside() {
    for (what, plant) in PLANTERS.into_iter().skip(3) {
        let mut site = Site::new();
        site.child("a", &["sleep"], "");
        let dir = site.path("var/lib/mattervisor/changes");
        fs::create_dir_all(&dir).unwrap();
        plant(&dir.join("1700000000000.ndjson"));
        plant(&dir.join("99999999999999.ndjson"));
        site.start_ready();
        site.ctl(&["restart", "a"]).ok();
        let told = eventually("the change is in the history", || {
            let told = site.ctl(&["events", "--changes"]).ok().stdout;
            told.contains("done").then_some(told)
        });
        assert!(told.contains("restart"), "{what}: {told}");
        let log = site.supervisor_log();
        assert!(log.contains("99999999999999.ndjson"), "{what}: {log}");
        assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    }
}

/// If the state directory is removed under a running supervisor, stops are stored there again.
#[test]
fn stops_outlive_the_state_directory() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.child("b", &["sleep"], "");
    site.start_ready();
    site.ctl(&["stop", "a"]).ok();
    let dir = site.path("var/lib/mattervisor");
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    site.start();
    let status = site.wait_for("the other runs", |status| status.ready("b"));
    assert_eq!(status.state("a"), "stopped");
    fs::remove_dir_all(&dir).unwrap();
    let told = site.ctl(&["stop", "b"]).ok();
    assert!(!told.stderr.contains("not stored"), "{told:?}");
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
}
