//! One destination of forwarded lines, on a thread of its own, which may block here.
//!
//! Syslog gets what the C library's `syslog` writes (RFC 3164, local time, facility daemon,
//! severity info), the journal its native protocol, standard output `SERVICE | line` or one JSON
//! object a line. A send to a missing socket is retried for a few seconds (its daemon may be
//! restarting); then lines are dropped until the socket answers.

use std::{
    fs::File,
    io::{self, Write},
    os::{fd::AsFd, unix::net::UnixDatagram},
    path::PathBuf,
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use memchr::{memchr_iter, memrchr};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

use super::{
    STAMP_BYTES,
    forward::{Medium, Places, Source},
};
use crate::message::Forward;

/// Size of one write to standard output, in whole lines: a pipe keeps such a write in one piece.
const PIECE_BYTES: usize = 4096;
/// Pauses between attempts to reach a missing socket; after the last pause the socket is given up.
const PAUSES_MS: [u64; 6] = [50, 100, 200, 400, 800, 1600];
/// Facility daemon (3), severity info (6).
const PRIORITY: &str = "<30>";
/// Length of a stamp down to the second.
const SECOND_BYTES: usize = 19;

/// Where the lines go.
#[derive(Debug)]
pub(super) enum Outlet {
    Syslog(Datagrams, LocalTime),
    Journal(Datagrams),
    Stdout(File),
}

/// Number of lines lost, and why.
type Lost = (u64, Option<io::Error>);

impl Outlet {
    pub(super) fn new(medium: Medium, places: &Places) -> io::Result<Outlet> {
        Ok(match medium {
            Medium::Syslog => Self::Syslog(Datagrams::new(&places.syslog), LocalTime::default()),
            Medium::Journal => Self::Journal(Datagrams::new(&places.journal)),
            Medium::Stdout => Self::Stdout(
                match &places.stdout {
                    Some(stdout) => stdout.try_clone()?,
                    None => io::stdout().as_fd().try_clone_to_owned()?,
                }
                .into(),
            ),
        })
    }

    /// Sends stamped whole lines; blocks as long as the destination does.
    pub(super) fn send(&mut self, source: &Source, lines: &[u8]) -> Lost {
        match self {
            Self::Syslog(socket, time) => each(lines, |stamp, text| {
                let time = time.of(stamp);
                let head = format!("{PRIORITY}{time} {}: ", source.service);
                socket.send(&[head.as_bytes(), text].concat())
            }),
            Self::Journal(socket) => each(lines, |_, text| {
                // The journal reads the text by its length, so no byte of the text can end the
                // field.
                let head = format!(
                    "PRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER={}\nMESSAGE\n",
                    source.service
                );
                let length = (text.len() as u64).to_le_bytes();
                socket.send(&[head.as_bytes(), &length, text, b"\n"].concat())
            }),
            Self::Stdout(out) => print(out, source, lines),
        }
    }
}

/// Calls `send` with stamp and text of each line.
fn each(lines: &[u8], mut send: impl FnMut(&str, &[u8]) -> io::Result<()>) -> Lost {
    let mut lost: Lost = (0, None);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let (stamp, text) = split(line);
        if let Err(error) = send(stamp, text) {
            lost = (lost.0 + 1, Some(error));
        }
    }
    lost
}

fn split(line: &[u8]) -> (&str, &[u8]) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (stamp, text) = line.split_at(STAMP_BYTES.min(line.len()));
    (str::from_utf8(stamp).unwrap_or_default().trim_end(), text)
}

/// A datagram socket whose receiver may be restarted.
#[derive(Debug)]
pub(super) struct Datagrams {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    /// Whether nobody answered during all of the pauses.
    given_up: bool,
}

impl Datagrams {
    fn new(path: &std::path::Path) -> Datagrams {
        Datagrams {
            path: path.to_owned(),
            socket: None,
            given_up: false,
        }
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            let error = match self.try_send(message) {
                Ok(()) => {
                    self.given_up = false;
                    return Ok(());
                }
                Err(error) => error,
            };
            let gone = matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::NotConnected
                    | io::ErrorKind::BrokenPipe
            );
            if !gone {
                return Err(error);
            }
            self.socket = None;
            let Some(pause) = pauses.next().filter(|_| !self.given_up) else {
                self.given_up = true;
                return Err(error);
            };
            #[expect(
                clippy::disallowed_methods,
                reason = "nobody tells when the socket is back"
            )]
            std::thread::sleep(Duration::from_millis(pause));
        }
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&self.path)?;
                none.insert(socket)
            }
        };
        loop {
            match socket.send(message) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map(drop),
            }
        }
    }
}

/// Local time as `Nov 22 23:04:05`; formatted once a second.
#[derive(Debug, Default)]
pub(super) struct LocalTime {
    second: String,
    text: String,
}

impl LocalTime {
    fn of(&mut self, stamp: &str) -> &str {
        let second = stamp.get(..SECOND_BYTES).unwrap_or_default();
        if second != self.second || self.text.is_empty() {
            let time: Timestamp = stamp.parse().unwrap_or_else(|_| Timestamp::now());
            let local = time.to_zoned(TimeZone::system());
            self.text = local.strftime("%b %e %H:%M:%S").to_string();
            second.clone_into(&mut self.second);
        }
        &self.text
    }
}

/// A line as JSON.
#[derive(Serialize)]
struct Line<'a> {
    at: &'a str,
    service: &'a str,
    text: &'a str,
}

fn print(out: &mut File, source: &Source, lines: &[u8]) -> Lost {
    let mut lost: Lost = (0, None);
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let mut line = Vec::new();
    for raw in lines.split_inclusive(|byte| *byte == b'\n') {
        let (at, text) = split(raw);
        line.clear();
        render(&mut line, source, at, text);
        if piece.len() + line.len() > PIECE_BYTES {
            flush(out, &mut piece, &mut lost);
        }
        piece.extend_from_slice(&line);
    }
    flush(out, &mut piece, &mut lost);
    lost
}

fn render(line: &mut Vec<u8>, source: &Source, at: &str, text: &[u8]) {
    let service = &source.service;
    if source.forward == Forward::StdoutJson {
        let text = &String::from_utf8_lossy(text);
        // Serializing strings into memory cannot fail.
        let _ = serde_json::to_writer(&mut *line, &Line { at, service, text });
    } else {
        line.extend_from_slice(service.as_bytes());
        line.extend_from_slice(b" | ");
        line.extend_from_slice(text);
    }
    line.push(b'\n');
}

/// Writes all of a piece. After an error, all lines behind the last whole line written are lost.
fn flush(out: &mut File, piece: &mut Vec<u8>, lost: &mut Lost) {
    let mut done = 0;
    while done < piece.len() {
        match out.write(&piece[done..]) {
            Ok(0) => break,
            Ok(bytes) => done += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another process has set the shared file to non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut ready = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
                let _ = poll(&mut ready, PollTimeout::NONE);
            }
            Err(error) => {
                let whole = memrchr(b'\n', &piece[..done]).map_or(0, |end| end + 1);
                lost.0 += memchr_iter(b'\n', &piece[whole..]).count() as u64;
                lost.1 = Some(error);
                break;
            }
        }
    }
    piece.clear();
}
