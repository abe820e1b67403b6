//! A place in a log that moves forward, from file to file, and waits at the end.

use std::{
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use keeper::log::{LINE_BYTES_MAX, MARK, STAMP_BYTES};
use memchr::memchr;

use super::files::{Part, before_last};

/// One read takes at most this much.
const BLOCK_BYTES: usize = 32 << 10;
/// A line of more than the keeper ever writes is handed on in pieces.
const LINE_MAX: usize = LINE_BYTES_MAX + STAMP_BYTES;

/// A line as it is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its stamp; empty if it has none.
    pub(super) at: String,
    /// The rest.
    pub(super) text: String,
    /// Not written by the service.
    pub(super) marker: bool,
}

/// The place.
#[derive(Debug)]
pub(super) struct Cursor {
    dir: PathBuf,
    part: Option<Part>,
    /// Where in the file the next read begins.
    offset: u64,
    /// Read and not yet handed on: from `begin` on.
    buffer: Vec<u8>,
    begin: usize,
}

impl Cursor {
    /// Before the last `lines` lines of this log; where there is no file yet, before its first line.
    pub(super) fn before_last(dir: &Path, lines: usize) -> Cursor {
        let (part, offset) = before_last(dir, lines).unzip();
        Cursor {
            dir: dir.to_owned(),
            part,
            offset: offset.unwrap_or(0),
            buffer: Vec::new(),
            begin: 0,
        }
    }

    /// The next line; none: there is no more for now, and the buffer is given back.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        loop {
            let rest = &self.buffer[self.begin..];
            if let Some(end) = memchr(b'\n', rest) {
                let line = parse(&rest[..end]);
                self.begin += end + 1;
                return Some(line);
            }
            if rest.len() >= LINE_MAX {
                let line = parse(rest);
                self.begin = self.buffer.len();
                return Some(line);
            }
            if self.read() {
                continue;
            }
            match self.turn() {
                Turn::Moved => {}
                Turn::Line(line) => return Some(line),
                Turn::Stay => {
                    self.buffer.drain(..self.begin);
                    self.begin = 0;
                    self.buffer.shrink_to_fit();
                    return None;
                }
            }
        }
    }

    /// Reads on in the file. False: at its end.
    fn read(&mut self) -> bool {
        let Some(part) = &self.part else {
            return false;
        };
        self.buffer.drain(..self.begin);
        self.begin = 0;
        let had = self.buffer.len();
        self.buffer.resize(had + BLOCK_BYTES, 0);
        // An error (EIO) is an end: the next event tries again.
        let mut bytes = part
            .file
            .read_at(&mut self.buffer[had..], self.offset)
            .unwrap_or(0);
        if bytes == 0
            && part
                .file
                .metadata()
                .is_ok_and(|meta| meta.len() < self.offset)
        {
            // Emptied by somebody: what is in it now is new.
            self.offset = 0;
            bytes = part.file.read_at(&mut self.buffer[had..], 0).unwrap_or(0);
        }
        self.buffer.truncate(had + bytes);
        self.offset += bytes as u64;
        bytes > 0
    }

    /// At the end of a file: goes on to the next one, if there is one.
    fn turn(&mut self) -> Turn {
        let found = match &self.part {
            Some(part) => part.next(&self.dir),
            None => before_last(&self.dir, usize::MAX).map(|(part, _)| (part, false)),
        };
        let Some((next, gap)) = found else {
            return Turn::Stay;
        };
        // It may have grown between our reading its end and the rotation. Now it grows no more.
        if self.read() {
            return Turn::Moved;
        }
        self.part = Some(next);
        self.offset = 0;
        let rest = std::mem::take(&mut self.buffer);
        if !rest.is_empty() {
            return Turn::Line(parse(&rest));
        }
        if gap {
            let text = format!(
                "{MARK}lines may be missing here: files were deleted before they were read"
            );
            return Turn::Line(Line {
                at: String::new(),
                text,
                marker: true,
            });
        }
        Turn::Moved
    }
}

enum Turn {
    /// There may be more now.
    Moved,
    /// Before that comes this.
    Line(Line),
    /// This is the newest file.
    Stay,
}

fn parse(line: &[u8]) -> Line {
    let stamp = line.split_at_checked(STAMP_BYTES).filter(|(stamp, _)| {
        stamp.is_ascii() && stamp[10] == b'T' && stamp.ends_with(b"Z ") && stamp[0].is_ascii_digit()
    });
    let (at, text) = stamp.map_or((&b""[..], line), |(stamp, text)| {
        (&stamp[..STAMP_BYTES - 1], text)
    });
    Line {
        at: String::from_utf8_lossy(at).into_owned(),
        text: String::from_utf8_lossy(text).into_owned(),
        marker: text.starts_with(MARK.as_bytes()),
    }
}
