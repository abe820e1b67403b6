//! Writes an archive, member after member.

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
/// Bytes that are handed on together.
const BATCH_BYTES: usize = 1 << 20;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// An archive that is being written.
pub struct Writer {
    out: Output,
    batch: Vec<u8>,
    sums: BufWriter<File>,
    now: i64,
}

/// A whole archive.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file but for its trailer, which says the same.
    pub sum: [u8; 32],
}

/// A part of the dump, and its number.
#[derive(Debug)]
pub struct Piece {
    /// From 0 on.
    pub number: u32,
    /// At most [`super::form::PIECE_BYTES`].
    pub bytes: Vec<u8>,
}

impl Writer {
    /// Begins one. `spool` is an empty file that may be lost at any moment: the sums are gathered in it.
    /// `now` is the time of members that are no files, in seconds since 1970.
    pub fn new(file: File, spool: File, now: i64) -> Result<Self> {
        Ok(Self {
            out: Output::new(file)?,
            batch: Vec::with_capacity(2 * BATCH_BYTES),
            sums: BufWriter::new(spool),
            now,
        })
    }

    /// A member that is no file of the disk's: root's, 0600.
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

    /// Part of the dump, which is not copied on its way.
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

    /// A member without content.
    pub fn plain(&mut self, member: &Member<'_>) -> Result<()> {
        self.put(&member.headers())
    }

    /// A regular file, whose content is to follow.
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

    /// What follows can be read without what came before.
    pub fn new_frame(&mut self) -> Result<()> {
        self.hand_on()?;
        Ok(self.out.new_frame()?)
    }

    /// Ends it. All of it is on the disk when this returns; its name may not be.
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

    /// To the next block.
    fn pad(&mut self, length: u64) -> Result<()> {
        let more = length.next_multiple_of(BLOCK) - length;
        self.put(&ZEROS[..usize::try_from(more).unwrap_or(0)])
    }

    fn sum(&mut self, sum: &[u8; 32], name: &[u8]) -> Result<()> {
        Ok(self.sums.write_all(&sums::line(sum, name))?)
    }
}

/// The content of a file, of which exactly as much follows as its header says.
#[must_use]
pub struct Content<'w> {
    writer: &'w mut Writer,
    name: Vec<u8>,
    stored: u64,
    left: u64,
    sum: Sha256,
}

impl Content<'_> {
    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes; what is too much is dropped.
    pub fn data(&mut self, bytes: &[u8]) -> Result<()> {
        let fits = bytes
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.sum.update(&bytes[..fits]);
        self.left -= fits as u64;
        self.writer.put(&bytes[..fits])
    }

    /// A hole before the next bytes, which a header of [`Kind::Sparse`] has told of.
    pub fn hole(&mut self, mut length: u64) {
        while length > 0 {
            let some = length.min(ZEROS.len() as u64);
            self.sum
                .update(&ZEROS[..usize::try_from(some).unwrap_or(0)]);
            length -= some;
        }
    }

    /// Zeros in the place of bytes that are not there any more.
    pub fn zeros(&mut self, mut length: u64) -> Result<()> {
        while length > 0 {
            let some = length.min(ZEROS.len() as u64);
            self.data(&ZEROS[..usize::try_from(some).unwrap_or(0)])?;
            length -= some;
        }
        Ok(())
    }

    /// Ends it. Zeros stand for what has not come.
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
