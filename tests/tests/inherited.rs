//! The umask, descriptors and signal dispositions that the supervisor inherits make no difference.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use mattervisor_tests::{Site, binary};

/// Files of the test itself.
const NOT_LOOKED_AT: [&str; 4] = ["supervisor.log", "strange", "init", "catalog"];

/// Adds every file and directory below `below`, with its mode.
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

/// The modes of all files that a supervisor makes when this script starts it.
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
    // A restart shows that the supervisor reaps its children.
    site.ctl(&["restart", "a"]).ok();
    let mut found = BTreeMap::new();
    modes(site.root(), site.root(), &mut found);
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    // Files whose name is a number or a time differ from run to run.
    let passing = [
        "run/mattervisor/runs",
        "var/lib/mattervisor/changes",
        "var/lib/mattervisor/exits",
    ];
    let passing = passing.map(Path::new);
    found.retain(|path, _| !passing.iter().any(|dir| path.parent() == Some(dir)));
    // A `.new` file is being written, and may be there or not.
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
