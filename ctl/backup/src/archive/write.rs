//! Writes an archive, member after member.
//!
//! Invariant: the archive stays well-formed whatever happens to a source file. Each member holds
//! exactly as many bytes as its header says, because [`Content`] drops what is too much and fills
//! up with zeros.

use std::{
    fs::File,
    io::{BufWriter, Read, Seek, Write},
    mem,
};

use sha2::{Digest, Sha256};

use super::{
    error::Result,
    form::{DUMP, SUMS},
    member::{BLOCK, Kind, Member, Owner},
    output::Output,
    sums,
};

/// Two blocks of zeros end an archive.
const END_BYTES: usize = 1024;
/// Bytes handed to the compressor together.
const BATCH_BYTES: usize = 1 << 20;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// An archive that is being written.
pub struct Writer {
    out: Output,
    batch: Vec<u8>,
    sums: BufWriter<File>,
    now: i64,
}

/// Facts of a finished archive.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file but for its trailer, which says the same.
    pub sum: [u8; 32],
}

/// A numbered part of the dump.
#[derive(Debug)]
pub struct Piece {
    /// Number of the piece, from 0 on.
    pub number: u32,
    /// At most [`super::form::PIECE_BYTES`].
    pub bytes: Vec<u8>,
}

impl Writer {
    /// Begins an archive. The writer gathers the sums in `spool`, an empty file that may be lost at
    /// any moment. `now` is the time of generated members, in seconds since 1970.
    pub fn new(file: File, spool: File, now: i64) -> Result<Self> {
        Ok(Self {
            out: Output::new(file)?,
            batch: Vec::with_capacity(2 * BATCH_BYTES),
            sums: BufWriter::new(spool),
            now,
        })
    }

    /// Adds a generated member, which is not a file on the disk: owner root, mode 0600.
    pub fn document(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let owner = root();
        let mut content = self.content(&Member {
            name: name.as_bytes(),
            kind: Kind::File(bytes.len() as u64),
            mode: 0o600,
            owner: &owner,
            changed: (self.now, 0),
        })?;
        content.data(bytes)?;
        content.end()
    }

    /// Adds a piece of the dump, without copying its bytes.
    pub fn piece(&mut self, piece: Piece) -> Result<()> {
        let name = format!("{}{:08}", DUMP, piece.number);
        let owner = root();
        let member = Member {
            name: name.as_bytes(),
            kind: Kind::File(piece.bytes.len() as u64),
            mode: 0o600,
            owner: &owner,
            changed: (self.now, 0),
        };
        self.batch.extend_from_slice(&member.headers());
        self.hand_on()?;
        let length = piece.bytes.len() as u64;
        let sum = Sha256::digest(&piece.bytes);
        self.out.bytes(piece.bytes)?;
        self.pad(length)?;
        self.sum(&sum.into(), name.as_bytes())
    }

    /// Adds a member without content.
    pub fn plain(&mut self, member: &Member<'_>) -> Result<()> {
        self.put(&member.headers())
    }

    /// Adds a regular file whose content follows.
    pub fn content(&mut self, member: &Member<'_>) -> Result<Content<'_>> {
        self.plain(member)?;
        Ok(Content {
            name: member.name.to_vec(),
            stored: member.stored(),
            left: member.stored(),
            sum: Sha256::new(),
            writer: self,
        })
    }

    /// Starts a new zstd frame, which can be read without the frames before it.
    pub fn new_frame(&mut self) -> Result<()> {
        self.hand_on()?;
        Ok(self.out.new_frame()?)
    }

    /// Ends the archive. All bytes are on the disk when this returns; the file's name may not be.
    pub fn finish(mut self) -> Result<Written> {
        self.sums.flush()?;
        let length = self.sums.get_ref().metadata()?.len();
        let owner = root();
        let member = Member {
            name: SUMS.as_bytes(),
            kind: Kind::File(length),
            mode: 0o600,
            owner: &owner,
            changed: (self.now, 0),
        };
        self.plain(&member)?;
        let mut spool = self.sums.get_ref().try_clone()?;
        spool.rewind()?;
        let mut left = length;
        let mut buffer = vec![0; BATCH_BYTES];
        while left > 0 {
            let read = spool.read(&mut buffer)?;
            if read == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            self.put(&buffer[..read])?;
            left -= read as u64;
        }
        self.pad(length)?;
        self.put(&ZEROS[..END_BYTES])?;
        self.hand_on()?;
        let done = self.out.finish()?;
        Ok(Written {
            bytes: done.bytes,
            sum: done.sum,
        })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.batch.extend_from_slice(bytes);
        if self.batch.len() >= BATCH_BYTES {
            self.hand_on()?;
        }
        Ok(())
    }

    fn hand_on(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = mem::replace(&mut self.batch, self.out.buffer(2 * BATCH_BYTES));
        Ok(self.out.bytes(batch)?)
    }

    /// Pads with zeros to the next block.
    fn pad(&mut self, length: u64) -> Result<()> {
        let more = length.next_multiple_of(BLOCK) - length;
        self.put(&ZEROS[..usize::try_from(more).unwrap_or(0)])
    }

    fn sum(&mut self, sum: &[u8; 32], name: &[u8]) -> Result<()> {
        Ok(self.sums.write_all(&sums::line(sum, name))?)
    }
}

/// The content of a member: exactly as many bytes as its header says.
#[must_use]
pub struct Content<'w> {
    writer: &'w mut Writer,
    name: Vec<u8>,
    stored: u64,
    left: u64,
    sum: Sha256,
}

impl Content<'_> {
    /// Bytes that are still missing.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Adds the next bytes, and drops those beyond the announced length.
    pub fn data(&mut self, bytes: &[u8]) -> Result<()> {
        let fits = bytes
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.sum.update(&bytes[..fits]);
        self.left -= fits as u64;
        self.writer.put(&bytes[..fits])
    }

    /// Skips a hole that the header of [`Kind::Sparse`] has announced.
    pub fn hole(&mut self, mut length: u64) {
        while length > 0 {
            let some = length.min(ZEROS.len() as u64);
            self.sum
                .update(&ZEROS[..usize::try_from(some).unwrap_or(0)]);
            length -= some;
        }
    }

    /// Writes zeros in place of bytes that the file has no longer.
    pub fn zeros(&mut self, mut length: u64) -> Result<()> {
        while length > 0 {
            let some = length.min(ZEROS.len() as u64);
            self.data(&ZEROS[..usize::try_from(some).unwrap_or(0)])?;
            length -= some;
        }
        Ok(())
    }

    /// Ends the member, and fills missing bytes with zeros.
    pub fn end(mut self) -> Result<()> {
        self.zeros(self.left)?;
        self.writer.pad(self.stored)?;
        self.writer.sum(&self.sum.finalize().into(), &self.name)
    }
}

fn root() -> Owner {
    Owner {
        ids: (0, 0),
        names: ("root".to_owned(), "root".to_owned()),
    }
}
