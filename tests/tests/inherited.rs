//! What the daemon was started with makes no difference.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use mattervisor_tests::{Site, binary};

/// Files of the test itself, and those that come and go.
const NOT_LOOKED_AT: [&str; 4] = ["supervisor.log", "strange", "init", "catalog"];

/// Every file and directory below, with its mode.
fn modes(root: &Path, below: &Path, found: &mut BTreeMap<PathBuf, u32>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_owned();
        if NOT_LOOKED_AT.iter().any(|it| Path::new(it) == name) {
            continue;
        }
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        found.insert(name, meta.permissions().mode() & 0o7777);
        if meta.is_dir() {
            modes(root, &path, found);
        }
    }
}

/// Modes of all that a supervisor makes that was started by this script.
fn made_by(strange: &str) -> BTreeMap<PathBuf, u32> {
    let mut site = Site::new();
    let script = site.path("strange");
    let program = binary("mattervisord");
    let lines = format!("#!/bin/sh\n{strange}\nexec {} \"$@\"\n", program.display());
    fs::write(&script, lines).unwrap();
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    site.program(&script);
    let more = "[[directories]]\npath = '{{ state_dir }}/own'\n";
    site.child("a", &["print=hello", "sleep"], more);
    site.start_ready();
    site.wait_log("a", |line| line == "hello");
    // The supervisor has reaped its children.
    site.ctl(&["restart", "a"]).ok();
    let mut found = BTreeMap::new();
    modes(site.root(), site.root(), &mut found);
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    // Files with a number or a time as their name.
    let passing = [
        "run/mattervisor/runs",
        "var/lib/mattervisor/changes",
        "var/lib/mattervisor/exits",
    ];
    let passing = passing.map(Path::new);
    found.retain(|path, _| !passing.iter().any(|dir| path.parent() == Some(dir)));
    // Files that are being written.
    found.retain(|path, _| path.extension().is_none_or(|it| it != "new"));
    found
}

#[test]
fn an_inherited_umask_makes_nothing_wider_or_narrower() {
    let usual = made_by("umask 022");
    assert!(usual.len() > 10, "{usual:#?}");
    for umask in ["000", "027", "077"] {
        assert_eq!(made_by(&format!("umask {umask}")), usual, "umask {umask}");
    }
    let run = &usual[Path::new("run/mattervisor/runs")];
    assert_eq!(
        run & 0o022,
        0,
        "who can write run records decides what is stopped"
    );
}

#[test]
fn closed_descriptors_and_ignored_signals_are_no_trouble() {
    let usual = made_by("umask 022");
    for strange in [
        "exec 0<&- 1>&- 2>&-",
        "trap '' TERM INT QUIT HUP CHLD USR1",
        "exec 7</dev/null 8>/dev/null 9</dev/null",
    ] {
        assert_eq!(made_by(strange), usual, "{strange}");
    }
}
