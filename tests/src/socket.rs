//! Asking the control socket itself, as curl would.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use crate::{patience, world::World};

/// What the control socket has answered.
#[derive(Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Header lines, lower case.
    pub head: String,
    /// All of the body.
    pub body: String,
}

impl World {
    /// `GET PATH` on the control socket.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        let answer = self.request("GET", path, patience::LIMIT);
        answer.expect("it answers in time, in UTF-8")
    }

    /// `POST PATH` on the control socket, without a body; fails if that is not answered in time.
    #[track_caller]
    pub fn post(&self, path: &str, limit: Duration) -> io::Result<Reply> {
        self.request("POST", path, limit)
    }

    fn request(&self, method: &str, path: &str, limit: Duration) -> io::Result<Reply> {
        let socket = self.path("run/mattervisor/ctl.sock");
        let mut stream = UnixStream::connect(socket).expect("the socket is there");
        let limit = Some(limit);
        stream.set_read_timeout(limit).expect("a limit can be set");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        let body = if head.contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.to_owned()
        };
        Ok(Reply {
            status: status.expect("an answer has a status"),
            head,
            body,
        })
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk begins with its size");
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    body
}
