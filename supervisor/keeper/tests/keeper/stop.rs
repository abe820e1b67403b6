//! A stop in two steps, without a control process that drives it: the second signal comes before
//! SIGKILL.

use std::fs;

use keeper::message::{Escalation, Request, Stop};
use nix::libc;

use crate::{
    Test,
    daemon::Daemon,
    process::{gone, kill, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("alone_it_sends_the_second_signal_too", alone),
    ("a_leftover_gets_its_second_signal_too", leftover),
];

/// A run that records QUIT and ends on TERM; SIGKILL would come much later than the test waits.
fn run(daemon: &mut Daemon) -> i32 {
    daemon.open("web");
    let said = daemon.dir.path().join("said").display().to_string();
    let script = format!(
        "trap 'echo quit >> {said}' QUIT; trap 'echo term >> {said}; exit 0' TERM; echo up > {said}; \
         while :; do sleep 0.05; done"
    );
    let mut spawn = daemon.shell(1, "web", &script);
    spawn.stop = Stop {
        signal: libc::SIGQUIT,
        escalation: Some(Escalation {
            signal: libc::SIGTERM,
            after_ms: 300,
        }),
        timeout_ms: 100_000,
    };
    daemon.ask(Request::Spawn(Box::new(spawn)));
    let pid = daemon.spawned(1);
    until(|| (said_by(daemon) == "up\n").then_some(()));
    pid
}

fn said_by(daemon: &Daemon) -> String {
    fs::read_to_string(daemon.dir.path().join("said")).unwrap_or_default()
}

fn alone() {
    let mut daemon = Daemon::start();
    let pid = run(&mut daemon);
    kill(daemon.control_pid, libc::SIGSTOP);
    kill(daemon.keeper.id().cast_signed(), libc::SIGTERM);
    until(|| daemon.keeper.try_wait().unwrap());
    assert!(gone(pid));
    assert_eq!(said_by(&daemon), "up\nquit\nterm\n");
}

fn leftover() {
    let mut daemon = Daemon::start();
    let pid = run(&mut daemon);
    let (dir, cgroups) = daemon.crash();
    let daemon = Daemon::start_in(dir, cgroups);
    assert!(gone(pid));
    assert_eq!(said_by(&daemon), "up\nquit\nterm\n");
}
