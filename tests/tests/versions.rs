//! Between two builds of different versions, which `tests/next/build` makes: to the next version and
//! back, and over a change of what the two processes keep and say.

use std::{fs, path::PathBuf};

use mattervisor_tests::{Site, StatusExt, binary, eventually, free_port, must_run_all, note};

use crate::keeper_reexec::{packaged, replace, runs_installed, with_requests};

const OLD: &str = "0.1.0";
const NEW: &str = "0.2.0";
/// Numbered lines that a service writes meanwhile.
const LINES: usize = 40_000;

/// A daemon of a next version, if one was built.
fn next(name: &str) -> Option<PathBuf> {
    let path = binary("mattervisord").with_file_name(name);
    if path.exists() {
        return Some(path);
    }
    assert!(!must_run_all(), "{name} is missing: run tests/next/build");
    note("the next version is not built: run tests/next/build");
    None
}

/// Versions of control process and keeper, as `ctl version` shows them.
fn versions(site: &Site) -> (String, String) {
    let text = site.ctl(&["version"]).ok().stdout;
    let of = |who: &str| {
        let line = text.lines().find(|line| line.starts_with(who)).unwrap();
        line.split(' ').nth(1).unwrap().to_owned()
    };
    (of("supervisor"), of("keeper"))
}

fn busy() -> (Site, PathBuf, u16, String) {
    let (mut site, program) = packaged();
    let (port, go) = (free_port(), site.file("go"));
    site.child("web", &[&format!("http={port}:200:served")], "");
    let flood = format!("flood={LINES}:80");
    site.child("flood", &[&format!("wait-file={go}"), &flood, "sleep"], "");
    site.child("held", &["sleep"], "");
    site.start_ready();
    site.ctl(&["stop", "held"]).ok();
    (site, program, port, go)
}

fn judge_lines(site: &Site) {
    let lines = eventually("all lines are in the log", || {
        let lines = site.log("flood").into_iter();
        let lines: Vec<String> = lines.filter(|it| it.len() >= 80).collect();
        (lines.len() >= LINES).then_some(lines)
    });
    assert_eq!(lines.len(), LINES, "none is lost, none comes twice");
}

/// To the next version and back, first the keeper, then the control process, twice: no request
/// fails, no pid changes, no line is lost.
#[test]
fn to_the_next_version_and_back() {
    let Some(next) = next("mattervisord-next") else {
        return;
    };
    let (mut site, program, port, go) = busy();
    let before = site.status();
    assert_eq!(versions(&site), (OLD.to_owned(), OLD.to_owned()));
    fs::write(&go, "").unwrap();
    let asked = with_requests(&site, port, || {
        for (to, from, path) in [
            (NEW, OLD, next.clone()),
            (OLD, NEW, binary("mattervisord")),
            (NEW, OLD, next),
            (OLD, NEW, binary("mattervisord")),
        ] {
            replace(&site, &program, &path);
            let said = site.ctl(&["reexec", "--keeper"]).ok().stdout;
            let expected = format!("(version {to}, was {from})");
            assert!(said.contains(&expected), "{said}");
            assert_eq!(versions(&site), (from.to_owned(), to.to_owned()));
            let said = site.ctl(&["reexec"]).ok().stdout;
            assert!(said.contains(&expected), "{said}");
            assert_eq!(versions(&site), (to.to_owned(), to.to_owned()));
            assert_eq!(runs_installed(&site, &program), (true, true));
        }
    });
    assert!(asked[0] > 10 && asked[1] > 10, "{asked:?}");
    let after = site.status();
    for name in ["web", "flood"] {
        assert_eq!(after.pid(name), before.pid(name));
    }
    assert_eq!(after.state("held"), "stopped");
    assert_eq!(after.supervisor.control_restarts, 0);
    assert_eq!(after.supervisor.keeper_execs, 4);
    judge_lines(&site);
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    assert_eq!(site.leftovers(), Vec::<String>::new());
}

/// Only the control process first, of a version in which the two speak otherwise: it is left aside.
#[test]
fn a_control_process_that_speaks_otherwise_is_left_aside() {
    let Some(next) = next("mattervisord-next-state") else {
        return;
    };
    let (mut site, program, port, _) = busy();
    let before = site.status();
    replace(&site, &program, &next);
    with_requests(&site, port, || {
        let why = site.ctl(&["reexec"]).expect_code(1).stderr;
        assert!(why.contains("ctl reexec --keeper first"), "{why}");
    });
    let after = site.status();
    assert_eq!(after.supervisor.pid, before.supervisor.pid);
    assert_eq!(after.pid("web"), before.pid("web"));
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
}

/// Over a change of the keeper's state and of the messages: the state is migrated, and the control
/// process goes with the keeper. The way back is refused by name, and what runs goes on.
#[test]
fn a_state_of_another_version_is_migrated_or_refused() {
    let Some(next) = next("mattervisord-next-state") else {
        return;
    };
    let (mut site, program, port, go) = busy();
    let before = site.status();
    fs::write(&go, "").unwrap();
    replace(&site, &program, &next);
    with_requests(&site, port, || {
        let said = site.ctl(&["reexec", "--keeper"]).ok().stdout;
        assert!(
            said.contains(&format!("(version {NEW}, was {OLD})")),
            "{said}"
        );
        assert_eq!(versions(&site), (NEW.to_owned(), NEW.to_owned()));
    });
    let there = site.status();
    assert_ne!(there.supervisor.pid, before.supervisor.pid);
    assert_eq!(there.supervisor.control_restarts, 0);
    replace(&site, &program, &binary("mattervisord"));
    with_requests(&site, port, || {
        let why = site.ctl(&["reexec", "--keeper"]).expect_code(1).stderr;
        let expected = "reads version 1 of the keeper's state, and this is version 2";
        assert!(why.contains(expected), "{why}");
        let why = site.ctl(&["reexec"]).expect_code(1).stderr;
        assert!(why.contains("speaks another version"), "{why}");
    });
    let after = site.status();
    assert_eq!(versions(&site), (NEW.to_owned(), NEW.to_owned()));
    assert_eq!(after.supervisor.pid, there.supervisor.pid);
    for name in ["web", "flood"] {
        assert_eq!(after.pid(name), before.pid(name));
        assert_eq!(after.service(name).restarts, 0);
    }
    assert_eq!(after.state("held"), "stopped");
    judge_lines(&site);
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    assert_eq!(site.leftovers(), Vec::<String>::new());
}
