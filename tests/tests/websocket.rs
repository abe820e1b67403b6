//! Websockets, as a Mattermost client opens them: through nginx, and over a reload of nginx.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use mattervisor_tests::{StatusExt, children, command_line, eventually, need, nginx, postgres};

use crate::stack::Stack;

/// First byte of an unfragmented text frame.
const TEXT: u8 = 0x81;
/// Bit of the second byte: a client masks its frames.
const MASKED: u8 = 0x80;

/// An open websocket.
struct Socket(TcpStream);

impl Socket {
    /// Opens a websocket as a browser does, for a page of the same origin.
    fn open(port: u16) -> Self {
        let origin = format!("http://127.0.0.1:{port}");
        let (stream, head) = Self::ask(port, &origin);
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let mut socket = Self(stream);
        let hello = socket.text();
        assert!(hello.contains("hello"), "{hello}");
        socket
    }

    /// The stream, and the head of the answer.
    fn ask(port: u16, origin: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let request = format!(
            "GET /api/v4/websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {origin}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        (stream, String::from_utf8_lossy(&head).into_owned())
    }

    /// Sends a short text and returns the one that comes back.
    fn echo(&mut self, text: &str) -> String {
        let length = u8::try_from(text.len()).unwrap();
        // A mask of zeros leaves the text as it is.
        let head = [TEXT, MASKED | length, 0, 0, 0, 0];
        self.0
            .write_all(&[&head, text.as_bytes()].concat())
            .unwrap();
        self.text()
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.0.read(&mut [0]), Ok(1..))
    }

    /// The next text message.
    fn text(&mut self) -> String {
        loop {
            let mut head = [0; 2];
            self.0.read_exact(&mut head).unwrap();
            let mut payload = vec![0; usize::from(head[1])];
            self.0.read_exact(&mut payload).unwrap();
            if head[0] == TEXT {
                return String::from_utf8(payload).unwrap();
            }
        }
    }
}

#[test]
fn a_websocket_works_through_nginx_and_outlives_its_reload() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let mut socket = Socket::open(stack.nginx_port);
    assert_eq!(socket.echo("before"), "before");
    stack.site.ctl(&["reload", "nginx"]).ok();
    assert_eq!(socket.echo("after"), "after");
    assert_eq!(Socket::open(stack.nginx_port).echo("new"), "new");
}

/// A request of whose body one half has been sent.
struct Upload(TcpStream);

impl Upload {
    const BYTES: usize = 200_000;

    fn begin(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let timeout = Some(Duration::from_secs(60));
        stream.set_read_timeout(timeout).unwrap();
        let length = Self::BYTES;
        let head = format!(
            "POST /api/v4/echo-headers HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b'x'; length / 2]).unwrap();
        Self(stream)
    }

    /// Sends the rest, and returns the first line of the answer.
    fn end(mut self) -> String {
        let rest = vec![b'x'; Self::BYTES - Self::BYTES / 2];
        self.0.write_all(&rest).unwrap();
        let mut answer = Vec::new();
        self.0.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        answer.lines().next().unwrap_or_default().to_owned()
    }
}

/// Uploads and websockets that began before a reload go on after it, and a stop waits for none of
/// them.
#[test]
fn a_reload_cuts_nobody_and_a_stop_does_not_wait_for_who_never_ends() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    let seconds = r#"
        type = "oneshot"
        [schedule]
        cron = "0 0 1 1 *"
    "#;
    stack.site.child("seconds", &["delay=7000"], seconds);
    stack.start();
    let mut socket = Socket::open(stack.nginx_port);
    let upload = Upload::begin(stack.nginx_port);
    assert_eq!(socket.echo("before"), "before");
    stack.site.ctl(&["reload", "nginx"]).ok();
    stack.site.ctl(&["start", "seconds"]).ok();
    stack.site.wait_for("seconds have passed", |status| {
        let service = status.service("seconds");
        service.state == api::ServiceState::Completed && service.last_exit.is_some()
    });
    assert_eq!(socket.echo("after"), "after");
    let answer = upload.end();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // The first websocket is with a worker from before the reload, this one with a new worker.
    let mut new = Socket::open(stack.nginx_port);
    let stopped = stack.site.ctl(&["stop", "nginx"]).ok().both();
    assert!(!stopped.contains("SIGKILL"), "{stopped}");
    assert!(socket.has_ended() && new.has_ended());
}

/// Old workers with open connections go on after a reload, but no more of them than is allowed, and
/// those are the newest.
#[test]
fn workers_of_many_reloads_are_bounded_and_the_newest_go_on() {
    const RELOADS: usize = 15;
    /// `nginx.old_workers_max`, with one worker per configuration.
    const OLD_MAX: usize = 8;
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let master = stack.site.status().pid("nginx");
    // Numbers of workers that finish, and of workers that take new connections.
    let workers = || {
        let titles = children(master).into_iter().map(command_line);
        let workers = titles.filter(|it| it.starts_with("nginx: worker process"));
        let (old, new): (Vec<_>, Vec<_>) = workers.partition(|it| it.ends_with("shutting down"));
        (old.len(), new.len())
    };
    let mut sockets = Vec::new();
    for reload in 1..=RELOADS {
        sockets.push(Socket::open(stack.nginx_port));
        stack.site.ctl(&["reload", "nginx"]).ok();
        let left = (reload.min(OLD_MAX), 1);
        eventually("the oldest workers have ended", || {
            (workers() == left).then_some(())
        });
    }
    let newest = sockets.split_off(RELOADS - OLD_MAX);
    assert!(sockets.iter_mut().all(Socket::has_ended));
    for mut socket in newest {
        assert_eq!(socket.echo("still"), "still");
    }
    assert_eq!(Socket::open(stack.nginx_port).echo("new"), "new");
    assert_eq!(stack.site.status().pid("nginx"), master);
}

/// Mattermost compares the host of the page's origin with the requested host, so nginx must pass
/// that host on.
#[test]
fn a_page_of_another_site_gets_no_websocket() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let (_, head) = Socket::ask(stack.nginx_port, "https://elsewhere.example.com");
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
}
