//! Turns bytes into stamped lines.
//!
//! Bytes that no newline ends yet are carried over to the next read; the carry is the only memory
//! that a service has here, and it is freed when empty.

use memchr::memchr_iter;

use super::{
    ESCAPE, LINE_BYTES_MAX, MARK,
    file::LogFile,
    forward::{Route, Telling},
    stamp::Clock,
};

/// The start that no line of a service may have: the mark without its final blank.
const OURS: &[u8] = MARK.as_bytes().trim_ascii_end();

/// Buffer for finished lines; more lines are written in several pieces of whole lines. Fits one
/// full read with a stamp on each line of usual length.
const OUT_BYTES: usize = 384 << 10;

/// The author of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Author {
    /// A service; its line must not look like a line of the supervisor.
    Service,
    Supervisor,
}

/// Where the lines of one service go.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) file: LogFile,
    pub(super) route: Option<Box<Route>>,
    /// Beginning of an unfinished line.
    pub(super) carry: Vec<u8>,
}

/// Finished lines on their way to one target. All services share this buffer, one after the other.
#[derive(Debug)]
pub(super) struct Out {
    bytes: Vec<u8>,
}

impl Out {
    pub(super) fn new() -> Out {
        Out {
            bytes: Vec::with_capacity(OUT_BYTES),
        }
    }

    /// Frees the memory that a burst has filled.
    pub(super) fn shrink(&mut self) {
        self.bytes = Vec::with_capacity(OUT_BYTES);
    }

    /// Takes the bytes of one read and writes every finished line.
    pub(super) fn feed(&mut self, target: &mut Target, data: &[u8], clock: &Clock) {
        target.file.settle();
        let mut start = 0;
        for end in memchr_iter(b'\n', data) {
            if end - start + target.carry.len() > LINE_BYTES_MAX {
                start = self.cut(target, data, start, end, clock);
            }
            if target.carry.is_empty() {
                self.line(target, Author::Service, &[&data[start..=end]], clock);
            } else {
                let carry = std::mem::take(&mut target.carry);
                let parts: [&[u8]; 2] = [&carry, &data[start..=end]];
                self.line(target, Author::Service, &parts, clock);
            }
            start = end + 1;
        }
        if data.len() - start + target.carry.len() > LINE_BYTES_MAX {
            start = self.cut(target, data, start, data.len(), clock);
        }
        if start < data.len() {
            target.carry.extend_from_slice(&data[start..]);
        }
        self.flush(target, clock);
    }

    /// Writes a line that is too long in pieces, up to the last piece, with a marked line after
    /// each. Returns where the last piece begins.
    fn cut(
        &mut self,
        target: &mut Target,
        data: &[u8],
        mut start: usize,
        end: usize,
        clock: &Clock,
    ) -> usize {
        let mut carry = std::mem::take(&mut target.carry);
        while end - start + carry.len() > LINE_BYTES_MAX {
            let room = LINE_BYTES_MAX - carry.len();
            let piece: [&[u8]; 3] = [&carry, &data[start..start + room], b"\n"];
            self.line(target, Author::Service, &piece, clock);
            let cut =
                format!("the line above is longer than {LINE_BYTES_MAX} bytes and goes on below\n");
            let parts = [MARK.as_bytes(), cut.as_bytes()];
            self.line(target, Author::Supervisor, &parts, clock);
            start += room;
            carry = Vec::new();
        }
        start
    }

    /// Ends an unfinished line.
    pub(super) fn finish(&mut self, target: &mut Target, clock: &Clock) {
        if !target.carry.is_empty() {
            target.file.settle();
            let carry = std::mem::take(&mut target.carry);
            self.line(target, Author::Service, &[&carry, b"\n"], clock);
            self.flush(target, clock);
        }
    }

    /// Writes a line of the supervisor.
    pub(super) fn mark(&mut self, target: &mut Target, text: &str, clock: &Clock) {
        let text = text.replace('\n', " ");
        target.file.settle();
        let parts = [MARK.as_bytes(), text.as_bytes(), b"\n"];
        self.line(target, Author::Supervisor, &parts, clock);
        self.flush(target, clock);
    }

    /// Writes the last reports about this target. Called when no more lines will come.
    pub(super) fn last_words(target: &mut Target, clock: &Clock) {
        target.file.settle_dropped(clock);
        if let Some(route) = &mut target.route {
            let told = route.last_telling();
            tell(target, told, clock);
        }
    }

    /// Adds a line of several parts, the last of which ends it; rotates behind the line that fills
    /// the file.
    #[inline]
    fn line(&mut self, target: &mut Target, author: Author, parts: &[&[u8]], clock: &Clock) {
        let stamp = clock.stamp();
        let bytes = stamp.len() + 1 + parts.iter().map(|part| part.len()).sum::<usize>();
        if self.bytes.len() + bytes > OUT_BYTES {
            self.flush(target, clock);
        }
        self.bytes.extend_from_slice(stamp);
        let begin = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        // The first byte decides for nearly all lines.
        if author == Author::Service
            && self.bytes.get(begin) == OURS.first()
            && self.bytes[begin..].starts_with(OURS)
        {
            self.bytes.insert(begin, ESCAPE);
        }
        if target.file.is_full_with(self.bytes.len()) {
            self.flush(target, clock);
            target.file.rotate(clock);
        }
    }

    /// Writes the collected lines to the file, and forwards them.
    fn flush(&mut self, target: &mut Target, clock: &Clock) {
        if let Some(route) = &mut target.route
            && !self.bytes.is_empty()
        {
            let something = route.send(&self.bytes);
            target.file.append(&mut self.bytes, clock);
            if something {
                let told = route.telling(clock.us());
                tell(target, told, clock);
            }
            return;
        }
        target.file.append(&mut self.bytes, clock);
    }
}

/// Reports lines that were not forwarded.
fn tell(target: &mut Target, told: Telling, clock: &Clock) {
    let line = |text: String| {
        let stamp = String::from_utf8_lossy(clock.stamp());
        format!("{stamp}{MARK}{text}\n").into_bytes()
    };
    if let Some(text) = told.file {
        target.file.append(&mut line(text), clock);
    }
    if let (Some(text), Some(route)) = (told.stream, &target.route) {
        route.send_own(&line(text));
    }
}
