//! A control process takes over from another, or fails to.

use keeper::message::{EXIT_OTHER_FORMAT, EXIT_OTHER_MESSAGES, Exit, Fact, Notice, Request};

use crate::{
    Test,
    daemon::Daemon,
    process::{gone, kill, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("a_new_control_process_takes_over_from_the_old", takes_over),
    (
        "one_that_dies_before_it_takes_over_leaves_the_old_in_charge",
        dies,
    ),
    ("one_that_hangs_is_ended_and_the_old_one_goes_on", hangs),
    ("one_of_another_version_is_named_as_such", other_version),
    ("the_old_one_may_die_meanwhile", old_dies),
    ("both_may_die_and_another_comes", both_die),
    ("a_second_one_at_the_same_time_is_refused", twice),
];

/// Waits for the reason why the old control process was not replaced.
fn not_replaced(daemon: &mut Daemon) -> String {
    loop {
        if let (Notice::NotReplaced { why }, _) = daemon.notice() {
            return why;
        }
    }
}

fn exited(daemon: &mut Daemon, run: u64) -> Exit {
    daemon.wait(|fact, _| match fact {
        Fact::Exited { run: r, exit, .. } if *r == run => Some(*exit),
        _ => None,
    })
}

fn takes_over() {
    let mut daemon = Daemon::start();
    let stays = daemon.main(1, "web", "exec sleep 300");
    let waits = "until test -e go; do sleep 0.02; done; exit 7";
    daemon.main(2, "job", waits);
    daemon.acknowledge();
    daemon.ask(Request::Remember {
        service: "web".into(),
        record: "last word".into(),
    });
    daemon.ask(Request::Reexec);
    let other = daemon.successor();
    assert_eq!(other.hello.records["web"], "last word");
    assert_eq!(other.hello.control_deaths, 0);
    assert_eq!(other.hello.facts, []);
    // From here on facts go to the new control process, which has not taken over yet.
    std::fs::write(daemon.dir.path().join("go"), "").unwrap();
    assert_ne!(other.pid, daemon.control_pid);
    let old = daemon.become_successor(other);
    assert_eq!(exited(&mut daemon, 2), Exit::Code(7));
    assert!(!gone(old.pid), "it goes on until the new one says so");
    daemon.ask(Request::TookOver);
    until(|| gone(old.pid).then_some(()));
    // The new control process is in charge, services did not notice, and its successor gets the
    // rest.
    daemon.main(3, "new", "exec sleep 300");
    assert!(!gone(stays));
    daemon.replace_control();
    assert_eq!(daemon.hello.control_deaths, 1);
    assert_eq!(daemon.hello.runs.len(), 3);
}

fn dies() {
    let mut daemon = Daemon::start();
    let waits = "until test -e go; do sleep 0.02; done; exit 7";
    daemon.main(1, "job", waits);
    daemon.ask(Request::Reexec);
    let other = daemon.successor();
    std::fs::write(daemon.dir.path().join("go"), "").unwrap();
    // The keeper may have sent the fact to the new process; the old one gets it anyway.
    kill(other.pid, 9);
    let why = not_replaced(&mut daemon);
    assert!(why.contains("ended before it took over"), "{why}");
    assert_eq!(exited(&mut daemon, 1), Exit::Code(7));
    // The next attempt succeeds.
    daemon.ask(Request::Reexec);
    let other = daemon.successor();
    let old = daemon.become_successor(other);
    daemon.ask(Request::TookOver);
    until(|| gone(old.pid).then_some(()));
    assert_eq!(daemon.quit(0), 0);
}

fn hangs() {
    let mut daemon = Daemon::start();
    daemon.ask(Request::Reexec);
    let other = daemon.successor();
    let why = not_replaced(&mut daemon);
    assert!(why.contains("did not take over within 5 s"), "{why}");
    until(|| gone(other.pid).then_some(()));
    daemon.main(1, "web", "exec sleep 300");
}

fn other_version() {
    let mut daemon = Daemon::start();
    for (code, expected) in [
        (EXIT_OTHER_MESSAGES, "ctl reexec --keeper first"),
        (
            EXIT_OTHER_FORMAT,
            "does not read what the one before has stored",
        ),
    ] {
        daemon.ask(Request::Reexec);
        daemon.successor().end(code);
        let why = not_replaced(&mut daemon);
        assert!(why.contains(expected), "{why}");
    }
    daemon.main(1, "web", "exec sleep 300");
}

fn old_dies() {
    let mut daemon = Daemon::start();
    let pid = daemon.main(1, "web", "exec sleep 300");
    daemon.ask(Request::Reexec);
    let other = daemon.successor();
    kill(daemon.control_pid, 9);
    let old = daemon.become_successor(other);
    until(|| gone(old.pid).then_some(()));
    daemon.ask(Request::TookOver);
    daemon.main(2, "new", "exec sleep 300");
    assert!(!gone(pid));
    assert_eq!(daemon.quit(0), 0);
}

fn both_die() {
    let mut daemon = Daemon::start();
    let pid = daemon.main(1, "web", "exec sleep 300");
    daemon.ask(Request::Reexec);
    let other = daemon.successor();
    kill(daemon.control_pid, 9);
    until(|| gone(daemon.control_pid).then_some(()));
    kill(other.pid, 9);
    daemon.next_control();
    assert_eq!(daemon.hello.runs.len(), 1);
    assert!(!gone(pid));
}

fn twice() {
    let mut daemon = Daemon::start();
    daemon.ask(Request::Reexec);
    let other = daemon.successor();
    daemon.ask(Request::Reexec);
    let why = not_replaced(&mut daemon);
    assert!(why.contains("another"), "{why}");
    let old = daemon.become_successor(other);
    daemon.ask(Request::TookOver);
    until(|| gone(old.pid).then_some(()));
}
