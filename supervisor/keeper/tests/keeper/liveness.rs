//! A control process that hangs, dies soon after its take-over, or does not do what it is asked to.

use std::{
    fs,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use keeper::message::{Notice, Request};

use crate::{
    Test,
    daemon::{Daemon, PATIENCE},
    frozen::Frozen,
    process::{gone, kill, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("one_that_says_nothing_is_replaced", silent),
    ("one_that_answers_is_left_alone", slow),
    ("who_is_waited_for_by_nobody_is_not_asked", quiet),
    ("a_client_that_has_come_is_a_reason_to_ask", client),
    (
        "one_that_dies_soon_after_it_took_over_is_not_started_at_once",
        backed_off,
    ),
    (
        "a_program_that_does_not_work_is_given_up_for_the_one_before",
        goes_back,
    ),
    (
        "one_that_dies_again_and_again_does_not_hold_up_the_end",
        dying_end,
    ),
    ("one_that_hangs_does_not_hold_up_the_end", hanging_end),
    (
        "one_that_answers_and_never_ends_does_not_hold_up_the_end",
        lazy_end,
    ),
    (
        "one_that_still_stops_services_may_take_their_time",
        orderly_end,
    ),
    (
        "one_that_the_kernel_holds_is_replaced_all_the_same",
        frozen_control,
    ),
    (
        "a_run_that_the_kernel_holds_does_not_hold_up_the_end",
        frozen_run,
    ),
];

/// Longest time for a keeper to end alone: ten seconds, a stop of two seconds, and the rest for a
/// busy machine.
const ALONE: Duration = Duration::from_secs(24);
const STUBBORN: &str = "trap '' TERM; while :; do sleep 0.05; done";

fn is_question(notice: &Notice) -> bool {
    matches!(notice, Notice::AreYouThere)
}

fn silent() {
    let mut daemon = Daemon::start();
    // This control process acknowledges no fact of this run.
    let pid = daemon.main(1, "web", "exec sleep 300");
    let silent = daemon.control_pid;
    daemon.next_control();
    assert_eq!(daemon.hello.control_deaths, 1);
    assert!(gone(silent) && !gone(pid));
    let facts = daemon.hello.facts.len();
    assert!(facts > 0, "what it has not taken in is told to the next");
}

fn slow() {
    let mut daemon = Daemon::start();
    daemon.main(1, "web", "exec sleep 300");
    // Each answer comes late, and the control process acknowledges nothing.
    for _ in 0..3 {
        for _ in 0..2 {
            daemon.until_notice(is_question);
        }
        daemon.ask(Request::Here);
    }
    daemon.acknowledge();
    daemon.main(2, "other", "exec sleep 300");
    assert!(!gone(daemon.control_pid));
}

/// A daemon whose control process has answered the question that follows every take-over.
fn at_rest() -> Daemon {
    let mut daemon = Daemon::start();
    daemon.until_notice(is_question);
    daemon.ask(Request::Here);
    daemon
}

fn quiet() {
    let daemon = at_rest();
    let keeper = daemon.keeper.id();
    let wakes = || {
        let status = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("voluntary_ctxt"));
        line.unwrap().to_owned()
    };
    // The last answer still causes some work.
    assert!(daemon.is_quiet(Duration::from_secs(6)));
    let before = wakes();
    assert!(daemon.is_quiet(Duration::from_secs(6)));
    assert_eq!(wakes(), before, "the keeper wakes up for nothing");
}

fn client() {
    let mut daemon = at_rest();
    for _ in 0..2 {
        let client = UnixStream::connect(daemon.dir.path().join("ctl.sock")).unwrap();
        daemon.until_notice(is_question);
        daemon.ask(Request::Here);
        drop(client);
    }
    let (hangs, client) = (daemon.control_pid, daemon.dir.path().join("ctl.sock"));
    let _client = UnixStream::connect(client).unwrap();
    daemon.next_control();
    assert!(gone(hangs));
}

fn backed_off() {
    let mut daemon = Daemon::start();
    let begun = Instant::now();
    for _ in 0..6 {
        daemon.replace_control();
    }
    // Pauses of 10, 20, 40, 80, 160 and 320 ms.
    assert!(
        begun.elapsed() >= Duration::from_millis(630),
        "{:?}",
        begun.elapsed()
    );
}

fn goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    let install = || {
        let new = dir.path().join("new");
        fs::copy("/proc/self/exe", &new).unwrap();
        fs::rename(new, &program).unwrap();
    };
    install();
    let mut daemon = Daemon::start_program(&program);
    install();
    daemon.ask(Request::Reexec);
    let other = daemon.successor();
    let old = daemon.become_successor(other);
    daemon.ask(Request::TookOver);
    until(|| gone(old.pid).then_some(()));
    let is_new = |daemon: &Daemon| {
        let exe = fs::read_link(format!("/proc/{}/exe", daemon.control_pid)).unwrap();
        exe == program
    };
    for _ in 0..2 {
        daemon.replace_control();
        assert!(
            is_new(&daemon) && !daemon.hello.went_back,
            "it may have been an accident"
        );
    }
    daemon.replace_control();
    assert!(!is_new(&daemon) && daemon.hello.went_back);
    // The keeper stays with the earlier program, but still accepts a new program that works.
    daemon.replace_control();
    assert!(!is_new(&daemon) && daemon.hello.went_back);
    install();
    daemon.ask(Request::Reexec);
    let other = daemon.successor();
    daemon.become_successor(other);
    daemon.ask(Request::TookOver);
    daemon.until_notice(is_question);
    daemon.ask(Request::Here);
    daemon.main(1, "web", "exec sleep 300");
    daemon.replace_control();
    assert!(is_new(&daemon) && !daemon.hello.went_back);
    let begun = Instant::now();
    for _ in 0..4 {
        daemon.replace_control();
        assert!(is_new(&daemon), "it has proven itself");
    }
    assert!(begun.elapsed() < PATIENCE);
}

/// Sends SIGTERM to the keeper; returns how long the keeper takes to stop everything and end.
fn ends_alone(daemon: &mut Daemon, mut meanwhile: impl FnMut(&mut Daemon)) -> Duration {
    let pids = [
        daemon.main(1, "db", STUBBORN),
        daemon.main(2, "web", "exec sleep 300"),
    ];
    let begun = Instant::now();
    kill(daemon.keeper.id().cast_signed(), 15);
    let status = loop {
        if let Some(status) = daemon.keeper.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < 2 * PATIENCE, "it does not end");
        meanwhile(daemon);
    };
    assert_eq!(status.code(), Some(1));
    assert!(pids.into_iter().all(gone));
    begun.elapsed()
}

fn dying_end() {
    let mut daemon = Daemon::start();
    let first = daemon.control_pid;
    let took = ends_alone(&mut daemon, |daemon| {
        if !gone(first) {
            kill(first, 9);
        }
        if daemon.takes_over_if_any() {
            kill(daemon.control_pid, 9);
        }
    });
    assert!(took < ALONE, "{took:?}");
}

fn hanging_end() {
    let mut daemon = Daemon::start();
    kill(daemon.control_pid, 19);
    let took = ends_alone(&mut daemon, |_| ());
    assert!(took < ALONE, "{took:?}");
}

fn lazy_end() {
    let mut daemon = Daemon::start();
    let took = ends_alone(&mut daemon, |daemon| {
        if daemon
            .next_notice_if_any()
            .as_ref()
            .is_some_and(is_question)
        {
            daemon.ask(Request::Here);
        }
    });
    assert!(
        took >= ALONE,
        "it was not given the time of an orderly stop: {took:?}"
    );
}

fn orderly_end() {
    let mut daemon = at_rest();
    daemon.main(1, "db", STUBBORN);
    kill(daemon.keeper.id().cast_signed(), 15);
    // Longer than the time that a control process has to take over.
    let until = Instant::now() + Duration::from_secs(13);
    while Instant::now() < until {
        if daemon
            .next_notice_if_any()
            .as_ref()
            .is_some_and(is_question)
        {
            daemon.ask(Request::Here);
        }
    }
    daemon.ask(Request::Sweep { run: 1 });
    daemon.swept(1);
    assert_eq!(daemon.quit(0), 0);
}

fn frozen_control() {
    let mut daemon = Daemon::start();
    let pid = daemon.main(1, "web", "exec sleep 300");
    let held = daemon.control_pid;
    let Some(_frozen) = Frozen::new(held) else {
        return;
    };
    daemon.next_control();
    assert!(!gone(held) && !gone(pid));
    daemon.main(2, "other", "exec sleep 300");
    assert_eq!(daemon.quit(0), 0);
}

fn frozen_run() {
    let mut daemon = Daemon::start();
    let held = daemon.main(1, "held", "exec sleep 300");
    let Some(_frozen) = Frozen::new(held) else {
        return;
    };
    let begun = Instant::now();
    let others = [
        daemon.main(2, "db", STUBBORN),
        daemon.main(3, "web", "exec sleep 300"),
    ];
    kill(daemon.keeper.id().cast_signed(), 15);
    let status = loop {
        if let Some(status) = daemon.keeper.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < 2 * PATIENCE, "it does not end");
        daemon.takes_over_if_any();
    };
    assert_eq!(status.code(), Some(1));
    assert!(others.into_iter().all(gone) && !gone(held));
}
