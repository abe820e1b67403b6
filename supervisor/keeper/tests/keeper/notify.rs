//! What services say, and who may speak for them.

use std::os::{
    linux::net::SocketAddrExt,
    unix::net::{SocketAddr, UnixDatagram},
};

use keeper::message::{Exit, Fact, Request};

use crate::{
    Test,
    daemon::{Daemon, kill},
};

pub(crate) const TESTS: &[Test] = &[
    ("a_process_of_the_service_is_heard", || heard(true)),
    ("a_process_is_heard_without_cgroups", || heard(false)),
    ("a_stranger_is_not_heard", stranger),
    ("mainpid_moves_the_main_process", main_pid),
    ("a_foreign_mainpid_is_dropped", foreign_main_pid),
    ("only_the_main_process_is_heard_if_asked_so", main_only),
    (
        "the_last_value_of_a_key_survives_the_control_process",
        last_value,
    ),
];

/// Says something on `NOTIFY_SOCKET`, from a process of its own. `socket` is in the environment.
fn say(text: &str) -> String {
    format!(
        "perl -MSocket -e 'socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; \
         my $n = $ENV{{NOTIFY_SOCKET}}; $n =~ s/^@/\\0/; \
         send($s, \"{text}\", 0, pack_sockaddr_un($n)) or die; select(undef, undef, undef, 0.3)'"
    )
}

fn spawn(daemon: &mut Daemon, script: &str) -> i32 {
    daemon.open("web");
    let mut spawn = daemon.shell(1, "web", script);
    spawn.notify = true;
    daemon.ask(Request::Spawn(Box::new(spawn)));
    daemon.spawned(1)
}

fn notified(daemon: &mut Daemon) -> (String, String) {
    daemon.wait(|fact, _| match fact {
        Fact::Notified { run: 1, key, value } => Some((key.clone(), value.clone())),
        _ => None,
    })
}

fn heard(cgroups: bool) {
    let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), cgroups);
    spawn(
        &mut daemon,
        &format!("{}; exec sleep 300", say("READY=1\\nSTATUS=up\\n")),
    );
    assert_eq!(notified(&mut daemon), ("READY".into(), "1".into()));
    assert_eq!(notified(&mut daemon), ("STATUS".into(), "up".into()));
}

fn stranger() {
    let mut daemon = Daemon::start();
    let script = format!(
        "echo $NOTIFY_SOCKET > name; while [ ! -e go ]; do sleep 0.01; done; {}; exec sleep 300",
        say("READY=1")
    );
    spawn(&mut daemon, &script);
    let name = daemon.line_of("name");
    let address = SocketAddr::from_abstract_name(name.strip_prefix('@').unwrap()).unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    socket.send_to_addr(b"STATUS=forged", &address).unwrap();
    std::fs::write(daemon.dir.path().join("go"), "").unwrap();
    // Datagrams keep their order: the forged one has been seen, and dropped.
    assert_eq!(notified(&mut daemon), ("READY".into(), "1".into()));
}

fn main_pid() {
    for cgroups in [true, false] {
        let mut daemon = Daemon::start_in(tempfile::tempdir().unwrap(), cgroups);
        let script = format!(
            "sh -c 'while [ ! -e go ]; do sleep 0.01; done; exit 7' & export P=$!; {}; \
             echo $P > pid; exit 0",
            say("MAINPID=$ENV{P}")
        );
        let first = spawn(&mut daemon, &script);
        let (key, value) = notified(&mut daemon);
        assert_eq!(key, "MAINPID");
        let main: i32 = value.parse().unwrap();
        assert_ne!(main, first);
        assert_eq!(daemon.pid_of("pid"), main);
        // The end of the first process is not the end of the run.
        crate::daemon::until(|| crate::daemon::gone(first).then_some(()));
        std::fs::write(daemon.dir.path().join("go"), "").unwrap();
        assert_eq!(daemon.exited(1).0, Exit::Code(7), "cgroups: {cgroups}");
        assert!(daemon.swept(1).is_empty());
    }
}

fn foreign_main_pid() {
    let mut daemon = Daemon::start();
    let script = format!("{}; exec sleep 300", say("MAINPID=1\\nSTATUS=after"));
    let pid = spawn(&mut daemon, &script);
    assert_eq!(notified(&mut daemon), ("STATUS".into(), "after".into()));
    kill(pid, 9);
    assert_eq!(daemon.exited(1).0, Exit::Signal(9));
}

fn main_only() {
    let mut daemon = Daemon::start();
    daemon.open("web");
    let script = format!("{}; exec {}", say("STATUS=child"), say("STATUS=main"));
    let mut spawn = daemon.shell(1, "web", &script);
    (spawn.notify, spawn.notify_main_only) = (true, true);
    daemon.ask(Request::Spawn(Box::new(spawn)));
    // Datagrams keep their order: the child's has been seen, and dropped.
    assert_eq!(notified(&mut daemon), ("STATUS".into(), "main".into()));
}

fn last_value() {
    let mut daemon = Daemon::start();
    let script = format!(
        "{}; {}; exec sleep 300",
        say("STATUS=one"),
        say("STATUS=two\\nREADY=1")
    );
    spawn(&mut daemon, &script);
    while notified(&mut daemon).0 != "READY" {}
    daemon.replace_control();
    let notified = &daemon.hello.runs[0].notified;
    assert_eq!(
        (notified["STATUS"].as_str(), notified["READY"].as_str()),
        ("two", "1")
    );
}
