//! Notifications of services, and which processes may send them.

use std::{
    fs::{self, File},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixDatagram,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use keeper::message::{Exit, Fact, Ids, Request};

use crate::{
    Test,
    daemon::{Daemon, hash_of, keeper_command},
    process::{is_root, kill, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("a_process_of_the_service_is_heard", || heard(true)),
    ("a_process_is_heard_without_cgroups", || heard(false)),
    ("a_stranger_is_not_heard", stranger),
    ("mainpid_moves_the_main_process", main_pid),
    ("a_foreign_mainpid_is_dropped", foreign_main_pid),
    ("only_the_main_process_is_heard_if_asked_so", main_only),
    (
        "a_notify_socket_is_the_accounts_alone_wherever_it_lies",
        accounts_alone,
    ),
    (
        "a_long_run_directory_gets_a_short_notify_socket",
        long_directory,
    ),
    ("a_removed_notify_socket_is_made_again", removed),
    (
        "a_removed_run_directory_is_made_again_for_the_notify_socket",
        run_directory_removed,
    ),
    ("a_sender_that_has_ended_is_told_by_its_group", ended_sender),
    ("a_flood_of_strangers_is_told_once_and_escaped", flood),
    (
        "the_last_value_of_a_key_survives_the_control_process",
        last_value,
    ),
];

/// A shell command that sends a notification to `NOTIFY_SOCKET` from a process of its own, which
/// lives a moment longer.
pub(crate) fn say(text: &str) -> String {
    format!(
        "perl -MSocket -e 'socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; \
         my $n = $ENV{{NOTIFY_SOCKET}}; send($s, \"{text}\", 0, pack_sockaddr_un($n)) or die; select(undef, undef, undef, 0.3)'"
    )
}

pub(crate) fn spawn(daemon: &mut Daemon, script: &str) -> i32 {
    daemon.open("web");
    let mut spawn = daemon.shell(1, "web", script);
    spawn.notify = true;
    daemon.ask(Request::Spawn(Box::new(spawn)));
    daemon.spawned(1)
}

pub(crate) fn notified(daemon: &mut Daemon) -> (String, String) {
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

/// A script that writes its `NOTIFY_SOCKET` to the file `name`, waits for the file `go`, and sends
/// READY=1.
pub(crate) fn ready_on_go() -> String {
    format!(
        "echo $NOTIFY_SOCKET > name; while [ ! -e go ]; do sleep 0.01; done; {}; exec sleep 300",
        say("READY=1")
    )
}

pub(crate) fn go(daemon: &Daemon) {
    fs::write(daemon.dir.path().join("go"), "").unwrap();
}

fn stranger() {
    let mut daemon = Daemon::start();
    spawn(&mut daemon, &ready_on_go());
    let socket = UnixDatagram::unbound().unwrap();
    socket
        .send_to(b"STATUS=forged", daemon.line_of("name"))
        .unwrap();
    go(&daemon);
    // Datagrams keep their order, so the keeper has seen the forged one and dropped it.
    assert_eq!(notified(&mut daemon), ("READY".into(), "1".into()));
}

fn accounts_alone() {
    if !is_root() {
        skip::skip!("there is only one account without root");
    }
    for (mode, usual) in [(0o755, true), (0o700, false)] {
        let mut daemon = Daemon::start();
        let root = daemon.dir.path().to_owned();
        fs::set_permissions(&root, fs::Permissions::from_mode(mode)).unwrap();
        daemon.open_for("web", 1234);
        let as_user = |daemon: &Daemon, run, uid, script: &str| {
            let mut spawn = daemon.shell(run, "web", script);
            let (gid, groups) = (uid, vec![]);
            (spawn.cwd, spawn.ids) = ("/".into(), Some(Ids { uid, gid, groups }));
            spawn
        };
        let script = format!("{}; exec sleep 300", say("STATUS=$ENV{NOTIFY_SOCKET}"));
        let mut main = as_user(&daemon, 1, 1234, &script);
        main.notify = true;
        daemon.ask(Request::Spawn(Box::new(main)));
        let path = PathBuf::from(notified(&mut daemon).1);
        let directory = if usual {
            root.join("notify")
        } else {
            Path::new("/run").join(format!("mattervisor-{}", hash_of(&root)))
        };
        assert_eq!(path.parent().unwrap(), directory);
        let meta = fs::metadata(&path).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o777), (1234, 0o600));
        let meta = fs::metadata(&directory).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o777), (0, 0o711));
        let forge = format!(
            "export NOTIFY_SOCKET={}; {} 2>/dev/null || echo refused",
            path.display(),
            say("READY=1")
        );
        let stranger = as_user(&daemon, 2, 65534, &forge);
        assert_eq!(daemon.helper_of(stranger).2, "refused\n");
        daemon.quit(0);
        assert!(!directory.exists());
    }
}

fn long_directory() {
    let base = tempfile::tempdir().unwrap();
    let deep = base.path().join("d".repeat(120));
    fs::create_dir(&deep).unwrap();
    let dir = tempfile::TempDir::new_in(deep).unwrap();
    // The path of the test's own socket must be short.
    let mut keeper = keeper_command(dir.path(), true);
    keeper.arg(base.path().join("driver.sock"));
    let mut daemon = Daemon::start_by(keeper, dir, base.path(), true);
    spawn(&mut daemon, &format!("{}; exec sleep 300", say("READY=1")));
    assert_eq!(notified(&mut daemon), ("READY".into(), "1".into()));
    daemon.quit(0);
}

fn removed() {
    let mut daemon = Daemon::start();
    let script = format!(
        "echo $NOTIFY_SOCKET > name; for n in 1 2 3; do \
         while [ ! -e go$n ]; do sleep 0.01; done; {}; done; exec sleep 300",
        say("STATUS=$ENV{n}").replace("perl", "n=$n perl")
    );
    spawn(&mut daemon, &script);
    let path = PathBuf::from(daemon.line_of("name"));
    let directory = path.parent().unwrap().to_owned();
    let root = daemon.dir.path().to_owned();
    let ways: [(&str, &dyn Fn()); 3] = [
        ("1", &|| fs::remove_file(&path).unwrap()),
        ("2", &|| fs::remove_dir_all(&directory).unwrap_or_default()),
        ("3", &|| fs::rename(&directory, root.join("away")).unwrap()),
    ];
    for (n, remove) in ways {
        let before = fs::metadata(&path).unwrap().ino();
        remove();
        until(|| (fs::metadata(&path).ok()?.ino() != before).then_some(()));
        fs::write(root.join(format!("go{n}")), "").unwrap();
        assert_eq!(notified(&mut daemon), ("STATUS".into(), n.into()));
    }
}

fn run_directory_removed() {
    let base = tempfile::tempdir().unwrap();
    fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
    let run = base.path().join("run");
    let dir = tempfile::Builder::new().tempdir_in(base.path()).unwrap();
    fs::rename(dir.path(), &run).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    let mut keeper = keeper_command(&run, true);
    keeper.arg(base.path().join("driver.sock"));
    let mut daemon = Daemon::start_by(keeper, dir, base.path(), true);
    let uid = if is_root() {
        1234
    } else {
        nix::unistd::geteuid().as_raw()
    };
    daemon.open_for("web", uid);
    let go = base.path().join("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.01; done", go.display());
    let mut spawn = daemon.shell(
        1,
        "web",
        &format!("{wait}; {}; exec sleep 300", say("READY=1")),
    );
    (spawn.notify, spawn.cwd) = (true, "/".into());
    spawn.ids = is_root().then_some(Ids {
        uid,
        gid: uid,
        groups: vec![],
    });
    daemon.ask(Request::Spawn(Box::new(spawn)));
    daemon.spawned(1);
    fs::rename(&run, base.path().join("away")).unwrap();
    until(|| {
        fs::metadata(run.join("notify/web"))
            .is_ok_and(|meta| meta.uid() == uid)
            .then_some(())
    });
    fs::write(go, "").unwrap();
    assert_eq!(notified(&mut daemon), ("READY".into(), "1".into()));
}

/// Like [`say`], from a process that ends right after sending.
fn say_and_end(text: &str) -> String {
    say(text).replace("; select(undef, undef, undef, 0.3)", "")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a sender that is no process of the keeper's"
)]
fn ended_sender() {
    let mut daemon = Daemon::start();
    let script = format!(
        "echo $NOTIFY_SOCKET > name; while [ ! -e go ]; do sleep 0.01; done; {}; exec sleep 300",
        say_and_end("READY=1")
    );
    spawn(&mut daemon, &script);
    let record = fs::read_to_string(daemon.dir.path().join("runs/1")).unwrap();
    if kernel() >= (6, 16) && !record.contains("\"cgroup\":null") {
        for _ in 0..20 {
            let mut forger = Command::new("/bin/sh");
            forger.args(["-c", &say_and_end("STATUS=forged")]);
            forger.env("NOTIFY_SOCKET", daemon.line_of("name"));
            assert!(forger.status().unwrap().success());
        }
    }
    go(&daemon);
    assert_eq!(notified(&mut daemon), ("READY".into(), "1".into()));
}

fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map_while(|one| one.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn flood() {
    let dir = tempfile::tempdir().unwrap();
    let said = dir.path().join("said");
    let mut keeper = keeper_command(dir.path(), true);
    keeper.stderr(Stdio::from(File::create(&said).unwrap()));
    let mut daemon = Daemon::start_with(keeper, dir, true);
    spawn(&mut daemon, &ready_on_go());
    let path = daemon.line_of("name");
    let socket = UnixDatagram::unbound().unwrap();
    for _ in 0..1000 {
        socket.send_to(b"MAINPID=\x1b[2J", &path).unwrap();
    }
    go(&daemon);
    assert_eq!(notified(&mut daemon), ("READY".into(), "1".into()));
    // Another thread writes the file, so its text comes later.
    let told = |what: &str| {
        let said = fs::read_to_string(&said).unwrap();
        said.contains(what).then_some(said)
    };
    let text = until(|| told("drops notifications"));
    assert_eq!(text.matches("drops notifications").count(), 1, "{text}");
    let script = format!("{}; exec sleep 300", say("MAINPID=\\e[2J\\nSTATUS=after"));
    let mut evil = daemon.shell(2, "evil", &script);
    daemon.open("evil");
    evil.notify = true;
    daemon.ask(Request::Spawn(Box::new(evil)));
    daemon.wait(|fact, _| matches!(fact, Fact::Notified { run: 2, .. }).then_some(()));
    until(|| told("MAINPID=\\u{1b}[2J"));
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
        // The end of the first process does not end the run.
        crate::process::until(|| crate::process::gone(first).then_some(()));
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
    // Datagrams keep their order, so the keeper has seen the child's and dropped it.
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
