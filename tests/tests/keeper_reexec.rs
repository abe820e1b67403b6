//! `ctl reexec --keeper`: the keeper goes on as another program, in the same process and with all
//! that it holds; or it stays what it is. Nobody notices either.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use mattervisor_tests::{
    Site, StatusExt, StatusReply, alive, binary, eventually, free_port, http_get, install, kill,
};
use nix::sys::signal::Signal;

/// A site whose supervisor is started from a copy of the program, which a package may replace.
pub(crate) fn packaged() -> (Site, PathBuf) {
    let mut site = Site::new();
    let program = site.path("mattervisord");
    install(&binary("mattervisord"), &program);
    site.program(&program);
    (site, program)
}

/// Puts another program in its place, as a package does it: beside it, then over it.
pub(crate) fn replace(site: &Site, program: &Path, other: &Path) {
    let new = site.path("supervisor.new");
    install(other, &new);
    fs::rename(&new, program).unwrap();
}

fn inode(path: impl AsRef<Path>) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// Programs of keeper and control process are the installed one.
pub(crate) fn runs_installed(site: &Site, program: &Path) -> (bool, bool) {
    let runs = |pid: i32| inode(format!("/proc/{pid}/exe")) == inode(program);
    (runs(site.keeper_pid()), runs(site.control_pid()))
}

/// Requests in a loop, each of which has to succeed, while `work` is done. Returns their number.
pub(crate) fn with_requests(site: &Site, port: u16, work: impl FnOnce()) -> [usize; 2] {
    let over = AtomicBool::new(false);
    let asking = |ask: &dyn Fn()| {
        let mut count = 0;
        while !over.load(Ordering::Relaxed) {
            ask();
            count += 1;
        }
        count
    };
    std::thread::scope(|scope| {
        let served = scope.spawn(|| {
            asking(&|| assert_eq!(http_get(port, "/"), Some((200, "served".to_owned()))))
        });
        let answered = scope.spawn(|| {
            asking(&|| {
                let ran = site.ctl(&["status"]);
                assert!([0, 3].contains(&ran.code), "{ran:#?}");
            })
        });
        work();
        over.store(true, Ordering::Relaxed);
        [served.join().unwrap(), answered.join().unwrap()]
    })
}

/// Lines that a service writes meanwhile.
const LINES: usize = 60_000;

/// A service that answers, one that writes its log, one that stops slowly, one that crashes, and one
/// that is not ready in time.
fn everything_at_once(site: &Site, port: u16, go: &str, down: &str) {
    site.child("web", &[&format!("http={port}:200:served")], "");
    let flood = format!("flood={LINES}:80");
    site.child("flood", &[&format!("wait-file={go}"), &flood, "sleep"], "");
    site.child(
        "slow",
        &["stop-delay=4000", &format!("stop-file={down}"), "sleep"],
        "[stop]\ntimeout = '30s'",
    );
    site.child(
        "crash",
        &["exit=1"],
        "[restart]\ndelay = '300ms'\nmax_delay = '300ms'",
    );
    site.child(
        "late",
        &["sleep"],
        "[ready]\nnotify = true\ntimeout = '6s'\n[restart]\npolicy = 'never'",
    );
}

/// Keeper and control process are replaced again and again while requests are made, a service
/// writes its log, one is on its way down, one crashes and pauses, a job runs and a deadline is
/// set: nothing fails, no pid changes, no line is lost.
#[test]
fn nobody_notices_that_the_keeper_is_another_program() {
    let (mut site, program) = packaged();
    let (port, go, down) = (free_port(), site.file("go"), site.file("down"));
    everything_at_once(&site, port, &go, &down);
    site.start();
    site.wait_for("all are where they belong", |status| {
        status.ready("web") && status.ready("flood") && status.ready("slow")
    });
    let before = site.status();
    let pids = |status: &StatusReply| ["web", "flood", "slow"].map(|name| status.pid(name));
    fs::write(&go, "").unwrap();
    site.ctl(&["--no-wait", "stop", "slow"]).ok();
    let asked = with_requests(&site, port, || {
        for round in 1..=3 {
            replace(&site, &program, &binary("mattervisord"));
            let said = site.ctl(&["reexec", "--keeper"]).ok().stdout;
            let expected = format!("the keeper (pid {}) runs", site.keeper_pid());
            assert!(said.contains(&expected), "{said}");
            assert_eq!(runs_installed(&site, &program), (true, false));
            let now = site.status();
            assert_eq!(now.supervisor.pid, site.control_pid());
            assert_eq!(now.supervisor.keeper_execs, round);
            if round == 1 {
                assert_eq!(now.state("slow"), "stopping");
                assert_eq!(pids(&now), pids(&before));
            }
            site.ctl(&["reexec"]).ok();
            assert_eq!(runs_installed(&site, &program), (true, true));
        }
    });
    assert!(asked[0] > 10 && asked[1] > 10, "{asked:?}");
    // What was under way ends as it would have.
    site.wait_state("slow", "stopped");
    assert_eq!(fs::read_to_string(&down).unwrap().lines().count(), 1);
    let after = site.wait_for("its time is over", |status| {
        status.state("late") == "failed"
    });
    assert_eq!(after.pid("web"), before.pid("web"));
    assert_eq!(after.pid("flood"), before.pid("flood"));
    assert_eq!(after.supervisor.keeper_pid, before.supervisor.keeper_pid);
    assert_eq!(after.supervisor.control_restarts, 0);
    assert_eq!(after.supervisor.warnings, Vec::<String>::new());
    let crashed = after.service("crash").restarts;
    site.wait_for("it goes on crashing", |status| {
        status.service("crash").restarts > crashed
    });
    let lines = eventually("all lines are in the log", || {
        let lines = site.log("flood");
        let lines: Vec<String> = lines.into_iter().filter(|it| it.len() >= 80).collect();
        (lines.len() >= LINES).then_some(lines)
    });
    assert_eq!(lines.len(), LINES, "none is lost, none comes twice");
    let text = site.ctl(&["events", "--changes", "--since", "1h"]);
    assert!(text.ok().both().contains("reexec keeper"));
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    assert_eq!(site.leftovers(), Vec::<String>::new());
}

/// A program that ends at once, is not executable, is gone, or hangs: the keeper goes on, says why,
/// and the next good program takes over.
#[test]
fn a_program_that_does_not_work_is_left_aside() {
    let (mut site, program) = packaged();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let before = site.status();
    let refused = |why: &str| {
        let ran = site.ctl(&["reexec", "--keeper"]).expect_code(1);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("goes on with the program"),
            "{}",
            ran.stderr
        );
        let warnings = site.status().supervisor.warnings.join("\n");
        assert!(warnings.contains(why), "{warnings}");
    };
    replace(&site, &program, "/bin/true".as_ref());
    refused("ended without an answer (exit code 0)");
    replace(&site, &program, "/bin/false".as_ref());
    refused("ended without an answer (exit code 1)");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
    refused("cannot start");
    fs::remove_file(&program).unwrap();
    refused("cannot open");
    // A testchild on trial hangs.
    replace(&site, &program, &binary("testchild"));
    let restarts = std::thread::scope(|scope| {
        let hangs = scope.spawn(|| refused("did not answer within 5 s"));
        eventually("it is on trial", || {
            site.supervisor_log().contains("tries ").then_some(())
        });
        // Everything goes on meanwhile.
        let restarts = site.ctl(&["restart", "a"]);
        hangs.join().unwrap();
        restarts
    });
    restarts.ok();
    assert_eq!(site.control_pid(), before.supervisor.pid);
    replace(&site, &program, &binary("mattervisord"));
    // A control process that comes later knows of it too.
    kill(site.control_pid(), Signal::SIGKILL);
    let status = site.wait_for("another control process", |status| {
        status.supervisor.control_restarts == 1
    });
    assert_eq!(status.supervisor.warnings.len(), 1, "{status:#?}");
    site.ctl(&["reexec", "--keeper"]).ok();
    let status = site.status();
    assert_eq!(status.supervisor.warnings, Vec::<String>::new());
    assert_eq!(status.supervisor.keeper_execs, 1);
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
}

/// The control process dies while the keeper is being replaced: the next one knows the outcome.
#[test]
fn the_control_process_may_die_meanwhile() {
    let (mut site, program) = packaged();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let before = site.status();
    // A testchild on trial hangs.
    replace(&site, &program, &binary("testchild"));
    let ended = std::thread::scope(|scope| {
        let asks = scope.spawn(|| site.ctl(&["reexec", "--keeper"]));
        eventually("it is on trial", || {
            site.supervisor_log().contains("tries ").then_some(())
        });
        kill(before.supervisor.pid, Signal::SIGKILL);
        asks.join().unwrap()
    });
    assert_eq!(ended.code, 1, "{ended:#?}");
    assert!(ended.stderr.contains("has its old program"), "{ended:#?}");
    site.wait_for("the trial is over", |status| {
        status.supervisor.warnings.len() == 1
    });
    replace(&site, &program, &binary("mattervisord"));
    site.ctl(&["reexec", "--keeper"]).ok();
    assert_eq!(site.status().pid("a"), before.pid("a"));
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
}

/// As process 1 of a container, with an orphan to reap before and after.
#[test]
fn it_works_as_process_1() {
    if !nix::unistd::geteuid().is_root() {
        return mattervisor_tests::note("only root makes a pid namespace");
    }
    let (mut site, program) = packaged();
    let port = free_port();
    site.behind(&["unshare", "--pid", "--mount-proc", "--fork", "--kill-child"]);
    site.child(
        "web",
        &["orphans=3", &format!("http={port}:200:served")],
        "",
    );
    site.child("daemon", &["double-fork", "sleep"], "");
    site.start_ready();
    let before = site.status();
    assert_eq!(before.supervisor.keeper_pid, 1);
    let asked = with_requests(&site, port, || {
        for _ in 0..3 {
            replace(&site, &program, &binary("mattervisord"));
            site.ctl(&["reexec", "--keeper"]).ok();
        }
    });
    assert!(asked[0] > 10, "{asked:?}");
    let after = site.status();
    assert_eq!(after.supervisor.keeper_pid, 1);
    assert_eq!(after.supervisor.keeper_execs, 3);
    assert_eq!(after.pid("web"), before.pid("web"));
    site.ctl(&["restart", "web"]).ok();
    site.ctl(&["stop", "daemon"]).ok();
    let unshare = site.keeper_pid();
    let keeper = mattervisor_tests::children(unshare)[0];
    kill(keeper, Signal::SIGTERM);
    assert_eq!(
        site.wait_end(Duration::from_secs(60)),
        0,
        "{}",
        site.supervisor_log()
    );
    assert!(!alive(keeper));
}
