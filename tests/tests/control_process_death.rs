//! The control process can die or hang at any moment; no service notices.

use std::time::{Duration, Instant};

use mattervisor_tests::{Site, StatusExt, alive, eventually, kill, lines, stamps, within};
use nix::sys::signal::Signal;

/// Kills the control process, and returns how long the next one took to answer.
fn replace_control(site: &Site) -> Duration {
    let old = site.control_pid();
    kill(old, Signal::SIGKILL);
    let started = Instant::now();
    let answer = site.ctl(&["status"]);
    let took = started.elapsed();
    assert!(
        matches!(answer.code, 0 | 3),
        "{answer:#?}\n{}",
        site.supervisor_log()
    );
    assert_ne!(site.control_pid(), old);
    took
}

/// `kill -9` of the control process changes nothing, and status answers within a second.
#[test]
fn kill_9_of_control_leaves_every_service_alone() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.child("b", &["sleep"], "requires = ['a']");
    site.child("held", &["sleep"], "");
    site.child("done", &["exit=0"], "type = 'oneshot'");
    site.start_ready();
    site.ctl(&["stop", "held"]).ok();
    let before = site.status();
    for _ in 0..3 {
        let took = replace_control(&site);
        assert!(took < Duration::from_secs(1), "status took {took:?}");
    }
    let after = site.status();
    assert_eq!(
        (after.pid("a"), after.pid("b")),
        (before.pid("a"), before.pid("b"))
    );
    assert_eq!(after.service("a").restarts, 0);
    let since = |status: &mattervisor_tests::StatusReply| {
        let text = status.service("a").since.clone().unwrap();
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    };
    assert!(
        (since(&after) - since(&before)).abs() < 100,
        "it is not since then"
    );
    assert_eq!(after.state("done"), "completed");
    assert_eq!(after.state("held"), "stopped");
    assert_eq!(after.service("held").held, before.service("held").held);
    assert_eq!(after.supervisor.keeper_pid, before.supervisor.keeper_pid);
    assert_eq!(after.supervisor.control_restarts, 3);
    site.ctl(&["restart", "a"]).ok();
    assert_eq!(site.stop(), 0);
    assert_eq!(site.leftovers(), Vec::<String>::new());
}

/// The next control process learns of an exit and of readiness that came while none ran.
#[test]
fn exits_and_readiness_meanwhile_are_not_lost() {
    let mut site = Site::new();
    let go = site.file("go");
    site.child("a", &["sleep"], "");
    let ready = r#"
        [ready]
        notify = true
        timeout = "1m"
    "#;
    site.child(
        "slow",
        &[&format!("wait-file={go}"), "notify=READY=1", "sleep"],
        ready,
    );
    site.start();
    site.wait_for("both are on their way", |status| {
        status.ready("a") && status.state("slow") == "starting"
    });
    let (control, pid) = (site.control_pid(), site.status().pid("a"));
    // SIGSTOP comes first, so that the exit and the readiness happen while no control process
    // listens.
    kill(control, Signal::SIGSTOP);
    kill(pid, Signal::SIGKILL);
    std::fs::write(go, "").unwrap();
    eventually("a is gone", || (!alive(pid)).then_some(()));
    kill(control, Signal::SIGKILL);
    let status = site.wait_reborn("a", pid);
    assert_eq!(status.service("a").restarts, 1);
    assert_eq!(
        status
            .service("a")
            .last_exit
            .as_ref()
            .unwrap()
            .signal
            .as_deref(),
        Some("KILL")
    );
    site.wait_for("slow is ready", |status| status.ready("slow"));
}

/// The delay before a restart goes on under the next control process.
#[test]
fn backoff_survives_the_control_process() {
    let mut site = Site::new();
    let file = site.file("stamps");
    site.child(
        "a",
        &[&format!("file={file}"), "exit=1"],
        r#"
            [restart]
            delay = "1h"
            max_delay = "1h"
        "#,
    );
    site.start_ready();
    site.wait_state("a", "backoff");
    let starts = lines(file.as_ref()).len();
    replace_control(&site);
    let status = site.status();
    assert_eq!(status.state("a"), "backoff");
    assert!(status.service("a").next_try_ms.unwrap() > 60_000);
    assert_eq!(status.service("a").restarts, 1);
    assert_eq!(lines(file.as_ref()).len(), starts);
}

/// The next control process completes a stop that was under way.
#[test]
fn a_stop_under_way_is_carried_through() {
    let mut site = Site::new();
    site.child(
        "a",
        &["ignore-term", "print=set", "sleep"],
        "[stop]\ntimeout = '1s'",
    );
    site.start_ready();
    site.wait_log("a", |line| line == "set");
    let pid = site.status().pid("a");
    site.ctl(&["stop", "a", "--no-wait"]).ok();
    site.wait_state("a", "stopping");
    replace_control(&site);
    site.wait_state("a", "stopped");
    assert!(!alive(pid));
}

/// A `ctl` that waits for a change learns its outcome from the next control process.
#[test]
fn a_waiting_ctl_learns_the_outcome_all_the_same() {
    let mut site = Site::new();
    site.child("a", &["stop-delay=800", "trap-term=0", "sleep"], "");
    site.start_ready();
    let pid = site.status().pid("a");
    let outcome = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| site.ctl(&["restart", "a"]));
        site.wait_state("a", "stopping");
        kill(site.control_pid(), Signal::SIGKILL);
        waiting.join().unwrap()
    });
    let status = site.wait_reborn("a", pid);
    assert_eq!(outcome.code, 0, "{outcome:#?}\n{:#?}", status.service("a"));
    assert_eq!(
        status.service("a").restarts,
        0,
        "it was restarted once, by command"
    );
}

/// Time within which a control process that hangs is replaced; generous, for a busy machine.
const REPLACED: Duration = Duration::from_secs(60);

/// A control process that hangs is replaced although no init has a watchdog: a service that died
/// comes back, and a waiting client is answered.
#[test]
fn one_that_hangs_is_replaced_without_a_watchdog() {
    let mut site = Site::new();
    let file = site.file("stamps");
    site.child("a", &[&format!("file={file}"), "sleep"], "");
    site.child("b", &["sleep"], "");
    site.start_ready();
    let before = site.status();
    kill(before.supervisor.pid, Signal::SIGSTOP);
    kill(before.pid("a"), Signal::SIGKILL);
    let started = within(REPLACED, || {
        (stamps(file.as_ref()).len() == 2).then_some(())
    });
    assert!(started.is_some(), "{}", site.supervisor_log());
    let after = site.wait_reborn("a", before.pid("a"));
    assert_eq!(after.supervisor.control_restarts, 1);
    assert_eq!(after.pid("b"), before.pid("b"));
    // This time only a client, and no service, waits for the control process.
    kill(after.supervisor.pid, Signal::SIGSTOP);
    let answer = within(REPLACED, || {
        let status = site.ctl(&["--timeout", "5s", "status"]);
        (status.code == 0).then_some(())
    });
    assert!(answer.is_some(), "{}", site.supervisor_log());
    assert_eq!(site.status().supervisor.control_restarts, 2);
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
}

/// SIGTERM is obeyed although the control process hangs: the keeper alone stops the services, in
/// order.
#[test]
fn sigterm_is_obeyed_although_control_hangs() {
    let mut site = Site::new();
    let stops = site.file("stops");
    let stop = format!("stop-file={stops}");
    site.child("base", &[&stop, "sleep"], "");
    site.child("top", &[&stop, "sleep"], "requires = ['base']");
    site.start_ready();
    let status = site.status();
    kill(status.supervisor.pid, Signal::SIGSTOP);
    site.signal(Signal::SIGTERM);
    assert_eq!(site.wait_end(REPLACED), 1, "{}", site.supervisor_log());
    let order: Vec<i32> = stamps(stops.as_ref()).iter().map(|it| it.pid).collect();
    assert_eq!(order, [status.pid("top"), status.pid("base")]);
    assert_eq!(site.leftovers(), Vec::<String>::new());
}

/// Signals without a meaning change nothing, for the keeper and for the control process.
#[test]
fn stray_signals_do_no_harm() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let before = site.status();
    for signal in [
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
        Signal::SIGPROF,
        Signal::SIGIO,
        Signal::SIGPWR,
        Signal::SIGTRAP,
    ] {
        for pid in [site.keeper_pid(), before.supervisor.pid] {
            kill(pid, signal);
        }
    }
    // A restart needs both processes, so both have handled the signals when it ends.
    site.ctl(&["restart", "a"]).ok();
    let after = site.status();
    assert_eq!(after.supervisor.pid, before.supervisor.pid);
    assert_eq!(after.supervisor.keeper_pid, before.supervisor.keeper_pid);
    eventually("the keeper says so", || {
        site.supervisor_log().contains("SIGUSR1 (10)").then_some(())
    });
    site.signal(Signal::SIGQUIT);
    assert_eq!(site.wait_end(REPLACED), 0, "{}", site.supervisor_log());
}

/// Number of requests while the keeper is stopped: more than the socket from control to the keeper
/// can hold records of.
const CHANGES: usize = 300;
/// A request without an answer for this long gets none until the keeper runs.
const UNANSWERED: Duration = Duration::from_secs(2);

/// Every change that was accepted is in the history, although control died before the keeper read
/// its record.
#[test]
fn what_was_accepted_is_in_the_history_though_the_keeper_did_not_run() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let (keeper, control) = (site.keeper_pid(), site.control_pid());
    kill(keeper, Signal::SIGSTOP);
    let ask = |number: &usize| {
        let path = format!("/v1/services/a/stop?wait=false&id=stop-{number}");
        let reply = site.post(&path, UNANSWERED);
        reply.is_ok_and(|it| it.body.contains("\"accepted\""))
    };
    let accepted = (0..CHANGES).take_while(ask).count();
    let status = site.status();
    kill(control, Signal::SIGKILL);
    kill(keeper, Signal::SIGCONT);
    eventually("another control process answers", || {
        (site.control_pid() != control).then_some(())
    });
    assert!((1..CHANGES).contains(&accepted), "{accepted} were accepted");
    assert_eq!(status.supervisor.pid, control, "a question is answered");
    let history = eventually("every change has its end", || {
        let history = site.get("/v1/changes?n=1000").body;
        let open = history.lines().any(|it| it.contains("\"accepted\""));
        (!open).then_some(history)
    });
    for number in 0..accepted {
        let id = format!("\"stop-{number}\"");
        assert!(history.contains(&id), "stop-{number} is not in the history");
    }
    site.wait_state("a", "stopped");
    assert_eq!(site.status().service("a").restarts, 0);
}
