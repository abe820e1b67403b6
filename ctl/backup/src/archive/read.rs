//! Reads an archive, member after member, and judges it as a whole.
//!
//! Invariant: the reader trusts nothing in the archive. Every length is bounded, and a name is only
//! bytes: code that unpacks an archive must check each [`Entry`] itself.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::FileExt,
    rc::Rc,
};

use sha2::{Digest, Sha256};

use super::{
    error::{Error, Result},
    form::{DOCUMENT_BYTES_MAX, MANIFEST, SUMS},
    sums, trailer,
};

/// zstd's window, as a power of two: what the writer's level needs, and no more.
const WINDOW_LOG_MAX: u32 = 23;
/// Magic number of a zstd frame.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Longest line of `SHA256SUMS`: a name may be as long as a path can be, and escaped.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// Bytes read per call.
pub(super) const CHUNK_BYTES: usize = 128 << 10;

/// The kind of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file; a sparse file too, whose holes read as zeros.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A hard link to an earlier member.
    HardLink,
    /// Any other kind; the writer stores none.
    Other,
}

/// A member that is being read.
pub struct Entry<'a> {
    /// Name of the member, as the archive has it.
    pub name: Vec<u8>,
    /// Kind of the member.
    pub kind: EntryKind,
    /// Length of the content, in bytes.
    pub length: u64,
    /// All permission bits.
    pub mode: u32,
    /// The names of user and group; empty if there are none.
    pub owner: (Vec<u8>, Vec<u8>),
    /// Target of a link.
    pub target: Option<Vec<u8>>,
    /// Modification time, in seconds since 1970.
    pub changed: u64,
    content: &'a mut dyn Read,
    sum: Sha256,
    read: u64,
}

impl Entry<'_> {
    /// Reads the next bytes of the content; answers 0 at its end.
    ///
    /// # Errors
    /// The archive's fault, or the disk's.
    pub fn chunk(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.read(buffer).map_err(form)
    }

    /// Bytes of the content that were read so far.
    pub(super) fn seen(&self) -> u64 {
        self.read
    }

    /// The whole content; an error if it is longer than [`DOCUMENT_BYTES_MAX`].
    pub fn document(&mut self) -> Result<Vec<u8>> {
        if self.length > DOCUMENT_BYTES_MAX {
            let name = String::from_utf8_lossy(&self.name);
            return Err(Error::Form(format!("{name} is too long")));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Read for Entry<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.sum.update(&buffer[..read]);
        self.read += read as u64;
        Ok(read)
    }
}

/// Facts of an archive that was read to its end and is intact.
#[derive(Clone, Copy, Debug)]
pub struct Whole {
    /// Number of members.
    pub members: u64,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file but for its trailer.
    pub sum: [u8; 32],
}

/// Reads the first member, the manifest; of the rest only the end is checked.
///
/// # Errors
/// [`Error::CutOff`] if the end is missing.
pub fn first(file: &File) -> Result<Vec<u8>> {
    end_of(file)?;
    let mut archive = tar::Archive::new(decoder(At::start(file))?);
    let mut entries = archive.entries().map_err(form)?;
    let mut entry = entries
        .next()
        .ok_or(Error::Foreign("it is empty"))?
        .map_err(form)?;
    if *entry.path_bytes() != *MANIFEST.as_bytes() || entry.size() > DOCUMENT_BYTES_MAX {
        return Err(Error::Foreign("it does not begin with a manifest"));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(form)?;
    Ok(bytes)
}

/// Calls back for each member in turn, `SHA256SUMS` included, stops at the first error of the
/// callback, and then judges the whole archive. `read` receives the number of bytes of the file
/// read so far.
///
/// # Errors
/// The archive's fault, or the callback's error. Members that were shown before may be damaged:
/// they are good only once this function has returned without an error.
pub fn each<E: From<Error>>(
    file: &File,
    mut read: impl FnMut(u64) -> std::result::Result<(), E>,
    mut shown: impl FnMut(&mut Entry<'_>) -> std::result::Result<(), E>,
) -> std::result::Result<Whole, E> {
    let (length, wanted) = end_of(file)?;
    let summed = Summed {
        inner: At::start(file).take(length - trailer::BYTES as u64),
        sum: Sha256::new(),
    };
    let at = Rc::clone(&summed.inner.get_ref().at);
    let mut archive = tar::Archive::new(decoder(summed)?);
    let mut lines = Lines::default();
    let mut members = 0;
    for entry in archive.entries().map_err(form)? {
        let mut entry = entry.map_err(form)?;
        members += 1;
        lines.more()?;
        one(&mut entry, &mut lines, &mut shown, &mut || read(at.get()))?;
    }
    lines.end()?;
    // Only zeros may stand behind the last member.
    let mut rest = archive.into_inner();
    if !only_zeros(&mut rest).map_err(form)? {
        return Err(Error::Form("something follows its last member".to_owned()).into());
    }
    let mut summed = rest.finish().into_inner();
    io::copy(&mut summed, &mut io::sink()).map_err(Error::from)?;
    if <[u8; 32]>::from(summed.sum.finalize()) != wanted {
        return Err(Error::Damaged.into());
    }
    Ok(Whole {
        members,
        bytes: length,
        sum: wanted,
    })
}

/// Shows one member, and then reads the part of its content that the callback has left.
fn one<E: From<Error>>(
    raw: &mut tar::Entry<'_, impl Read>,
    lines: &mut Lines,
    shown: &mut impl FnMut(&mut Entry<'_>) -> std::result::Result<(), E>,
    going: &mut impl FnMut() -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let mut entry = head(raw)?;
    if entry.name == SUMS.as_bytes() {
        return Ok(lines.compare(BufReader::with_capacity(CHUNK_BYTES, entry))?);
    }
    shown(&mut entry)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    going()?;
    while entry.read(&mut buffer).map_err(form)? > 0 {
        going()?;
    }
    if entry.kind == EntryKind::File {
        if entry.read != entry.length {
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            return Err(Error::Member { name }.into());
        }
        let line = sums::line(&entry.sum.finalize().into(), &entry.name);
        lines.add(&line);
    }
    Ok(())
}

pub(super) fn head<'a>(raw: &'a mut tar::Entry<'_, impl Read>) -> Result<Entry<'a>> {
    let header = raw.header();
    let kind = match header.entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
            EntryKind::File
        }
        tar::EntryType::Directory => EntryKind::Directory,
        tar::EntryType::Symlink => EntryKind::Symlink,
        tar::EntryType::Link => EntryKind::HardLink,
        _ => EntryKind::Other,
    };
    let owner = (
        header.username_bytes().unwrap_or_default().to_vec(),
        header.groupname_bytes().unwrap_or_default().to_vec(),
    );
    let (mode, changed) = (header.mode().map_err(form)?, header.mtime().map_err(form)?);
    Ok(Entry {
        name: raw.path_bytes().into_owned(),
        kind,
        length: raw.size(),
        mode,
        owner,
        target: raw.link_name_bytes().map(std::borrow::Cow::into_owned),
        changed,
        content: raw,
        sum: Sha256::new(),
        read: 0,
    })
}

/// The lines that `SHA256SUMS` should have, each kept as eight bytes of its hash.
#[derive(Default)]
struct Lines {
    wanted: Vec<u64>,
    compared: bool,
}

impl Lines {
    fn add(&mut self, line: &[u8]) {
        self.wanted.push(short(line));
    }

    /// Checks that another member may come.
    fn more(&self) -> Result<()> {
        if self.compared {
            return Err(Error::Form(format!("something follows {SUMS}")));
        }
        Ok(())
    }

    fn compare(&mut self, mut text: impl BufRead) -> Result<()> {
        self.compared = true;
        let mut line = Vec::new();
        for wanted in &self.wanted {
            line.clear();
            text.by_ref()
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)
                .map_err(form)?;
            if short(&line) != *wanted {
                let name = line.get(66..).unwrap_or_default();
                let name = String::from_utf8_lossy(name).trim().to_owned();
                return Err(Error::Member { name });
            }
        }
        if text.read_until(b'\n', &mut line).map_err(form)? > 0 {
            return Err(Error::Form(format!("{SUMS} names what is not there")));
        }
        Ok(())
    }

    fn end(&self) -> Result<()> {
        if self.compared {
            Ok(())
        } else {
            Err(Error::CutOff)
        }
    }
}

fn short(line: &[u8]) -> u64 {
    let sum: [u8; 32] = Sha256::digest(line).into();
    u64::from_le_bytes([
        sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7],
    ])
}

/// Length of a file, and the checksum in its trailer.
fn end_of(file: &File) -> Result<(u64, [u8; 32])> {
    let mut magic = [0; 4];
    let length = file.metadata()?.len();
    if length < 4 || file.read_exact_at(&mut magic, 0).is_err() || magic != ZSTD {
        return Err(Error::Foreign("it is no zstd file"));
    }
    let mut last = [0; trailer::BYTES];
    let at = length.checked_sub(last.len() as u64).ok_or(Error::CutOff)?;
    file.read_exact_at(&mut last, at)?;
    Ok((length, trailer::sum(&last).ok_or(Error::CutOff)?))
}

fn decoder<R: Read>(from: R) -> Result<zstd::Decoder<'static, BufReader<R>>> {
    let mut decoder = zstd::Decoder::new(from)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    Ok(decoder)
}

pub(super) fn only_zeros(from: &mut impl Read) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(true);
        }
        if buffer[..read].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}

/// Converts a read error: an error with an `errno` is the disk's, any other is a fault of zstd or
/// tar.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn form(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number).into(),
        None => Error::Form(error.to_string()),
    }
}

/// Reads a file from its beginning, whatever the position of its descriptor.
struct At<'f> {
    file: &'f File,
    at: Rc<Cell<u64>>,
}

impl<'f> At<'f> {
    fn start(file: &'f File) -> Self {
        let at = Rc::default();
        Self { file, at }
    }
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at.get())?;
        self.at.set(self.at.get() + read as u64);
        Ok(read)
    }
}

struct Summed<R> {
    inner: R,
    sum: Sha256,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.sum.update(&buffer[..read]);
        Ok(read)
    }
}
