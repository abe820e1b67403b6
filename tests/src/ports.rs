//! Ports on 127.0.0.1, and requests to them.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

/// A port on which nobody listens at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port can be had");
    listener.local_addr().expect("it has an address").port()
}

/// Status and body of a GET, or nothing if there is no answer within 5 s.
pub fn http_get(port: u16, path: &str) -> Option<(u16, String)> {
    ask(port, &format!("GET {path}"), b"")
}

/// Status and body of a POST, or nothing if there is no answer within 5 s.
pub fn http_post(port: u16, path: &str, body: &[u8]) -> Option<(u16, String)> {
    ask(port, &format!("POST {path}"), body)
}

fn ask(port: u16, what: &str, body: &[u8]) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let length = body.len();
    write!(
        stream,
        "{what} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    )
    .ok()?;
    stream.write_all(body).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n")?.1.to_owned();
    Some((status, body))
}
