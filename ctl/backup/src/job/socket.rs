//! Sends one request to the supervisor over its control socket: HTTP/1.1, answered by JSON lines.
//!
//! Not by the crate `client`, which needs a tokio runtime: this job uses threads and blocking
//! calls, and must check for a stop request between two reads.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::Stop;

/// Longest line of an answer.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Interval at which the job checks for a stop request.
const LOOK: Duration = Duration::from_millis(250);
/// Least time for a request, even after a stop request.
const LEAST: Duration = Duration::from_secs(2);

/// A stream whose reads wait until data arrive or a stop is requested.
struct Patient<'s> {
    stream: UnixStream,
    stop: &'s Stop,
    begun: Instant,
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.stop.check().is_err() && self.begun.elapsed() > LEAST {
                        return Err(error);
                    }
                }
                read => return read,
            }
        }
    }
}

/// An answer of the supervisor.
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// Last line of the stream.
    pub(super) last: Value,
}

/// Sends the request, and waits for the end of the answer. After a stop request it waits only a
/// short time: a supervisor that shuts down stops the very services that the answer waits for.
pub(super) fn ask(
    socket: &Path,
    method: &str,
    path: &str,
    body: &Value,
    stop: &Stop,
) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LOOK))?;
    let body = body.to_string();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut from = BufReader::new(Patient {
        stream,
        stop,
        begun: Instant::now(),
    });
    let first = line(&mut from)?;
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| strange("it is no HTTP"))?;
    let mut chunked = false;
    loop {
        let header = line(&mut from)?.to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        chunked |= header.starts_with("transfer-encoding:") && header.ends_with("chunked");
    }
    let last = if chunked {
        last_line(BufReader::new(Chunks {
            from,
            left: 0,
            ended: false,
        }))?
    } else {
        last_line(from)?
    };
    Ok(Answer { status, last })
}

fn last_line(mut from: impl BufRead) -> io::Result<Value> {
    let mut last = String::new();
    loop {
        let mut line = String::new();
        if from.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)? == 0 {
            return serde_json::from_str(&last).map_err(|_| strange("its answer is no JSON"));
        }
        if !line.trim().is_empty() {
            last = line;
        }
    }
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if from.take(LINE_BYTES_MAX).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn strange(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Decodes a chunked body.
struct Chunks<R> {
    from: R,
    left: u64,
    ended: bool,
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            let mut size = line(&mut self.from)?;
            if size.is_empty() {
                // Skips the line end behind the previous chunk.
                size = line(&mut self.from)?;
            }
            let digits = size.split(';').next().unwrap_or_default();
            self.left =
                u64::from_str_radix(digits, 16).map_err(|_| strange("a chunk has no size"))?;
            self.ended = self.left == 0;
        }
        if self.ended {
            return Ok(0);
        }
        let most = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.from.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together() {
        let text = b"5\r\nab\ncd\r\n6;x=y\r\n\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n";
        let mut out = String::new();
        let mut chunks = Chunks {
            from: text.as_slice(),
            left: 0,
            ended: false,
        };
        chunks.read_to_string(&mut out).expect("it is well-formed");
        assert_eq!(out, "ab\ncd\n{\"a\":1}");
        let mut cut = Chunks {
            from: &text[..20],
            left: 0,
            ended: false,
        };
        assert!(cut.read_to_string(&mut out).is_err());
    }
}
