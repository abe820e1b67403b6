//! Replacement of the control process, and the start and end of the keeper itself.

use std::{io::Read, process::Stdio};

use keeper::message::{Exit, Fact, Notice, Request};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    libc,
};

use crate::{
    Test,
    daemon::{Daemon, hash_of, keeper_command, spawn_keeper},
    notify,
    process::{gone, kill, kill_raw, until},
};

pub(crate) const TESTS: &[Test] = &[
    (
        "a_killed_control_process_is_replaced_and_misses_nothing",
        replaced,
    ),
    ("acknowledged_facts_are_not_told_again", acknowledged),
    ("what_a_dead_control_process_asked_is_done", last_words),
    ("signals_to_the_keeper_are_facts", signals),
    ("signals_that_mean_nothing_do_nothing", no_signals),
    ("what_the_starter_left_open_is_closed", inherited),
    ("a_second_keeper_is_refused", refused),
    ("leftovers_of_a_crash_are_stopped_first", || leftovers(true)),
    ("leftovers_are_found_without_cgroups", || leftovers(false)),
    ("opened_services_bring_their_pipes", pipes),
    ("the_end_takes_what_still_runs", end),
    ("deserted_the_keeper_stops_all_by_itself", deserted),
    ("a_control_process_is_told_all_however_much", || {
        told_all(Daemon::replace_control);
    }),
    ("a_successor_is_told_all_however_much", || {
        told_all(|daemon| {
            daemon.ask(Request::Reexec);
            let successor = daemon.successor();
            daemon.hello = successor.hello.clone();
        });
    }),
];

fn replaced() {
    let mut daemon = Daemon::start();
    let remember = |record: &str| Request::Remember {
        service: "web".into(),
        record: record.into(),
    };
    daemon.ask(remember("old"));
    daemon.ask(remember("new"));
    let pid = daemon.main(4, "web", "exec sleep 300");
    daemon.main(5, "job", "exit 6");
    daemon.swept(5);
    daemon.replace_control();
    let hello = &daemon.hello;
    assert_eq!((hello.control_deaths, hello.next_run), (1, 6));
    assert_eq!(hello.records["web"], "new");
    let runs: Vec<_> = hello
        .runs
        .iter()
        .map(|run| (run.run, run.exit, run.swept))
        .collect();
    assert_eq!(runs, [(4, None, false), (5, Some(Exit::Code(6)), true)]);
    assert_eq!(hello.runs[0].pid, pid);
    let facts = &hello.facts;
    let told = |wanted: fn(&Fact) -> bool| facts.iter().any(|one| wanted(&one.fact));
    assert!(told(|fact| matches!(fact, Fact::Spawned { run: 4, .. })));
    assert!(told(|fact| matches!(fact, Fact::Exited { run: 5, .. })));
    assert!(told(|fact| matches!(fact, Fact::Swept { run: 5, .. })));
    assert!(!gone(pid), "no service notices");
}

/// Records of 12 MiB, and 12 services with the status texts that are longest on the wire: a control
/// character takes six bytes there.
fn told_all(replace: fn(&mut Daemon)) {
    let mut daemon = Daemon::start();
    let record = "r".repeat(3 << 20);
    for service in ["a", "b", "c", "@plan"] {
        let (service, record) = (service.to_owned(), record.clone());
        daemon.ask(Request::Remember { service, record });
    }
    let text = r"STATUS=@{[qq(\001) x 3000]}\n@{[join qq(\n), map { qq(K$_=1) } 1..40]}";
    let script = format!("{}; exec sleep 300", notify::say(text));
    for run in 1..=12 {
        let service = format!("loud{run}");
        daemon.open(&service);
        let mut spawn = daemon.shell(run, &service, &script);
        spawn.notify = true;
        daemon.ask(Request::Spawn(Box::new(spawn)));
    }
    let mut said = 0;
    while said < 12 {
        said += daemon.wait(|fact, _| match fact {
            Fact::Notified { key, .. } if key == "STATUS" => Some(1),
            _ => None,
        });
    }
    replace(&mut daemon);
    let hello = &daemon.hello;
    assert!(hello.records.values().all(|it| it.len() == record.len()));
    assert_eq!((hello.records.len(), hello.runs.len()), (4, 12));
    for run in &hello.runs {
        assert_eq!(run.notified["STATUS"], "\u{1}".repeat(3000));
        assert_eq!(run.notified.len(), 1, "only what is known is kept");
    }
}

fn acknowledged() {
    let mut daemon = Daemon::start();
    daemon.main(1, "web", "exit 0");
    let seq = loop {
        if let (Notice::Fact(numbered), _) = daemon.notice()
            && matches!(numbered.fact, Fact::Swept { run: 1, .. })
        {
            break numbered.seq;
        }
    };
    daemon.ask(Request::Ack { seq });
    // The keeper handles requests in order, so the answer to the next one proves that the
    // acknowledgement was handled.
    daemon.main(2, "web", "exec sleep 300");
    daemon.replace_control();
    assert!(daemon.hello.facts.iter().all(|fact| fact.seq > seq));
    assert_eq!(daemon.hello.runs.len(), 1);
}

fn last_words() {
    let mut daemon = Daemon::start();
    daemon.open("web");
    let spawn = daemon.shell(1, "web", "exec sleep 300");
    kill(i32::try_from(daemon.keeper.id()).unwrap(), 19);
    daemon.ask(Request::Spawn(Box::new(spawn)));
    kill(daemon.control_pid, 9);
    kill(i32::try_from(daemon.keeper.id()).unwrap(), 18);
    daemon.next_control();
    assert_eq!(daemon.hello.runs.len(), 1);
}

fn signals() {
    let mut daemon = Daemon::start();
    let keeper = i32::try_from(daemon.keeper.id()).unwrap();
    for signal in [1, 2, 3, 15] {
        kill(keeper, signal);
        let got = daemon.wait(|fact, _| match fact {
            Fact::Signalled { signal } => Some(*signal),
            _ => None,
        });
        assert_eq!(got, signal);
    }
    assert_eq!(daemon.quit(0), 0);
}

/// Signals that a program may send to the wrong process, and a realtime signal.
const STRAY: [i32; 13] = [
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGSTKFLT,
    libc::SIGTRAP,
    libc::SIGSYS,
    40,
];

fn no_signals() {
    let mut daemon = Daemon::start();
    let keeper = daemon.keeper.id().cast_signed();
    let control = daemon.control_pid;
    for (run, signal) in (1..).zip(STRAY) {
        kill_raw(keeper, signal);
        kill_raw(control, signal);
        // The answer to the next request proves that the signals were handled.
        let masks = daemon.shell(run, "web", "grep -E '^Sig(Blk|Ign)' /proc/self/status");
        let none = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
        assert_eq!(daemon.helper(masks).2, none, "after signal {signal}");
    }
    assert!(!gone(control));
    kill(keeper, libc::SIGQUIT);
    daemon.wait(|fact, _| matches!(fact, Fact::Signalled { signal: 3 }).then_some(()));
    assert_eq!(daemon.quit(0), 0);
}

/// A package manager waits for a pipe until its last writer has closed it: the keeper must not keep
/// it open.
fn inherited() {
    let (read, write) = nix::unistd::pipe().unwrap();
    let (stdin, to_stdin) = nix::unistd::pipe().unwrap();
    fcntl(&read, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    fcntl(&to_stdin, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = keeper_command(dir.path(), true);
    keeper.stdin(stdin);
    let daemon = Daemon::start_with(keeper, dir, true);
    drop(write);
    let mut byte = [0];
    assert_eq!(
        nix::unistd::read(&read, &mut byte),
        Ok(0),
        "it is still open"
    );
    let written = nix::unistd::write(&to_stdin, b"?");
    assert_eq!(written, Err(Errno::EPIPE), "somebody could still read it");
    drop(daemon);
}

fn refused() {
    let daemon = Daemon::start();
    let mut second = spawn_keeper(daemon.dir.path(), true, Stdio::piped());
    assert_eq!(second.wait().unwrap().code(), Some(1));
    let mut text = String::new();
    second
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    let pid = format!("(pid {})", daemon.keeper.id());
    assert!(
        text.contains(&pid) && text.contains("another supervisor"),
        "{text}"
    );
    assert!(daemon.dir.path().join("ctl.sock").exists());
}

fn leftovers(cgroups: bool) {
    let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), cgroups);
    let script = "trap 'echo asked > asked; exit 0' TERM; setsid sleep 300 & echo $! > pid; \
                  while :; do sleep 0.05; done";
    let main = daemon.main(1, "web", script);
    let other = daemon.pid_of("pid");
    let (dir, cgroups) = daemon.crash();
    assert!(!gone(main) && !gone(other));
    let daemon = Daemon::start_in(dir, cgroups);
    assert!(gone(main) && gone(other));
    assert_eq!(daemon.line_of("asked"), "asked");
    let told = daemon.hello.leftovers.join(" ");
    for pid in [main, other] {
        assert!(told.contains(&pid.to_string()), "{told}");
    }
    assert!(told.contains("web"));
}

fn pipes() {
    let mut daemon = Daemon::start();
    daemon.open("web");
    for _ in 0..2 {
        let (services, fds) = loop {
            if let (Notice::Opened { services }, fds) = daemon.notice() {
                break (services, fds);
            }
        };
        assert_eq!((services, fds.len()), (vec!["web".to_owned()], 2));
        nix::unistd::write(&fds[1], b"said by control\n").unwrap();
        daemon.replace_control();
    }
}

fn end() {
    let mut daemon = Daemon::start();
    let pid = daemon.main(1, "web", "trap '' TERM; while :; do sleep 0.05; done");
    assert_eq!(daemon.quit(9), 9);
    assert!(gone(pid));
    let hash = hash_of(daemon.dir.path());
    for mount in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
        assert!(
            !std::path::Path::new(mount)
                .join(format!("mattervisor-{hash}"))
                .exists()
        );
    }
}

fn deserted() {
    let mut daemon = Daemon::start();
    let script = |name: &str| {
        format!("trap 'echo {name} >> order; exit 0' TERM; while :; do sleep 0.05; done")
    };
    let stubborn = "trap '' TERM; while :; do sleep 0.05; done";
    let first = daemon.main(1, "db", &script("db"));
    let second = daemon.main(2, "stubborn", stubborn);
    let third = daemon.main(3, "web", &script("web"));
    let keeper = i32::try_from(daemon.keeper.id()).unwrap();
    daemon.replace_control_idle();
    kill(keeper, 15);
    assert_eq!(daemon.keeper.wait().unwrap().code(), Some(1));
    assert!(gone(first) && gone(second) && gone(third));
    let order = until(|| std::fs::read_to_string(daemon.dir.path().join("order")).ok());
    assert_eq!(order, "web\ndb\n");
}
