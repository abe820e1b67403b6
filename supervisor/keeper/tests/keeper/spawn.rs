//! The start of runs: the outcome of exec, and what a child does not inherit.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use keeper::message::{Exit, Fact, Request, Role, Spawn, SpawnStage};
use nix::{errno::Errno, sys::signal::Signal, unistd::Pid};

use crate::{Test, daemon::Daemon, process::until};

pub(crate) const TESTS: &[Test] = &[
    ("a_run_is_spawned_exits_and_is_swept", a_run),
    ("a_failure_names_its_stage_and_errno", failures),
    ("a_run_that_cannot_be_recorded_does_not_start", unrecorded),
    ("a_service_has_one_main_run_at_a_time", one_at_a_time),
    ("a_helper_gives_its_output_back", helper_output),
    ("a_slow_helper_is_killed_with_its_tree", slow_helper),
    ("signals_and_descriptors_are_clean", clean),
    ("what_a_service_prints_is_in_its_log", logged),
    (
        "what_a_run_sets_on_its_output_is_gone_with_it",
        fresh_descriptions,
    ),
    ("many_runs_leave_no_descriptors_behind", no_leaks),
    ("a_newborn_that_is_stopped_is_continued", newborn_stopped),
    (
        "a_newborn_that_is_stopped_again_and_again_holds_nobody_long",
        newborn_held,
    ),
];

fn a_run() {
    let mut daemon = Daemon::start();
    let script = "while [ ! -e go ]; do sleep 0.01; done; exit 3";
    daemon.spawn_main(7, "web", script);
    let pid = daemon.spawned(7);
    let record = fs::read_to_string(daemon.dir.path().join("runs/7")).unwrap();
    assert!(
        record.contains(&format!("\"pid\":{pid},\"start\":")),
        "{record}"
    );
    fs::write(daemon.dir.path().join("go"), "").unwrap();
    assert_eq!(daemon.exited(7).0, Exit::Code(3));
    assert!(daemon.swept(7).is_empty());
    daemon.main(8, "web", "kill -s KILL $$");
    assert_eq!(daemon.exited(8).0, Exit::Signal(9));
    assert_eq!(daemon.quit(5), 5);
    assert!(!daemon.dir.path().join("ctl.sock").exists());
    assert_eq!(
        fs::read_dir(daemon.dir.path().join("runs"))
            .unwrap()
            .count(),
        0
    );
}

/// A run may set `O_NONBLOCK`, as many programs do, and shrink its pipe to a page: the next run
/// gets fresh open file descriptions.
fn fresh_descriptions() {
    const NONBLOCK: u32 = 0o4000;
    let mut daemon = Daemon::start();
    let look = "p=$$; (cat /proc/$p/fdinfo/1 > info); perl -e 'print fcntl(STDERR, 1032, 0), qq(\n)' > size";
    let seen = |daemon: &mut Daemon, run, script: &str| {
        daemon.main(run, "web", script);
        assert_eq!(daemon.exited(run).0, Exit::Code(0));
        daemon.swept(run);
        let info = daemon.line_of("info");
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        (flags & NONBLOCK, daemon.line_of("size"))
    };
    let first = seen(&mut daemon, 1, look);
    assert_eq!(first.0, 0);
    let set = "perl -e 'fcntl(STDOUT, 1031, 4096)'; dd if=/dev/null oflag=nonblock 2>/dev/null";
    let own = seen(&mut daemon, 2, &format!("{set}; {look}"));
    assert_eq!(own, (NONBLOCK, "4096".to_owned()), "the run itself has it");
    assert_eq!(seen(&mut daemon, 3, look), first);
}

fn failures() {
    let mut daemon = Daemon::start();
    daemon.open("web");
    let base = daemon.shell(1, "web", "exit 0");
    let fails = |daemon: &mut Daemon, mut spawn: Spawn, run| {
        spawn.run = run;
        daemon.ask(Request::Spawn(Box::new(spawn)));
        daemon.failed(run)
    };
    let mut spawn = base.clone();
    spawn.argv = vec!["/nonexistent".into()];
    assert_eq!(fails(&mut daemon, spawn, 1), (SpawnStage::Exec, 2));
    let mut spawn = base.clone();
    spawn.argv = vec!["/etc/passwd".into()];
    assert_eq!(fails(&mut daemon, spawn, 2), (SpawnStage::Exec, 13));
    let mut spawn = base.clone();
    spawn.cwd = PathBuf::from("/nonexistent");
    assert_eq!(fails(&mut daemon, spawn, 3), (SpawnStage::Chdir, 2));
    let mut spawn = base.clone();
    spawn.rlimits = BTreeMap::from([("nofile".into(), (Some(20), Some(10)))]);
    assert_eq!(fails(&mut daemon, spawn, 4), (SpawnStage::Rlimit, 22));
    let mut spawn = base.clone();
    spawn.rlimits = BTreeMap::from([("nonsense".into(), (None, None))]);
    assert_eq!(fails(&mut daemon, spawn, 5), (SpawnStage::Rlimit, 22));
    let mut spawn = base.clone();
    spawn.capabilities = Some(vec!["nonsense".into()]);
    assert_eq!(fails(&mut daemon, spawn, 6), (SpawnStage::Capabilities, 22));
    let mut spawn = base.clone();
    spawn.argv = vec!["/bin/sh".into(), "a\0b".into()];
    assert_eq!(fails(&mut daemon, spawn, 7), (SpawnStage::Arguments, 22));
    let mut spawn = base.clone();
    spawn.service = "unheard-of".into();
    assert_eq!(fails(&mut daemon, spawn, 8), (SpawnStage::Unopened, 2));
    // A failed run does not block the next.
    let mut spawn = base;
    spawn.run = 9;
    daemon.ask(Request::Spawn(Box::new(spawn)));
    assert_eq!(daemon.exited(9).0, Exit::Code(0));
}

fn unrecorded() {
    let mut daemon = Daemon::start();
    let runs = daemon.dir.path().join("runs");
    fs::remove_dir(&runs).unwrap();
    fs::write(&runs, "in the way").unwrap();
    daemon.spawn_main(1, "web", "touch began");
    assert_eq!(daemon.failed(1).0, SpawnStage::Record);
    fs::remove_file(&runs).unwrap();
    fs::create_dir(&runs).unwrap();
    daemon.spawn_main(2, "web", "exit 0");
    assert_eq!(daemon.exited(2).0, Exit::Code(0));
    assert!(
        !daemon.dir.path().join("began").exists(),
        "the gate stayed shut"
    );
}

fn one_at_a_time() {
    let mut daemon = Daemon::start();
    daemon.main(1, "web", "exec sleep 300");
    daemon.spawn_main(2, "web", "exit 0");
    assert_eq!(daemon.failed(2), (SpawnStage::Unswept, 16));
    let helper = daemon.shell(3, "web", "echo beside");
    assert_eq!(daemon.helper(helper).2, "beside\n");
    daemon.ask(Request::Signal {
        run: 1,
        signal: 15,
        cont: true,
    });
    assert_eq!(daemon.exited(1).0, Exit::Signal(15));
    daemon.swept(1);
    daemon.spawn_main(4, "web", "exit 0");
    assert_eq!(daemon.exited(4).0, Exit::Code(0));
}

fn helper_output() {
    let mut daemon = Daemon::start();
    let spawn = daemon.shell(1, "web", "echo out; echo err >&2; exit 4");
    let (exit, timed_out, output) = daemon.helper(spawn);
    assert_eq!((exit, timed_out), (Exit::Code(4), false));
    assert_eq!(output, "out\nerr\n");
    let spawn = daemon.shell(2, "web", "seq 1 100000; echo end");
    let output = daemon.helper(spawn).2;
    assert!(output.ends_with("100000\nend\n"));
    assert_eq!(output.len(), keeper::message::OUTPUT_BYTES_MAX);
}

fn slow_helper() {
    let mut daemon = Daemon::start();
    let script = "setsid sleep 300 & echo $! > tree; wait";
    let mut spawn = daemon.shell(1, "web", script);
    spawn.timeout_ms = Some(500);
    let (exit, timed_out, _) = daemon.helper(spawn);
    assert_eq!((exit, timed_out), (Exit::Signal(9), true));
    assert!(daemon.swept(1).is_empty());
    assert!(crate::process::gone(daemon.pid_of("tree")));
}

fn clean() {
    let mut daemon = Daemon::start();
    let script =
        "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/$$/fd; readlink /proc/$$/fd/0";
    let spawn = daemon.shell(1, "web", script);
    let output = daemon.helper(spawn).2;
    let zero = "0000000000000000";
    // dash keeps a script open as descriptor 10; with `-c` there is no script.
    let expected = format!("SigBlk:\t{zero}\nSigIgn:\t{zero}\n0\n1\n2\n/dev/null\n");
    assert_eq!(output, expected);
}

fn logged() {
    let mut daemon = Daemon::start();
    let spawn = daemon.shell(
        1,
        "web",
        "echo to stdout; echo to stderr >&2; echo again > /dev/stdout",
    );
    assert_eq!(spawn.role, Role::Main);
    daemon.open("web");
    daemon.ask(Request::Spawn(Box::new(spawn)));
    assert_eq!(daemon.exited(1).0, Exit::Code(0));
    daemon.quit(0);
    let log = fs::read_to_string(daemon.dir.path().join("log/web/current")).unwrap();
    let lines: Vec<_> = log
        .lines()
        .map(|line| line.split_once(' ').unwrap().1)
        .collect();
    assert_eq!(lines[..3], ["to stdout", "to stderr", "again"]);
    let mark = lines[3];
    assert!(
        mark.starts_with("[mattervisor] pid ") && mark.contains(" ended: exit code 0 after "),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 4, "{lines:?}");
}

fn no_leaks() {
    let mut daemon = Daemon::start();
    let keeper = daemon.keeper.id();
    let count = || fs::read_dir(format!("/proc/{keeper}/fd")).unwrap().count();
    let mut one = |run| {
        let mut spawn = daemon.shell(run, "web", "echo >&3");
        spawn.ready_fd = Some(3);
        spawn.argv[0] = if run % 4 == 3 { "/none" } else { "/bin/sh" }.into();
        spawn.role = if run % 2 == 0 {
            Role::Main
        } else {
            Role::Helper
        };
        daemon.open("web");
        daemon.ask(Request::Spawn(Box::new(spawn)));
        if run % 4 == 3 {
            daemon.failed(run);
        } else {
            daemon.swept(run);
        }
        daemon.acknowledge();
    };
    (1..=8).for_each(&mut one);
    let before = count();
    (9..=40).for_each(&mut one);
    // The keeper may not have handled the last acknowledgement yet.
    crate::process::until(|| (count() <= before).then_some(()));
}

/// Far below the time that a file server may take for an exec.
const SOON: Duration = Duration::from_secs(5);

/// Freezes the service's cgroup, so that the next run's process exists without making progress, and
/// lets `act` act on that process before the group thaws. False: there are no cgroups.
fn with_newborn(daemon: &mut Daemon, run: u64, act: impl FnOnce(Pid)) -> bool {
    daemon.main(1, "web", "exec sleep 300");
    let record = fs::read_to_string(daemon.dir.path().join("runs/1")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let Some(group) = record["cgroup"].as_str().map(PathBuf::from) else {
        skip::note("there are no cgroups here");
        return false;
    };
    daemon.ask(Request::Sweep { run: 1 });
    daemon.swept(1);
    daemon.acknowledge();
    fs::write(group.join("cgroup.freeze"), "1").unwrap();
    daemon.spawn_main(run, "web", "exec sleep 300");
    let pid = until(|| {
        let members = fs::read_to_string(group.join("cgroup.procs")).ok()?;
        members.lines().next()?.parse().ok()
    });
    act(Pid::from_raw(pid));
    fs::write(group.join("cgroup.freeze"), "0").unwrap();
    true
}

fn newborn_stopped() {
    let mut daemon = Daemon::start();
    let stop = |pid| nix::sys::signal::kill(pid, Signal::SIGSTOP).unwrap();
    if with_newborn(&mut daemon, 2, stop) {
        let begin = Instant::now();
        daemon.spawned(2);
        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    }
}

fn newborn_held() {
    let mut daemon = Daemon::start();
    let mut stopper = None;
    let hold = |pid| {
        nix::sys::signal::kill(pid, Signal::SIGSTOP).unwrap();
        let again = move || while nix::sys::signal::kill(pid, Signal::SIGSTOP).is_ok() {};
        stopper = Some(thread::spawn(again));
    };
    if with_newborn(&mut daemon, 2, hold) {
        let begin = Instant::now();
        // Between two stops the process may reach its exec; or the keeper kills it for being too
        // slow.
        let failure = daemon.wait(|fact, _| match fact {
            Fact::Spawned { run: 2, .. } => Some(None),
            Fact::Failed { run: 2, errno, .. } => Some(Some(*errno)),
            _ => None,
        });
        assert!(failure.is_none_or(|errno| errno == Errno::ETIMEDOUT as i32));
        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
        daemon.main(3, "other", "exec sleep 300");
        daemon.ask(Request::Sweep { run: 2 });
        stopper.unwrap().join().unwrap();
    }
}
