//! `ctl reexec`: a new control process takes over, or fails to; either way no service notices.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mattervisor_tests::{
    Site, StatusExt, alive, binary, children, command_line, eventually, install, kill,
};
use nix::sys::signal::Signal;

/// A site whose supervisor is started from a copy of the program, which a package may replace.
fn packaged() -> (Site, PathBuf) {
    let mut site = Site::new();
    let program = site.path("mattervisord");
    install(&binary("mattervisord"), &program);
    site.program(&program);
    (site, program)
}

/// Replaces the program as a package does: the new file is written beside the old one and renamed
/// over it.
fn replace(site: &Site, program: &Path, other: &Path) {
    let new = site.path("supervisor.new");
    install(other, &new);
    fs::rename(&new, program).unwrap();
}

/// All control processes of the site, in charge or not.
fn controls(site: &Site) -> Vec<i32> {
    let all = children(site.keeper_pid()).into_iter();
    all.filter(|pid| command_line(*pid).contains("control --root"))
        .collect()
}

/// The program that was installed meanwhile takes over; pids, logs and counters stay what they are.
#[test]
fn the_program_that_is_installed_now_takes_over() {
    let (mut site, program) = packaged();
    site.child("a", &["print=hello", "sleep"], "");
    site.child("b", &["exit=3"], "[restart]\npolicy = 'never'");
    site.start();
    site.wait_for("both are where they belong", |status| {
        status.ready("a") && status.state("b") == "failed"
    });
    let before = site.status();
    fs::remove_file(&program).unwrap();
    install(&binary("mattervisord"), &program);
    let said = site.ctl(&["reexec"]).ok().stdout;
    let after = site.status();
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
    assert_eq!(controls(&site), [new]);
    // From then on the keeper starts the new program.
    let exe = fs::read_link(format!("/proc/{new}/exe")).unwrap();
    assert_eq!(exe, program);
    kill(new, Signal::SIGKILL);
    site.wait_for("another one", |status| {
        status.supervisor.control_restarts == 1
    });
    assert_eq!(site.status().pid("a"), before.pid("a"));
    let text = site
        .ctl(&["events", "--changes", "--since", "1h"])
        .ok()
        .both();
    assert!(text.contains("reexec"), "{text}");
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
}

/// If the new program ends at once, is not executable, is missing or hangs, the old control process
/// goes on, carries out the requests of the meantime, and ctl reports the reason.
#[test]
fn a_program_that_does_not_work_changes_nothing() {
    let (mut site, program) = packaged();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let before = site.status();
    replace(&site, &program, "/bin/true".as_ref());
    let why = site.ctl(&["reexec"]).expect_code(1).stderr;
    assert!(
        why.contains("ended before it took over (exit code 0)"),
        "{why}"
    );
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
    let why = site.ctl(&["reexec"]).expect_code(1).stderr;
    assert!(why.contains("cannot start"), "{why}");
    fs::remove_file(&program).unwrap();
    let why = site.ctl(&["reexec"]).expect_code(1).stderr;
    assert!(why.contains("cannot open"), "{why}");
    // A testchild as a control process hangs.
    replace(&site, &program, &binary("testchild"));
    let pid = before.pid("a");
    let (hangs, restarts) = std::thread::scope(|scope| {
        let hangs = scope.spawn(|| site.ctl(&["reexec"]));
        eventually("another process beside it", || {
            (controls(&site).len() > 1).then_some(())
        });
        // Meanwhile a service dies, and a client requests a change and waits for it.
        kill(pid, Signal::SIGKILL);
        let restarts = scope.spawn(|| site.ctl(&["restart", "a"]));
        (hangs.join().unwrap(), restarts.join().unwrap())
    });
    let why = hangs.expect_code(1).stderr;
    assert!(why.contains("did not take over within 5 s"), "{why}");
    restarts.ok();
    let after = site.wait_for("it is back", |status| status.ready("a"));
    assert_eq!(after.supervisor.pid, before.supervisor.pid);
    assert_eq!(controls(&site), [before.supervisor.pid]);
    assert!(after.pid("a") != pid);
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
}

/// If the new program takes over and then dies repeatedly, the keeper returns to the program
/// before, status warns, and no service notices.
#[test]
fn a_program_that_takes_over_and_dies_is_given_up() {
    let (mut site, program) = packaged();
    site.env("TESTCHILD_CONTROL", "dies");
    site.child("a", &["sleep"], "");
    site.start_ready();
    let before = site.status();
    replace(&site, &program, &binary("testchild"));
    let _ = site.ctl(&["reexec"]);
    let after = site.wait_for("the earlier one is back", |status| {
        status.supervisor.control_restarts >= 3
    });
    let warnings = after.supervisor.warnings.join("\n");
    assert!(warnings.contains("the one before it runs"), "{warnings}");
    assert_eq!(after.supervisor.control_restarts, 3);
    assert_eq!(after.pid("a"), before.pid("a"));
    site.ctl(&["restart", "a"]).ok();
    // A program that works ends the warning.
    replace(&site, &program, &binary("mattervisord"));
    site.ctl(&["reexec"]).ok();
    assert_eq!(site.status().warnings(), [""; 0]);
    // SIGTERM ends the supervisor even while its control processes keep dying.
    replace(&site, &program, &binary("testchild"));
    let _ = site.ctl(&["reexec"]);
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    assert_eq!(site.leftovers(), Vec::<String>::new());
}

/// Either control process may be killed during the takeover: one is in charge afterwards, and no
/// service is touched.
#[test]
fn either_may_be_killed_in_the_middle() {
    let (mut site, program) = packaged();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let pid = site.status().pid("a");
    // A testchild as a control process hangs.
    replace(&site, &program, &binary("testchild"));
    for victim in ["new", "old"] {
        let old = site.control_pid();
        let ended = std::thread::scope(|scope| {
            let asks = scope.spawn(|| site.ctl(&["reexec"]));
            let new = eventually("another process beside it", || {
                controls(&site).into_iter().find(|it| *it != old)
            });
            kill(if victim == "new" { new } else { old }, Signal::SIGKILL);
            asks.join().unwrap()
        });
        assert_eq!(ended.code, 1, "{victim}: {ended:#?}");
        let status = site.wait_for("it answers", |status| status.ready("a"));
        assert_eq!(status.pid("a"), pid);
        assert_eq!(status.supervisor.pid == old, victim == "new");
    }
    // With a working program the command works again.
    fs::remove_file(&program).unwrap();
    install(&binary("mattervisord"), &program);
    site.ctl(&["reexec"]).ok();
    assert_eq!(site.status().pid("a"), pid);
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
}

/// Repeated takeovers while one service floods its log, another crashes, a client restarts a
/// service and a client follows the log: no line is lost or repeated, and every restart is done
/// once.
#[test]
fn nobody_notices_under_load() {
    const ROUNDS: usize = 5;
    let (mut site, _) = packaged();
    let (stamps, go) = (site.file("stamps"), site.file("go"));
    site.child(
        "flood",
        &[&format!("wait-file={go}"), "flood=60000:80", "sleep"],
        "",
    );
    site.child(
        "crash",
        &["delay=60", "exit=1"],
        r#"
            [restart]
            delay = "50ms"
            max_delay = "50ms"
        "#,
    );
    site.child("a", &[&format!("file={stamps}"), "sleep"], "");
    site.start_ready();
    let mut logs = site.ctl_command();
    logs.args(["logs", "flood", "-f", "-n", "100000"]);
    let logs = mattervisor_tests::Events::lines(&mut logs);
    fs::write(&go, "").unwrap();
    let flood = site.status().pid("flood");
    let changes = std::thread::scope(|scope| {
        let restarts = scope.spawn(|| {
            let one = |_| site.ctl(&["restart", "a"]);
            (0..ROUNDS * 2).map(one).collect::<Vec<_>>()
        });
        for _ in 0..ROUNDS {
            let before = site.control_pid();
            let done = site.ctl(&["reexec"]);
            assert_eq!(done.code, 0, "{done:#?}\n{}", site.supervisor_log());
            assert_ne!(site.control_pid(), before);
        }
        restarts.join().unwrap()
    });
    // A change is done once, or its client is told that nothing was done; never twice.
    let done = changes.iter().filter(|it| it.code == 0).count();
    for change in changes.iter().filter(|it| it.code != 0) {
        assert!(change.stderr.contains("nothing was done"), "{change:#?}");
    }
    let starts = fs::read_to_string(&stamps).unwrap().lines().count();
    assert_eq!(starts, done + 1);
    assert!(done >= ROUNDS, "{done} of {}", changes.len());
    let status = site.status();
    assert_eq!(status.pid("flood"), flood);
    assert_eq!(status.supervisor.control_restarts, 0);
    let crashed = status.service("crash").restarts;
    site.wait_for("it goes on crashing", |status| {
        status.service("crash").restarts > crashed
    });
    let lines = eventually("every line has been followed", || {
        (logs.len() >= 60_000).then(|| logs.all())
    });
    let lines: Vec<&String> = lines.iter().filter(|line| line.len() >= 80).collect();
    assert_eq!(lines.len(), 60_000, "none is lost, none comes twice");
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
}

/// Clients that wait for a change or follow events survive the takeover.
#[test]
fn who_waits_learns_the_outcome() {
    let (mut site, _) = packaged();
    let go = site.file("go");
    site.child(
        "slow",
        &[&format!("wait-file={go}"), "notify=READY=1", "sleep"],
        r#"
            [ready]
            notify = true
            timeout = "1m"
        "#,
    );
    site.start();
    site.wait_state("slow", "starting");
    let mut events = site.events(0);
    let (started, waited) = std::thread::scope(|scope| {
        let started = scope.spawn(|| site.ctl(&["restart", "slow"]));
        let waited = scope.spawn(|| site.ctl(&["wait", "slow"]));
        let begun = Instant::now();
        site.ctl(&["reexec"]).ok();
        assert!(begun.elapsed() < Duration::from_secs(5));
        site.wait_state("slow", "starting");
        fs::write(&go, "").unwrap();
        (started.join().unwrap(), waited.join().unwrap())
    });
    waited.ok();
    // The restart was accepted, or its client is told that nothing was done.
    assert!(
        started.code == 0 || started.stderr.contains("nothing was done"),
        "{started:#?}"
    );
    site.ctl(&["restart", "slow"]).ok();
    events.until("the stream goes on", Duration::from_secs(30), |event| {
        event.service == "slow" && event.ready
    });
    assert_eq!(site.status().supervisor.control_restarts, 0);
}
