//! Frames over a unix stream socket, with descriptors: the wire between keeper and control process.
//!
//! A frame is a `u32` (little endian) and JSON. The lower 24 bits are the length of the JSON; bit
//! 31 says that descriptors come along, in the same `sendmsg` as the frame's first byte. Nothing
//! here blocks: what cannot be written waits in a buffer of at most [`PENDING_BYTES_MAX`].

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use nix::{
    errno::Errno,
    sys::socket::{ControlMessage, MsgFlags, sendmsg},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    bytes::Bytes,
    inheritance::{Inherited, Keeping, Number},
    message::FRAME_BYTES_MAX,
    sys::socket,
};

/// A sender that is this far behind gets [`NotTaken::Full`].
pub const PENDING_BYTES_MAX: usize = 64 << 20;
/// Read by one call of [`Link::recv`], at most, so that one link cannot hold up a loop.
const READS_PER_CALL: usize = 16;
const READ_BYTES: usize = 16 << 10;
const HEADER_BYTES: usize = 4;
const WITH_FDS: u32 = 1 << 31;
const LENGTH_MASK: u32 = (1 << 24) - 1;

const _: () = assert!(FRAME_BYTES_MAX <= LENGTH_MASK as usize);

/// Why the link did not take a message. The link still works.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// The message is longer than a frame may be.
    #[error("a frame of {0} bytes is over the limit of {FRAME_BYTES_MAX}; the message was dropped")]
    TooLong(usize),
    /// The message has no JSON form.
    #[error("could not encode a message: {0}")]
    Encode(serde_json::Error),
    /// The other side does not read.
    #[error("the other side is {0} bytes behind; the message was dropped")]
    Full(usize),
}

/// Why a link is no longer usable.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The other side has closed it or is gone.
    #[error("the other side of the link is gone")]
    Eof,
    /// The other side says more than a frame may hold.
    #[error("a frame of {0} bytes is over the limit of {FRAME_BYTES_MAX}")]
    TooLong(usize),
    /// A frame of the other side cannot be decoded.
    // serde's own words would quote what stands there: a frame has secrets in it.
    #[error("could not read a frame: it is not what is expected in column {}", .0.column())]
    Malformed(serde_json::Error),
    /// The socket failed.
    #[error("the link failed: {0}")]
    Io(#[from] io::Error),
}

/// One end of the wire. Bytes and descriptors keep their order.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
    outgoing: VecDeque<u8>,
    written: u64,
    /// Where in `outgoing` a frame with descriptors begins, and those descriptors.
    attached: VecDeque<(usize, Vec<OwnedFd>)>,
    incoming: Vec<u8>,
    /// Batches that have arrived and whose frame is not yet complete.
    batches: VecDeque<Vec<OwnedFd>>,
    scratch: Vec<u8>,
    drained: bool,
    ended: bool,
}

/// A link for the next image of the same process. All that was queued has been written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedLink {
    socket: Number,
    written: u64,
    /// Beginning of a frame.
    incoming: Bytes,
}

impl Link {
    /// For the next image of this process. Descriptors of a frame that is not complete are lost:
    /// the control process sends none.
    pub(crate) fn saved<'a>(&'a self, keeping: &mut Keeping<'a>) -> SavedLink {
        SavedLink {
            socket: keeping.keep(&self.socket),
            written: self.written,
            incoming: Bytes(self.incoming.clone()),
        }
    }

    /// The link of an earlier image of this process.
    pub(crate) fn resume(saved: SavedLink, inherited: &mut Inherited) -> io::Result<Self> {
        Ok(Self {
            written: saved.written,
            incoming: saved.incoming.0,
            ..Self::new(inherited.take(saved.socket)?)
        })
    }

    /// Speaks over a connected unix stream socket, blocking or not.
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            outgoing: VecDeque::new(),
            written: 0,
            attached: VecDeque::new(),
            incoming: Vec::new(),
            batches: VecDeque::new(),
            scratch: Vec::new(),
            drained: true,
            ended: false,
        }
    }

    /// Takes a message and its descriptors, and writes what the socket accepts at once. Where that
    /// fails, so does the next [`Self::flush`].
    pub fn send<T: Serialize>(&mut self, message: &T, fds: Vec<OwnedFd>) -> Result<(), NotTaken> {
        self.queue(message, fds)?;
        let _ = self.flush();
        Ok(())
    }

    /// Takes a message and its descriptors for the next [`Self::flush`], so that many go at once.
    pub fn queue<T: Serialize>(&mut self, message: &T, fds: Vec<OwnedFd>) -> Result<(), NotTaken> {
        let json = serde_json::to_vec(message).map_err(NotTaken::Encode)?;
        if json.len() > FRAME_BYTES_MAX {
            return Err(NotTaken::TooLong(json.len()));
        }
        let pending = self.outgoing.len();
        if pending + json.len() > PENDING_BYTES_MAX {
            return Err(NotTaken::Full(pending));
        }
        let mut header = u32::try_from(json.len()).map_err(|_| NotTaken::TooLong(json.len()))?;
        if !fds.is_empty() {
            header |= WITH_FDS;
            self.attached.push_back((pending, fds));
        }
        self.outgoing.extend(header.to_le_bytes());
        self.outgoing.extend(json);
        Ok(())
    }

    /// Writes what the socket accepts; true when nothing is left to write.
    pub fn flush(&mut self) -> io::Result<bool> {
        while !self.outgoing.is_empty() {
            match self.write_some() {
                Ok(written) => self.advance(written),
                Err(Errno::EINTR) => {}
                // Too many descriptors in flight pass too, as the other side reads.
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ETOOMANYREFS) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Up to the next frame with descriptors; or such a frame and what follows it.
    fn write_some(&self) -> Result<usize, Errno> {
        let mut attached = self.attached.iter();
        let mut fds: Vec<RawFd> = Vec::new();
        let mut end = self.outgoing.len();
        match attached.next() {
            Some((0, first)) => {
                fds.extend(first.iter().map(AsRawFd::as_raw_fd));
                if let Some((next, _)) = attached.next() {
                    end = *next;
                }
            }
            Some((next, _)) => end = *next,
            None => {}
        }
        let (front, _) = self.outgoing.as_slices();
        let bytes = &front[..end.min(front.len())];
        let rights = [ControlMessage::ScmRights(&fds)];
        let control = if fds.is_empty() { &[] } else { &rights[..] };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let slices = [IoSlice::new(bytes)];
        sendmsg::<()>(self.socket.as_raw_fd(), &slices, control, flags, None)
    }

    fn advance(&mut self, written: usize) {
        self.outgoing.drain(..written);
        self.written += written as u64;
        if self.attached.front().is_some_and(|(at, _)| *at == 0) {
            self.attached.pop_front();
        }
        for (at, _) in &mut self.attached {
            *at -= written;
        }
        if self.outgoing.is_empty() && self.outgoing.capacity() > READ_BYTES {
            self.outgoing = VecDeque::new();
        }
    }

    /// Reads what is there, but bounded: ask [`Self::drained`] whether to call again. What was read
    /// before the end of the stream comes first, [`LinkError::Eof`] with the next call. A frame may
    /// carry fewer descriptors than were sent, if this process has no numbers left.
    pub fn recv<T: DeserializeOwned>(&mut self) -> Result<Vec<(T, Vec<OwnedFd>)>, LinkError> {
        self.drained = false;
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(READ_BYTES, 0);
        for _ in 0..READS_PER_CALL {
            if self.ended {
                break;
            }
            match socket::receive(&self.socket, &mut scratch) {
                Ok(got) => {
                    self.incoming.extend_from_slice(&scratch[..got.bytes]);
                    self.ended = got.bytes == 0;
                    // A read that is short has taken all, unless descriptors have ended it.
                    let short = got.bytes < scratch.len() && got.fds.is_none();
                    self.batches.extend(got.fds);
                    if short && !self.ended {
                        self.drained = true;
                        break;
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    self.drained = true;
                    break;
                }
                Err(Errno::ECONNRESET) => self.ended = true,
                Err(error) => return Err(LinkError::Io(error.into())),
            }
        }
        self.scratch = scratch;
        let frames = self.frames()?;
        if self.ended && frames.is_empty() {
            return Err(LinkError::Eof);
        }
        Ok(frames)
    }

    fn frames<T: DeserializeOwned>(&mut self) -> Result<Vec<(T, Vec<OwnedFd>)>, LinkError> {
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some((header, rest)) = self.incoming[at..].split_first_chunk::<HEADER_BYTES>() {
            let header = u32::from_le_bytes(*header);
            let length = usize::try_from(header & !WITH_FDS).unwrap_or(usize::MAX);
            if length > FRAME_BYTES_MAX {
                return Err(LinkError::TooLong(length));
            }
            let Some(json) = rest.get(..length) else {
                break;
            };
            let message = serde_json::from_slice(json).map_err(LinkError::Malformed)?;
            let fds = if header & WITH_FDS == 0 {
                Vec::new()
            } else {
                self.batches.pop_front().unwrap_or_default()
            };
            frames.push((message, fds));
            at += HEADER_BYTES + length;
        }
        self.incoming.drain(..at);
        if self.incoming.is_empty() && self.incoming.capacity() > READ_BYTES {
            self.incoming = Vec::new();
        }
        Ok(frames)
    }

    /// The last [`Self::recv`] has read all that was there. If not, call it again, for an
    /// edge-triggered poll will not report the rest.
    pub fn drained(&self) -> bool {
        self.drained
    }

    /// Whether bytes wait to be written: poll for writability and [`Self::flush`].
    pub fn wants_write(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Bytes that the socket has taken, ever. They reach the other side whatever becomes of this
    /// process.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Value of [`Self::written`] once all queued bytes are in the socket.
    pub fn said(&self) -> u64 {
        self.written + self.outgoing.len() as u64
    }

    /// Bytes that wait to be written.
    pub fn pending(&self) -> usize {
        self.outgoing.len()
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    use super::*;

    fn pair() -> (Link, Link) {
        let (a, b) = UnixStream::pair().unwrap();
        (Link::new(a.into()), Link::new(b.into()))
    }

    fn pipe() -> (OwnedFd, OwnedFd) {
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap()
    }

    #[test]
    fn descriptors_stay_with_their_frame() {
        let (mut a, mut b) = pair();
        let (read, write) = pipe();
        a.send(&"plain", vec![]).unwrap();
        a.send(&"one", vec![write]).unwrap();
        a.send(&"plain again", vec![]).unwrap();
        a.send(
            &"two",
            vec![read.try_clone().unwrap(), read.try_clone().unwrap()],
        )
        .unwrap();
        let got = b.recv::<String>().unwrap();
        let counts: Vec<_> = got.iter().map(|(text, fds)| (&**text, fds.len())).collect();
        assert_eq!(
            counts,
            [("plain", 0), ("one", 1), ("plain again", 0), ("two", 2)]
        );
        let mut end = std::fs::File::from(got.into_iter().nth(1).unwrap().1.remove(0));
        end.write_all(b"x").unwrap();
        let mut byte = [0];
        std::fs::File::from(read).read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn what_cannot_be_written_waits_with_its_descriptors() {
        let (mut a, mut b) = pair();
        let (read, _write) = pipe();
        let big = "x".repeat(1 << 20);
        let mut sent = 0;
        while sent < 8 || !a.wants_write() {
            a.send(&(sent, &big), vec![read.try_clone().unwrap()])
                .unwrap();
            sent += 1;
        }
        assert_eq!(a.said() - a.written(), a.pending() as u64);
        let mut seen = 0;
        while seen < sent {
            a.flush().unwrap();
            for ((number, text), fds) in b.recv::<(i32, String)>().unwrap() {
                assert_eq!((number, text.len(), fds.len()), (seen, big.len(), 1));
                seen += 1;
            }
        }
        assert!(a.flush().unwrap() && !a.wants_write());
        assert_eq!(a.said(), a.written());
    }

    #[test]
    fn the_end_comes_after_what_was_said() {
        let (mut a, mut b) = pair();
        a.send(&1, vec![]).unwrap();
        drop(a);
        assert_eq!(b.recv::<i32>().unwrap().len(), 1);
        assert!(matches!(b.recv::<i32>(), Err(LinkError::Eof)));
    }

    #[test]
    fn an_oversized_frame_ends_the_link() {
        let (mut raw, b) = UnixStream::pair().unwrap();
        let mut b = Link::new(b.into());
        raw.write_all(&0x00ff_ffff_u32.to_le_bytes()).unwrap();
        assert!(matches!(b.recv::<i32>(), Err(LinkError::TooLong(_))));
        let mut a = Link::new(raw.into());
        let huge = "x".repeat(FRAME_BYTES_MAX);
        assert!(matches!(a.send(&huge, vec![]), Err(NotTaken::TooLong(_))));
    }

    #[test]
    fn a_sender_is_told_when_nobody_reads() {
        let (mut a, _b) = pair();
        let big = "x".repeat(7 << 20);
        let refused = (0..20).find_map(|_| a.send(&big, vec![]).err());
        assert!(matches!(refused, Some(NotTaken::Full(_))));
        assert!(a.pending() <= PENDING_BYTES_MAX);
    }
}
