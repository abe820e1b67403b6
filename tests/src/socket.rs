//! Requests on the control socket itself, as curl would send them.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use crate::{site::Site, wait};

/// A reply of the control socket.
#[derive(Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Header lines, lower case.
    pub head: String,
    /// All of the body.
    pub body: String,
}

impl Site {
    /// `GET PATH` on the control socket.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        let answer = self.send("GET", path, "", wait::LIMIT);
        read_reply(&answer.expect("it answers in time, in UTF-8"))
    }

    /// `POST PATH` on the control socket, without a body; an error if no answer comes in time.
    #[track_caller]
    pub fn post(&self, path: &str, limit: Duration) -> io::Result<Reply> {
        let answer = self.send("POST", path, "", limit)?;
        Ok(read_reply(&answer))
    }

    /// A request with JSON on the control socket, by any method.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &serde_json::Value) -> Reply {
        let answer = self.send(method, path, &body.to_string(), wait::LIMIT);
        read_reply(&answer.expect("it answers in time"))
    }

    /// Sends a request and returns the whole answer; an error if the other side goes away in
    /// between.
    fn send(&self, method: &str, path: &str, body: &str, limit: Duration) -> io::Result<String> {
        let socket = self.path("run/mattervisor/ctl.sock");
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(limit))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

#[track_caller]
fn read_reply(answer: &str) -> Reply {
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

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk begins with its size");
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    body
}
