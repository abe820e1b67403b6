//! Runs that an earlier keeper has left: each is stopped within its own stop timeout, and what
//! survives is reported.

use std::{
    fs,
    time::{Duration, Instant},
};

use keeper::message::{Notice, Request, SpawnStage};
use nix::{libc, sys::stat::Mode, unistd::mkfifo};

use crate::{
    Test,
    daemon::Daemon,
    frozen::Frozen,
    process::{gone, kill, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("leftovers_each_have_their_own_time_to_stop", own_time),
    (
        "a_leftover_that_cannot_be_ended_keeps_its_service_from_starting",
        || {
            frozen(true);
        },
    ),
    ("so_does_one_without_cgroups", || frozen(false)),
    ("a_leftover_daemon_is_found_by_its_cookie", cookie),
    ("what_is_no_record_is_set_aside_at_the_start", no_records),
    ("records_that_were_removed_are_written_again", records_again),
    (
        "a_gap_is_marked_although_more_keepers_die_before",
        late_mark,
    ),
];

/// A script that ignores a request to stop.
const STUBBORN: &str = "trap '' TERM; while :; do sleep 0.05; done";

/// The next keeper does not open the log, because somebody has stopped the service, and dies too:
/// the mark must come later.
fn late_mark() {
    let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), false);
    daemon.main(7, "web", "exec sleep 300");
    for _ in 0..2 {
        let (dir, cgroups) = daemon.crash();
        daemon = Daemon::start_in(dir, cgroups);
    }
    let current = daemon.dir.path().join("log/web/current");
    let is_marked = || {
        let log = fs::read_to_string(&current).unwrap_or_default();
        log.contains("lines may be missing here").then_some(())
    };
    assert!(is_marked().is_none(), "nobody has opened it");
    daemon.main(20, "web", "exec sleep 300");
    until(is_marked);
    assert!(!daemon.dir.path().join("runs/7").exists());
}

fn own_time() {
    let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), true);
    for (run, service, timeout) in [(1, "quick", 300), (2, "slow", 60_000)] {
        daemon.open(service);
        let script = if run == 1 { STUBBORN } else { "exec sleep 300" };
        let mut spawn = daemon.shell(run, service, script);
        spawn.stop.timeout_ms = timeout;
        daemon.ask(Request::Spawn(Box::new(spawn)));
        daemon.spawned(run);
    }
    let (dir, cgroups) = daemon.crash();
    let begun = Instant::now();
    let daemon = Daemon::start_in(dir, cgroups);
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(30),
        "it waited for the longest: {took:?}"
    );
    let told = daemon.hello.leftovers.join(" ");
    assert!(
        told.contains("quick: ") && told.contains("slow: "),
        "{told}"
    );
}

fn frozen(cgroups: bool) {
    let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), cgroups);
    let pid = daemon.main(7, "db", "exec sleep 300");
    daemon.main(8, "web", "exec sleep 300");
    let Some(frozen) = Frozen::new(pid) else {
        return;
    };
    let (dir, cgroups) = daemon.crash();
    let mut daemon = Daemon::start_in(dir, cgroups);
    let hello = &daemon.hello;
    let remaining: Vec<_> = hello
        .remaining
        .iter()
        .map(|it| (&*it.service, it.left.iter().map(|left| left.pid).collect()))
        .collect();
    assert_eq!(remaining, [("db", vec![pid])]);
    assert_eq!(hello.leftovers.len(), 1, "{:?}", hello.leftovers);
    assert!(
        hello.leftovers[0].starts_with("web: "),
        "{:?}",
        hello.leftovers
    );
    assert!(hello.next_run > 7, "its record is not written over");

    daemon.main(20, "web", "exec sleep 300");
    daemon.spawn_main(21, "db", "exec sleep 300");
    assert_eq!(daemon.failed(21), (SpawnStage::Leftovers, libc::EBUSY));
    daemon.replace_control();
    assert_eq!(daemon.hello.remaining.len(), 1);
    assert!(!gone(pid));

    frozen.thaw();
    let none = Notice::Remaining {
        remaining: Vec::new(),
    };
    daemon.until_notice(|it| *it == none);
    assert!(gone(pid));
    let second = daemon.main(22, "db", "exec sleep 300");
    assert_ne!(second, pid);
    assert!(!daemon.dir.path().join("runs/7").exists());
    daemon.replace_control();
    assert_eq!(daemon.hello.remaining, []);
}

/// The main process of the run has ended, and another process has left its session, group and log
/// pipe: the cookie finds this process.
fn cookie() {
    let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), false);
    let script = "(setsid sh -c '(sh -c \"echo \\$\\$ > child; exec sleep 300\" & echo $$ > pid; \
                  exec sleep 300)' >/dev/null 2>&1 &) & wait; \
                  while [ ! -s pid ] || [ ! -s child ]; do sleep 0.01; done; exec sleep 300";
    let main = daemon.main(1, "web", script);
    let others = [daemon.pid_of("pid"), daemon.pid_of("child")];
    let (dir, cgroups) = daemon.crash();
    kill(main, libc::SIGKILL);
    until(|| gone(main).then_some(()));
    assert!(others.iter().all(|pid| !gone(*pid)));
    let daemon = Daemon::start_in(dir, cgroups);
    for pid in others {
        assert!(gone(pid), "{pid} lives: {:?}", daemon.hello.leftovers);
    }
}

fn no_records() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    fs::create_dir(&runs).unwrap();
    mkfifo(&runs.join("1"), Mode::S_IRWXU).unwrap();
    mkfifo(&runs.join("2.new"), Mode::S_IRWXU).unwrap();
    let huge = fs::File::create(runs.join("3")).unwrap();
    huge.set_len(3 << 30).unwrap();
    fs::write(runs.join("4"), "{}").unwrap();
    let mut daemon = Daemon::start_in(dir, true);
    for name in ["1", "3", "4"] {
        assert!(!runs.join(name).exists());
        assert!(runs.join(format!("{name}.broken")).exists());
    }
    daemon.main(1, "web", "exec sleep 300");
    daemon.main(2, "db", "exec sleep 300");
}

/// Lost records are written again, also when a new run discovers the loss.
fn records_again() {
    let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), false);
    let first = daemon.main(1, "web", "exec sleep 300");
    let runs = daemon.dir.path().join("runs");
    let written = fs::read_to_string(runs.join("1")).unwrap();
    kill(i32::try_from(daemon.keeper.id()).unwrap(), libc::SIGSTOP);
    fs::remove_dir_all(&runs).unwrap();
    daemon.spawn_main(2, "db", "exec sleep 300");
    kill(i32::try_from(daemon.keeper.id()).unwrap(), libc::SIGCONT);
    let second = daemon.spawned(2);
    let again = until(|| fs::read_to_string(runs.join("1")).ok());
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(json(&again), json(&written));
    // The keeper does not watch single records; SIGHUP makes it look.
    fs::remove_file(runs.join("1")).unwrap();
    kill(i32::try_from(daemon.keeper.id()).unwrap(), libc::SIGHUP);
    until(|| runs.join("1").exists().then_some(()));
    let (dir, cgroups) = daemon.crash();
    let _daemon = Daemon::start_in(dir, cgroups);
    assert!(gone(first) && gone(second));
}
