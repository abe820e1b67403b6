//! Asking the control socket itself, as curl would.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
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
        let socket = self.path("run/mattervisor/ctl.sock");
        let mut stream = UnixStream::connect(socket).expect("the socket is there");
        let limit = Some(patience::LIMIT);
        stream.set_read_timeout(limit).expect("a limit can be set");
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        .expect("it can be asked");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .expect("it answers in time, in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        let body = if head.contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.to_owned()
        };
        Reply {
            status: status.expect("an answer has a status"),
            head,
            body,
        }
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
