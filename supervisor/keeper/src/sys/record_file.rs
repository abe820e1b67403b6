//! The record of a run, written by its own process before exec: so no process runs without a
//! record, and neither side waits for the other.

use std::{
    ffi::CString,
    fmt::{self, Write as _},
};

use nix::{errno::Errno, libc};

/// A record that is complete except for the values that only its process knows.
#[derive(Debug)]
pub(crate) struct RecordFile {
    /// Path that is written first, then renamed.
    pub(crate) temporary: CString,
    /// Final path.
    pub(crate) path: CString,
    /// A JSON object without its first brace; the process writes pid and start time before it.
    pub(crate) rest: Vec<u8>,
}

impl RecordFile {
    /// Writes the whole record or none. Allocates nothing: runs between clone and exec.
    pub(super) fn write(&self) -> Result<(), Errno> {
        let mut head = Text::<80>::default();
        // SAFETY: no arguments.
        let pid = unsafe { libc::getpid() };
        let start = own_start()?;
        write!(head, "{{\"pid\":{pid},\"start\":{start},").map_err(|_| Errno::EOVERFLOW)?;
        let pieces = [head.bytes(), &self.rest].map(|piece| libc::iovec {
            iov_base: piece.as_ptr().cast_mut().cast(),
            iov_len: piece.len(),
        });
        let length = pieces[0].iov_len + pieces[1].iov_len;
        // A FIFO or a link at this path is neither waited for nor followed.
        let regular = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | regular;
        // SAFETY: valid C strings and buffers of the lengths given.
        unsafe {
            let fd = Errno::result(libc::open(self.temporary.as_ptr(), flags, 0o644))?;
            let written = Errno::result(libc::writev(fd, pieces.as_ptr(), 2));
            libc::close(fd);
            let done = match written.map(isize::unsigned_abs) {
                Ok(count) if count == length => {
                    let done = libc::rename(self.temporary.as_ptr(), self.path.as_ptr());
                    Errno::result(done).map(drop)
                }
                Ok(_) => Err(Errno::ENOSPC),
                Err(errno) => Err(errno),
            };
            if done.is_err() {
                libc::unlink(self.temporary.as_ptr());
            }
            done
        }
    }
}

fn own_start() -> Result<u64, Errno> {
    let mut bytes = [0; proc::STAT_BYTES];
    // SAFETY: a valid C string and a buffer of the length given.
    let count = unsafe {
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        let fd = Errno::result(libc::open(c"/proc/self/stat".as_ptr(), flags))?;
        let count = Errno::result(libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()));
        libc::close(fd);
        count?.unsigned_abs()
    };
    let stat = bytes.get(..count).and_then(proc::parse_stat);
    stat.map(|stat| stat.start).ok_or(Errno::EIO)
}

/// Text of bounded length on the stack.
struct Text<const BYTES: usize> {
    bytes: [u8; BYTES],
    length: usize,
}

impl<const BYTES: usize> Default for Text<BYTES> {
    fn default() -> Self {
        Self {
            bytes: [0; BYTES],
            length: 0,
        }
    }
}

impl<const BYTES: usize> Text<BYTES> {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<const BYTES: usize> fmt::Write for Text<BYTES> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..self.length + text.len());
        room.ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}
