//! Readiness by a newline on a descriptor.

use std::fs;

use keeper::message::{Fact, READY_FD, READY_FD_CLOSED, Request, SpawnStage};

use crate::{Test, daemon::Daemon};

pub(crate) const TESTS: &[Test] = &[
    ("a_newline_says_that_a_run_is_ready", ready),
    ("a_descriptor_for_readiness_goes_anywhere", ready_anywhere),
    ("no_newline_is_not_ready", not_ready),
    ("a_closed_descriptor_for_readiness_is_told", closed),
];

fn ready_run(daemon: &mut Daemon, run: u64, number: i32, script: &str) -> i32 {
    daemon.open("web");
    let mut spawn = daemon.shell(run, "web", script);
    spawn.ready_fd = Some(number);
    daemon.ask(Request::Spawn(Box::new(spawn)));
    daemon.spawned(run)
}

fn is_ready(daemon: &mut Daemon, wanted: u64) -> bool {
    daemon.wait(|fact, _| match fact {
        Fact::Notified { run, key, value } if *run == wanted => {
            assert_eq!(key, READY_FD);
            Some(value.is_empty())
        }
        Fact::Exited { run, .. } if *run == wanted => Some(false),
        _ => None,
    })
}

fn ready() {
    let mut daemon = Daemon::start();
    let script = "printf half >&3; printf '\n' >&3; echo more >&3; echo more >&3; exec sleep 300";
    ready_run(&mut daemon, 1, 3, script);
    assert!(is_ready(&mut daemon, 1));
    daemon.replace_control();
    assert_eq!(daemon.hello.runs[0].notified[READY_FD], "");
    // The newline of a run that ends right after it counts too.
    let mut spawn = daemon.shell(2, "other", "echo >&3");
    spawn.ready_fd = Some(3);
    daemon.open("other");
    daemon.ask(Request::Spawn(Box::new(spawn)));
    assert!(is_ready(&mut daemon, 2));
}

fn ready_anywhere() {
    let mut daemon = Daemon::start();
    // Numbers below, among and above those at which the keeper hands descriptors over.
    for (run, number) in [(1, 4), (2, 8), (3, 9), (4, 10), (5, 15), (6, 16), (7, 500)] {
        // dash cannot redirect a descriptor of two digits, and this exec leaves no saved descriptor
        // behind.
        let script = format!("exec /bin/bash -c 'echo >&{number}; exec sleep 300'");
        let pid = ready_run(&mut daemon, run, number, &script);
        assert!(is_ready(&mut daemon, run), "{number}");
        crate::process::until(|| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
            (name == "sleep\n").then_some(())
        });
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let mut fds: Vec<i32> = fds
            .map(|fd| fd.unwrap().file_name().to_str().unwrap().parse().unwrap())
            .collect();
        fds.sort_unstable();
        assert_eq!(fds, [0, 1, 2, number]);
        crate::process::kill(pid, 9);
        daemon.swept(run);
    }
    for (run, number) in [(8, 2), (9, 1024), (10, -1)] {
        let mut spawn = daemon.shell(run, "web", "exit 0");
        spawn.ready_fd = Some(number);
        daemon.ask(Request::Spawn(Box::new(spawn)));
        assert_eq!(daemon.failed(run), (SpawnStage::ReadyFd, 9));
    }
}

fn not_ready() {
    let mut daemon = Daemon::start();
    ready_run(&mut daemon, 1, 3, "printf almost >&3; exec 3>&-; exit 0");
    assert!(!is_ready(&mut daemon, 1));
    daemon.swept(1);
    // The end of a run closes the descriptor too, and is reported as the end alone.
    for run in 2..30 {
        ready_run(&mut daemon, run, 3, "exit 0");
        let told = daemon.wait(|fact, _| match fact {
            Fact::Notified { .. } => Some(true),
            Fact::Exited { .. } => Some(false),
            _ => None,
        });
        assert!(!told);
        daemon.swept(run);
    }
}

/// The run lives on without its descriptor, so it can never become ready.
fn closed() {
    let mut daemon = Daemon::start();
    ready_run(&mut daemon, 1, 3, "exec 3>&-; exec sleep 300");
    let value = daemon.wait(|fact, _| match fact {
        Fact::Notified { key, value, .. } if key == READY_FD => Some(value.clone()),
        _ => None,
    });
    assert_eq!(value, READY_FD_CLOSED);
}
