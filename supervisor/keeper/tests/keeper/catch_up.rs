//! The order of work of a keeper that was stopped for a while.

use std::time::{Duration, Instant};

use keeper::message::{Exit, Fact, Notice, Request, RunId, Spawn};
use nix::libc;

use crate::{
    Test,
    daemon::Daemon,
    notify::say,
    process::{gone, kill, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("after_a_stop_all_is_told_before_the_answer", told_first),
    (
        "a_question_without_anything_new_is_answered_at_once",
        at_once,
    ),
    (
        "who_speaks_without_end_does_not_hold_up_the_answer",
        unending,
    ),
    (
        "a_helper_that_ended_in_time_was_not_too_slow",
        helper_in_time,
    ),
    (
        "control_is_asked_whether_it_is_there_after_the_keepers_own_stop",
        not_deserted,
    ),
];

/// More runs than the keeper takes in one pass.
const MANY: RunId = 100;

fn keeper(daemon: &Daemon) -> i32 {
    i32::try_from(daemon.keeper.id()).unwrap()
}

fn stop(daemon: &Daemon) {
    kill(keeper(daemon), libc::SIGSTOP);
    let stat = format!("/proc/{}/stat", daemon.keeper.id());
    until(|| {
        let stat = std::fs::read_to_string(&stat).unwrap();
        stat.contains(") T ").then_some(())
    });
}

fn is_answer(notice: &Notice, asked: u64) -> bool {
    *notice == Notice::Synced { at_ms: asked }
}

/// Facts that arrive before the answer.
fn facts_before_the_answer(daemon: &mut Daemon, asked: u64) -> Vec<Fact> {
    let mut facts = Vec::new();
    loop {
        match daemon.notice().0 {
            Notice::Fact(numbered) => facts.push(numbered.fact),
            notice if is_answer(&notice, asked) => return facts,
            _ => {}
        }
    }
}

fn notifying(daemon: &Daemon, run: RunId, service: &str, script: &str) -> Spawn {
    let mut spawn = daemon.shell(run, service, script);
    spawn.notify = true;
    spawn
}

fn told_first() {
    let mut daemon = Daemon::start();
    let pids: Vec<i32> = (1..=MANY)
        .map(|run| daemon.main(run, &format!("s{run}"), "exec sleep 300"))
        .collect();
    let words = say("STATUS=said");
    let script = format!("until [ -e go ]; do sleep 0.05; done; {words}; echo x > said; sleep 300");
    daemon.open("speaks");
    let spawn = notifying(&daemon, MANY + 1, "speaks", &script);
    daemon.ask(Request::Spawn(Box::new(spawn)));
    daemon.spawned(MANY + 1);
    stop(&daemon);
    for pid in &pids {
        kill(*pid, libc::SIGTERM);
    }
    std::fs::write(daemon.dir.path().join("go"), "").unwrap();
    daemon.line_of("said");
    until(|| pids.iter().all(|pid| gone(*pid)).then_some(()));
    daemon.ask(Request::Sync { at_ms: 7 });
    kill(keeper(&daemon), libc::SIGCONT);
    let facts = facts_before_the_answer(&mut daemon, 7);
    let ended = facts.iter().filter(|it| matches!(it, Fact::Exited { .. }));
    assert_eq!(ended.count(), pids.len());
    let said = |it: &&Fact| matches!(it, Fact::Notified { value, .. } if value == "said");
    assert_eq!(facts.iter().filter(said).count(), 1);
}

fn at_once() {
    let mut daemon = Daemon::start();
    for at_ms in 1..4 {
        daemon.ask(Request::Sync { at_ms });
        daemon.until_notice(|it| is_answer(it, at_ms));
    }
    daemon.ask(Request::Sync { at_ms: 4 });
    daemon.ask(Request::Reexec);
    let successor = daemon.successor();
    daemon.ask(Request::Sync { at_ms: 5 });
    daemon.become_successor(successor);
    daemon.ask(Request::TookOver);
    daemon.ask(Request::Sync { at_ms: 6 });
    let answered = loop {
        if let Notice::Synced { at_ms } = daemon.notice().0 {
            break at_ms;
        }
    };
    assert_eq!(answered, 6, "what its predecessor has asked is not told");
}

fn unending() {
    let mut daemon = Daemon::start();
    daemon.open("loud");
    let again = "send($s, q(STATUS=again), 0, pack_sockaddr_un($n)) while 1";
    let script = say("STATUS=once").replace("select(undef, undef, undef, 0.3)", again);
    let spawn = notifying(&daemon, 1, "loud", &script);
    daemon.ask(Request::Spawn(Box::new(spawn)));
    daemon.wait(|fact, _| matches!(fact, Fact::Notified { .. }).then_some(()));
    for at_ms in 1..20 {
        daemon.ask(Request::Sync { at_ms });
        daemon.until_notice(|it| is_answer(it, at_ms));
    }
}

fn helper_in_time() {
    let mut daemon = Daemon::start();
    daemon.open("web");
    let script = "echo $$ > pid; until [ -e go ]; do sleep 0.05; done; exit 3";
    let mut helper = daemon.shell(1, "web", script);
    helper.role = keeper::message::Role::Helper;
    helper.timeout_ms = Some(4_000);
    let begun = Instant::now();
    daemon.ask(Request::Spawn(Box::new(helper)));
    let pid = daemon.pid_of("pid");
    stop(&daemon);
    std::fs::write(daemon.dir.path().join("go"), "").unwrap();
    until(|| gone(pid).then_some(()));
    let in_time = begun.elapsed() < Duration::from_secs(4);
    until(|| (begun.elapsed() > Duration::from_secs(5)).then_some(()));
    kill(keeper(&daemon), libc::SIGCONT);
    let (exit, timed_out, _) = daemon.exited(1);
    assert!(in_time, "this machine is too slow for this test");
    assert_eq!((exit, timed_out), (Exit::Code(3), false));
}

fn not_deserted() {
    let mut daemon = Daemon::start();
    let pid = daemon.main(1, "web", "trap '' TERM; while :; do sleep 0.05; done");
    kill(keeper(&daemon), libc::SIGTERM);
    daemon.wait(|fact, _| matches!(fact, Fact::Signalled { .. }).then_some(()));
    daemon.acknowledge();
    stop(&daemon);
    let begun = Instant::now();
    until(|| (begun.elapsed() > Duration::from_secs(12)).then_some(()));
    kill(keeper(&daemon), libc::SIGCONT);
    daemon.until_notice(|it| *it == Notice::AreYouThere);
    daemon.ask(Request::Here);
    let answered = Instant::now();
    until(|| (answered.elapsed() > Duration::from_secs(6)).then_some(()));
    assert!(!gone(pid), "its stop is for control to decide");
    assert_eq!(daemon.quit(0), 0);
}
