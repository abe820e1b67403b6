//! Ports and sockets that only listen, and a port that answers HTTP.

use std::{
    io::{self, Read, Write},
    net::TcpListener,
    os::fd::AsFd,
    time::Duration,
};

use crate::signals::Signals;

/// Longest wait for a client to send its request.
const CLIENT_LIMIT: Duration = Duration::from_secs(1);

/// Listens until the process is ended.
pub(crate) fn listen(signals: &mut Signals, port: u16) -> io::Result<()> {
    let _listener = TcpListener::bind(("127.0.0.1", port))?;
    signals.wait(None, None).map(|_| ())
}

/// Listens on a unix socket until the process is ended.
pub(crate) fn unix(signals: &mut Signals, path: &str) -> io::Result<()> {
    let _listener = std::os::unix::net::UnixListener::bind(path)?;
    signals.wait(None, None).map(|_| ())
}

/// Answers every request with the status (`200`, or `@FILE` that holds one) and the body.
pub(crate) fn http(signals: &mut Signals, argument: &str) -> io::Result<()> {
    let (port, rest) = crate::pair(argument)?;
    let (status, body) = rest.split_once(':').unwrap_or((rest, ""));
    let listener = TcpListener::bind(("127.0.0.1", crate::number(port)?))?;
    while signals.wait(None, Some(listener.as_fd()))? {
        let (mut client, _) = listener.accept()?;
        // A client that goes away or stalls does not end the server.
        let _ = answer(&mut client, status, body);
    }
    Ok(())
}

fn answer(client: &mut std::net::TcpStream, status: &str, body: &str) -> io::Result<()> {
    client.set_read_timeout(Some(CLIENT_LIMIT))?;
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        match client.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
    let said = |text: &str, missing: &str| match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).unwrap_or_else(|_| missing.to_owned()),
        None => text.to_owned(),
    };
    let (status, body) = (said(status, "503"), said(body, ""));
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {} Told\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}",
        status.trim()
    )
}
