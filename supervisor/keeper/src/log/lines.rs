//! Bytes into stamped lines.
//!
//! What a service has not yet ended with a newline is carried over to the next read; the carry is
//! the only memory that a service has here, and it is given back when empty.

use memchr::memchr;

use super::{LINE_BYTES_MAX, MARK, file::LogFile, stamp::Clock};

/// Room for finished lines; more is written in several pieces, each of whole lines.
const OUT_BYTES: usize = 192 << 10;

/// Finished lines on their way to one file. Shared by all services, one after the other.
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

    /// Takes in what one read brought and writes every line that is finished.
    pub(super) fn feed(
        &mut self,
        file: &mut LogFile,
        carry: &mut Vec<u8>,
        data: &[u8],
        clock: &Clock,
    ) {
        file.settle();
        let mut rest = data;
        while !rest.is_empty() {
            let room = LINE_BYTES_MAX - carry.len();
            match memchr(b'\n', rest) {
                Some(end) if end <= room => {
                    self.line(file, [carry, &rest[..end]], clock);
                    rest = &rest[end + 1..];
                }
                None if rest.len() <= room => {
                    carry.extend_from_slice(rest);
                    break;
                }
                Some(_) | None => {
                    self.line(file, [carry, &rest[..room]], clock);
                    let cut = format!(
                        "the line above is longer than {LINE_BYTES_MAX} bytes and goes on below"
                    );
                    self.line(file, [MARK.as_bytes(), cut.as_bytes()], clock);
                    rest = &rest[room..];
                }
            }
            if carry.capacity() > 0 {
                *carry = Vec::new();
            }
        }
        file.append(&mut self.bytes, clock);
    }

    /// Ends an unfinished line.
    pub(super) fn finish(&mut self, file: &mut LogFile, carry: &mut Vec<u8>, clock: &Clock) {
        if !carry.is_empty() {
            file.settle();
            self.line(file, [carry, b""], clock);
            *carry = Vec::new();
            file.append(&mut self.bytes, clock);
        }
    }

    /// Writes a line of the supervisor's own.
    pub(super) fn mark(&mut self, file: &mut LogFile, text: &str, clock: &Clock) {
        let text = text.replace('\n', " ");
        file.settle();
        self.line(file, [MARK.as_bytes(), text.as_bytes()], clock);
        file.append(&mut self.bytes, clock);
    }

    /// Adds a line of two parts; rotates behind the one that fills the file.
    #[inline]
    fn line(&mut self, file: &mut LogFile, parts: [&[u8]; 2], clock: &Clock) {
        let stamp = clock.stamp();
        let bytes = stamp.len() + parts[0].len() + parts[1].len() + 1;
        if self.bytes.len() + bytes > OUT_BYTES {
            file.append(&mut self.bytes, clock);
        }
        self.bytes.extend_from_slice(stamp);
        self.bytes.extend_from_slice(parts[0]);
        self.bytes.extend_from_slice(parts[1]);
        self.bytes.push(b'\n');
        if file.is_full_with(self.bytes.len()) {
            file.append(&mut self.bytes, clock);
            file.rotate(clock);
        }
    }
}
