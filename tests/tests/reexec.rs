//! `ctl reexec`: another control process takes over, and nobody notices; or it will not do, and
//! nobody notices either.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mattervisor_tests::{
    StatusExt, World, alive, binary, children, command_line, eventually, install, kill,
};
use nix::sys::signal::Signal;

/// A world whose supervisor is started from a copy of the program, which a package may replace.
fn packaged() -> (World, PathBuf) {
    let mut world = World::new();
    let program = world.path("supervisor");
    install(&binary("supervisor"), &program);
    world.program(&program);
    (world, program)
}

/// Puts another program in its place, as a package does it: beside it, then over it.
fn replace(world: &World, program: &Path, other: &Path) {
    let new = world.path("supervisor.new");
    install(other, &new);
    fs::rename(&new, program).unwrap();
}

/// Control processes of the world, whoever is in charge.
fn controls(world: &World) -> Vec<i32> {
    let all = children(world.keeper_pid()).into_iter();
    all.filter(|pid| command_line(*pid).contains("control --root"))
        .collect()
}

/// The program that was installed meanwhile takes over; pids, logs and counters stay what they are.
#[test]
fn the_program_that_is_installed_now_takes_over() {
    let (mut world, program) = packaged();
    world.child("a", &["print=hello", "sleep"], "");
    world.child("b", &["exit=3"], "[restart]\npolicy = \"never\"");
    world.start();
    world.wait_for("both are where they belong", |status| {
        status.ready("a") && status.state("b") == "failed"
    });
    let before = world.status();
    fs::remove_file(&program).unwrap();
    install(&binary("supervisor"), &program);
    let said = world.ctl(&["reexec"]).ok().stdout;
    let after = world.status();
    let (old, new) = (before.supervisor.pid, after.supervisor.pid);
    assert!(
        said.contains(&format!("control process {new} has taken over from {old}")),
        "{said}"
    );
    assert!(!alive(old) && new != old);
    assert_eq!(after.supervisor.control_restarts, 0);
    assert_eq!(after.pid("a"), before.pid("a"));
    assert_eq!(after.service("a").restarts, 0);
    assert_eq!(after.state("b"), "failed");
    assert_eq!(controls(&world), [new]);
    // From then on it is the one that is started again.
    let exe = fs::read_link(format!("/proc/{new}/exe")).unwrap();
    assert_eq!(exe, program);
    kill(new, Signal::SIGKILL);
    world.wait_for("another one", |status| {
        status.supervisor.control_restarts == 1
    });
    assert_eq!(world.status().pid("a"), before.pid("a"));
    let text = world
        .ctl(&["events", "--changes", "--since", "1h"])
        .ok()
        .both();
    assert!(text.contains("reexec"), "{text}");
    assert_eq!(world.stop(), 0, "{}", world.supervisor_log());
}

/// A program that ends at once, is not executable, is gone, or says nothing: the old one goes on,
/// what came meanwhile is done, and ctl hears why.
#[test]
fn a_program_that_does_not_work_changes_nothing() {
    let (mut world, program) = packaged();
    world.child("a", &["sleep"], "");
    world.start_ready();
    let before = world.status();
    replace(&world, &program, "/bin/true".as_ref());
    let why = world.ctl(&["reexec"]).expect_code(1).stderr;
    assert!(
        why.contains("ended before it took over (exit code 0)"),
        "{why}"
    );
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
    let why = world.ctl(&["reexec"]).expect_code(1).stderr;
    assert!(why.contains("cannot start"), "{why}");
    fs::remove_file(&program).unwrap();
    let why = world.ctl(&["reexec"]).expect_code(1).stderr;
    assert!(why.contains("cannot open"), "{why}");
    // As a control process it hangs.
    replace(&world, &program, &binary("testchild"));
    let pid = before.pid("a");
    let (hangs, restarts) = std::thread::scope(|scope| {
        let hangs = scope.spawn(|| world.ctl(&["reexec"]));
        eventually("another process beside it", || {
            (controls(&world).len() > 1).then_some(())
        });
        // A service dies meanwhile, and somebody asks for a change, who waits.
        kill(pid, Signal::SIGKILL);
        let restarts = scope.spawn(|| world.ctl(&["restart", "a"]));
        (hangs.join().unwrap(), restarts.join().unwrap())
    });
    let why = hangs.expect_code(1).stderr;
    assert!(why.contains("did not take over within 5 s"), "{why}");
    restarts.ok();
    let after = world.wait_for("it is back", |status| status.ready("a"));
    assert_eq!(after.supervisor.pid, before.supervisor.pid);
    assert_eq!(controls(&world), [before.supervisor.pid]);
    assert!(after.pid("a") != pid);
    assert_eq!(world.stop(), 0, "{}", world.supervisor_log());
}

/// A program that takes over and then dies, again and again: the one that worked before comes back, says so, and
/// no service has noticed.
#[test]
fn a_program_that_takes_over_and_dies_is_given_up() {
    let (mut world, program) = packaged();
    world.env("TESTCHILD_CONTROL", "dies");
    world.child("a", &["sleep"], "");
    world.start_ready();
    let before = world.status();
    replace(&world, &program, &binary("testchild"));
    let _ = world.ctl(&["reexec"]);
    let after = world.wait_for("the earlier one is back", |status| {
        status.supervisor.control_restarts >= 3
    });
    let warnings = after.supervisor.warnings.join("\n");
    assert!(warnings.contains("the one before it runs"), "{warnings}");
    assert_eq!(after.supervisor.control_restarts, 3);
    assert_eq!(after.pid("a"), before.pid("a"));
    world.ctl(&["restart", "a"]).ok();
    // One that works ends the warning.
    replace(&world, &program, &binary("supervisor"));
    world.ctl(&["reexec"]).ok();
    assert_eq!(world.status().supervisor.warnings, Vec::<String>::new());
    // And if there is no end to the deaths, SIGTERM still has one.
    replace(&world, &program, &binary("testchild"));
    let _ = world.ctl(&["reexec"]);
    assert_eq!(world.stop(), 0, "{}", world.supervisor_log());
    assert_eq!(world.leftovers(), Vec::<String>::new());
}

/// The old one is killed while the new one comes, and the new one while it comes: somebody is always
/// in charge afterwards, and no service is touched.
#[test]
fn either_may_be_killed_in_the_middle() {
    let (mut world, program) = packaged();
    world.child("a", &["sleep"], "");
    world.start_ready();
    let pid = world.status().pid("a");
    // As a control process it hangs.
    replace(&world, &program, &binary("testchild"));
    for victim in ["new", "old"] {
        let old = world.control_pid();
        let ended = std::thread::scope(|scope| {
            let asks = scope.spawn(|| world.ctl(&["reexec"]));
            let new = eventually("another process beside it", || {
                controls(&world).into_iter().find(|it| *it != old)
            });
            kill(if victim == "new" { new } else { old }, Signal::SIGKILL);
            asks.join().unwrap()
        });
        assert_eq!(ended.code, 1, "{victim}: {ended:#?}");
        let status = world.wait_for("it answers", |status| status.ready("a"));
        assert_eq!(status.pid("a"), pid);
        assert_eq!(status.supervisor.pid == old, victim == "new");
    }
    // The program is whole again, and so is the command.
    fs::remove_file(&program).unwrap();
    install(&binary("supervisor"), &program);
    world.ctl(&["reexec"]).ok();
    assert_eq!(world.status().pid("a"), pid);
    assert_eq!(world.stop(), 0, "{}", world.supervisor_log());
}

/// Again and again while a service floods its log, another crashes, somebody restarts and somebody
/// follows: no line is lost or doubled, every restart is done once, followers go on.
#[test]
fn nobody_notices_under_load() {
    const ROUNDS: usize = 5;
    let (mut world, _) = packaged();
    let (stamps, go) = (world.file("stamps"), world.file("go"));
    world.child(
        "flood",
        &[&format!("wait-file={go}"), "flood=60000:80", "sleep"],
        "",
    );
    world.child(
        "crash",
        &["delay=60", "exit=1"],
        "[restart]\ndelay = \"50ms\"\nmax_delay = \"50ms\"",
    );
    world.child("a", &[&format!("file={stamps}"), "sleep"], "");
    world.start_ready();
    let mut logs = world.ctl_command();
    logs.args(["logs", "flood", "-f", "-n", "100000"]);
    let logs = mattervisor_tests::Events::lines(&mut logs);
    fs::write(&go, "").unwrap();
    let flood = world.status().pid("flood");
    let changes = std::thread::scope(|scope| {
        let restarts = scope.spawn(|| {
            let one = |_| world.ctl(&["restart", "a"]);
            (0..ROUNDS * 2).map(one).collect::<Vec<_>>()
        });
        for _ in 0..ROUNDS {
            let before = world.control_pid();
            let done = world.ctl(&["reexec"]);
            assert_eq!(done.code, 0, "{done:#?}\n{}", world.supervisor_log());
            assert_ne!(world.control_pid(), before);
        }
        restarts.join().unwrap()
    });
    // A change is done once, or it is said that it was not done at all; never twice.
    let done = changes.iter().filter(|it| it.code == 0).count();
    for change in changes.iter().filter(|it| it.code != 0) {
        assert!(change.stderr.contains("nothing was done"), "{change:#?}");
    }
    let starts = fs::read_to_string(&stamps).unwrap().lines().count();
    assert_eq!(starts, done + 1);
    assert!(done >= ROUNDS, "{done} of {}", changes.len());
    let status = world.status();
    assert_eq!(status.pid("flood"), flood);
    assert_eq!(status.supervisor.control_restarts, 0);
    let crashed = status.service("crash").restarts;
    world.wait_for("it goes on crashing", |status| {
        status.service("crash").restarts > crashed
    });
    let lines = eventually("every line has been followed", || {
        (logs.len() >= 60_000).then(|| logs.all())
    });
    let lines: Vec<&String> = lines.iter().filter(|line| line.len() >= 80).collect();
    assert_eq!(lines.len(), 60_000, "none is lost, none comes twice");
    assert_eq!(world.stop(), 0, "{}", world.supervisor_log());
}

/// A client that waits for a change, and one that follows, come through it.
#[test]
fn who_waits_learns_the_outcome() {
    let (mut world, _) = packaged();
    let go = world.file("go");
    world.child(
        "slow",
        &[&format!("wait-file={go}"), "notify=READY=1", "sleep"],
        "[ready]\nnotify = true\ntimeout = \"1m\"",
    );
    world.start();
    world.wait_state("slow", "starting");
    let mut events = world.events(0);
    let (started, waited) = std::thread::scope(|scope| {
        let started = scope.spawn(|| world.ctl(&["restart", "slow"]));
        let waited = scope.spawn(|| world.ctl(&["wait", "slow"]));
        let begun = Instant::now();
        world.ctl(&["reexec"]).ok();
        assert!(begun.elapsed() < Duration::from_secs(5));
        world.wait_state("slow", "starting");
        fs::write(&go, "").unwrap();
        (started.join().unwrap(), waited.join().unwrap())
    });
    waited.ok();
    // It had been accepted, or it is said that it was not.
    assert!(
        started.code == 0 || started.stderr.contains("nothing was done"),
        "{started:#?}"
    );
    world.ctl(&["restart", "slow"]).ok();
    events.until("the stream goes on", Duration::from_secs(30), |event| {
        event.service == "slow" && event.ready
    });
    assert_eq!(world.status().supervisor.control_restarts, 0);
}
