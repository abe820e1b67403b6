//! Clients that send descriptors whose closing takes arbitrarily long, on a socket where the kernel
//! allows that (before Linux 6.16).

use std::{
    io::{ErrorKind as Io, IoSlice, Read, Write},
    mem::MaybeUninit,
    net::{TcpListener, TcpStream},
    os::{
        fd::AsFd,
        unix::net::{UnixListener as StdListener, UnixStream as StdStream},
    },
    thread,
};

use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg, sockopt::set_socket_linger,
};

use super::*;

const REQUEST: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// A socket with a server on a thread of its own, so that a hang of the server does not hang the
/// test.
struct Apart {
    dir: tempfile::TempDir,
    listener: StdListener,
}

impl Apart {
    fn bind() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = StdListener::bind(dir.path().join("s")).unwrap();
        Self { dir, listener }
    }

    /// Serves present and later clients. The attacker must have closed its copy of a descriptor
    /// before, because the last close is the one that waits.
    ///
    /// Returns the number of descriptors that are not closed yet.
    fn serve(&self, who: Who) -> watch::Receiver<usize> {
        let (sender, unclosed) = watch::channel(0);
        let listener = self.listener.try_clone().unwrap();
        listener.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        thread::spawn(move || {
            runtime.block_on(async {
                let (asks, to_loop) = mpsc::channel(1);
                let (tell, _seen) = mpsc::unbounded_channel();
                tokio::spawn(fixed_loop(to_loop, tell));
                let listener = UnixListener::from_std(listener).unwrap();
                let mut shared = shared(asks, Limits::REAL);
                Arc::get_mut(&mut shared).unwrap().closer =
                    Closer::new("the control socket", sender);
                accept_all(super::only(listener), shared, who).await
            })
        });
        unclosed
    }

    fn connect(&self) -> StdStream {
        let stream = StdStream::connect(self.dir.path().join("s")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Fails the test unless the server answers a request of another client.
    fn assert_answers(&self) {
        let mut stream = self.connect();
        stream.write_all(REQUEST.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it hangs");
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
}

/// Sends these bytes with a connection whose closing waits until the returned peer reads or goes
/// away.
#[expect(clippy::disallowed_methods, reason = "a literal address")]
fn send_lingering(stream: &StdStream, bytes: &[u8], flags: SendFlags) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    let chunk = vec![0; 64 << 10];
    let full = loop {
        if let Err(error) = ours.write(&chunk) {
            break error;
        }
    };
    assert_eq!(full.kind(), Io::WouldBlock);
    set_socket_linger(&ours, Some(Duration::from_secs(3600))).unwrap();
    let descriptors = [ours.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let sent = sendmsg(stream, &[IoSlice::new(bytes)], &mut control, flags);
    if sent.is_err() {
        // Otherwise the test's own close would wait.
        set_socket_linger(&ours, None).unwrap();
    }
    sent.unwrap();
    peer
}

/// Reads until the server hangs up, with or without an answer.
fn until_hung_up(mut attacker: &StdStream) {
    let mut rest = Vec::new();
    let end = attacker.read_to_end(&mut rest);
    let in_time = !end.is_err_and(|error| error.kind() == Io::WouldBlock);
    assert!(in_time, "the server does not hang up");
}

#[test]
fn descriptors_in_a_request_hold_nobody_up() {
    let server = Apart::bind();
    let attacker = server.connect();
    let _peer = send_lingering(&attacker, b"GET /healthz HT", SendFlags::empty());
    server.serve(VIEWER);
    until_hung_up(&attacker);
    server.assert_answers();
}

#[test]
fn descriptors_with_an_urgent_byte_hold_nobody_up() {
    let server = Apart::bind();
    let mut attacker = server.connect();
    let _peer = send_lingering(&attacker, b"G", SendFlags::OOB);
    attacker.write_all(b"ET /healthz HT").unwrap();
    server.serve(VIEWER);
    until_hung_up(&attacker);
    server.assert_answers();
}

#[test]
fn descriptors_that_nobody_has_read_hold_nobody_up() {
    let server = Apart::bind();
    let mut attacker = server.connect();
    // The server takes 8 KiB, answers, and never reads the rest.
    let long = format!("{REQUEST}{}", " ".repeat(8 << 10));
    attacker.write_all(long.as_bytes()).unwrap();
    let _peer = send_lingering(&attacker, b"x", SendFlags::empty());
    server.serve(VIEWER);
    until_hung_up(&attacker);
    server.assert_answers();
}

#[test]
fn descriptors_of_a_stranger_hold_nobody_up() {
    let server = Apart::bind();
    let attacker = server.connect();
    let _peer = send_lingering(&attacker, b"GET /healthz HT", SendFlags::empty());
    server.serve(STRANGER);
    until_hung_up(&attacker);
    server.assert_answers();
}

#[tokio::test]
async fn what_cannot_be_closed_is_counted_until_it_is() {
    let server = Apart::bind();
    let attacker = server.connect();
    let peer = send_lingering(&attacker, b"GET /healthz HT", SendFlags::empty());
    let mut unclosed = server.serve(VIEWER);
    within(unclosed.wait_for(|&count| count > 0)).await.unwrap();
    until_hung_up(&attacker);
    assert_eq!(*unclosed.borrow(), 1, "it is not closed yet");
    drop(peer);
    within(unclosed.wait_for(|&count| count == 0))
        .await
        .unwrap();
}
