//! Descriptors in notifications: closing a descriptor may hang, and then delays only its sender.

use std::{
    fs,
    io::IoSlice,
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use keeper::message::{Fact, Request};
use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{ControlMessage, MsgFlags, sendmsg, setsockopt, sockopt},
};

use crate::{
    Test,
    daemon::Daemon,
    notify::{go, notified, ready_on_go, say, spawn},
    process::{kill, until},
};

pub(crate) const TESTS: &[Test] = &[
    (
        "a_descriptor_that_hangs_when_closed_holds_up_its_service_alone",
        lingering_stranger,
    ),
    (
        "a_service_that_sends_one_is_deaf_until_its_next_run",
        lingering_service,
    ),
    ("a_barrier_is_answered_after_what_came_before", barrier),
];

/// A connection whose close blocks, because its peer does not read what was written.
#[expect(clippy::disallowed_methods, reason = "a literal address")]
fn linger_to(port: u16) -> OwnedFd {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 600,
    };
    setsockopt(&stream, sockopt::Linger, &linger).unwrap();
    stream.set_nonblocking(true).unwrap();
    while std::io::Write::write(&mut &stream, &[0; 4096]).is_ok() {}
    stream.into()
}

fn send_with(path: &Path, text: &str, fd: OwnedFd) {
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(path).unwrap();
    let fds = [fd.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let bytes = [IoSlice::new(text.as_bytes())];
    sendmsg::<()>(socket.as_raw_fd(), &bytes, &rights, MsgFlags::empty(), None).unwrap();
    drop(fd);
}

#[expect(
    clippy::disallowed_methods,
    reason = "a sender that is no process of the keeper's"
)]
fn lingering_stranger() {
    let mut daemon = Daemon::start();
    spawn(&mut daemon, &ready_on_go());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut stranger = Command::new(own_program());
    stranger.env("NOTIFY_SOCKET", daemon.line_of("name"));
    let numbers = [port.to_string(), daemon.keeper.id().to_string()];
    let mut stranger = stranger.arg("linger").args(numbers).spawn().unwrap();
    let peer = listener.accept().unwrap().0;
    until(|| {
        let mut tasks = fs::read_dir(tasks(&daemon)).unwrap();
        tasks
            .any(|task| takes_away(&task.unwrap().path()))
            .then_some(())
    });
    // The keeper still handles requests.
    daemon.main(2, "other", "exec sleep 300");
    go(&daemon);
    drop(peer);
    assert_eq!(notified(&mut daemon), ("READY".into(), "1".into()));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

fn tasks(daemon: &Daemon) -> String {
    format!("/proc/{}/task", daemon.keeper.id())
}

/// Whether a task is a keeper's thread that takes a message away.
fn takes_away(task: &Path) -> bool {
    let comm = fs::read_to_string(task.join("comm")).unwrap_or_default();
    comm == "notify\n"
}

/// A program of a service: sends a descriptor whose close blocks on `NOTIFY_SOCKET`. Arguments:
/// port of a peer that does not read, and pid of the keeper. The keeper is stopped meanwhile, so
/// that the descriptor in the message is the last one.
pub(crate) fn be_lingering(arguments: &[String]) -> ExitCode {
    let fd = linger_to(arguments[0].parse().unwrap());
    let keeper = arguments[1].parse().unwrap();
    let path = std::env::var("NOTIFY_SOCKET").unwrap();
    kill(keeper, libc::SIGSTOP);
    until(|| {
        let stat = fs::read_to_string(format!("/proc/{keeper}/stat")).unwrap();
        stat.contains(") T ").then_some(())
    });
    send_with(Path::new(&path), "STATUS=sent", fd);
    kill(keeper, libc::SIGCONT);
    loop {
        let _ = poll(&mut [], PollTimeout::NONE);
    }
}

/// A program of a service: sends a barrier on `NOTIFY_SOCKET`, and makes the file `closed` when all
/// earlier messages are handled.
pub(crate) fn be_waiting() -> ExitCode {
    let path = PathBuf::from(std::env::var("NOTIFY_SOCKET").unwrap());
    let (read, write) = nix::unistd::pipe().unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    socket.send_to(b"STATUS=before", &path).unwrap();
    send_with(&path, "BARRIER=1", write);
    let mut polled = [PollFd::new(
        std::os::fd::AsFd::as_fd(&read),
        PollFlags::POLLIN,
    )];
    poll(&mut polled, PollTimeout::NONE).unwrap();
    fs::write("closed", "yes\n").unwrap();
    ExitCode::SUCCESS
}

fn own_program() -> String {
    std::env::current_exe().unwrap().display().to_string()
}

#[expect(clippy::disallowed_methods, reason = "a literal address")]
fn lingering_service() {
    let mut daemon = Daemon::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn(
        &mut daemon,
        &format!("exec {} linger {port} $PPID", own_program()),
    );
    let _peer = listener.accept().unwrap().0;
    assert_eq!(notified(&mut daemon), ("STATUS".into(), "sent".into()));
    daemon.main(2, "other", "exec sleep 300");
    daemon.ask(Request::Sweep { run: 1 });
    daemon.swept(1);
    daemon.acknowledge();
    let script = format!("{}; exec sleep 300", say("READY=1"));
    let mut next = daemon.shell(3, "web", &script);
    next.notify = true;
    daemon.ask(Request::Spawn(Box::new(next)));
    let key = daemon.wait(|fact, _| match fact {
        Fact::Notified { run: 3, key, .. } => Some(key.clone()),
        _ => None,
    });
    assert_eq!(key, "READY");
    assert_eq!(daemon.quit(0), 0);
}

fn barrier() {
    let mut daemon = Daemon::start();
    spawn(
        &mut daemon,
        &format!("{} wait; exec sleep 300", own_program()),
    );
    assert_eq!(notified(&mut daemon), ("STATUS".into(), "before".into()));
    assert_eq!(daemon.line_of("closed"), "yes");
}
