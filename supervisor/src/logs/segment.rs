//! One file of a log, plain or compressed, as bytes by offset.
//!
//! Limits: [`DECODERS_MAX`] decoders at a time in all; a file without one is decoded anew from its
//! beginning for each block, which is slow and holds no memory.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use keeper::log::rotated_at;
use safe_path::Dir;
use zstd::stream::read::Decoder;

/// Decoders that are kept between two reads.
const DECODERS_MAX: usize = 32;
/// A decoder may look back so far, as a power of two: that is most of what it holds. Our own files
/// need less; what needs more is refused as broken.
const WINDOW_LOG_MAX: u32 = 23;
/// Decoded bytes that are only skipped are decoded in pieces of this size.
const SKIP_BYTES: usize = 64 << 10;

/// Device and inode: the same for a file under each of its names.
pub(super) type Id = (u64, u64);

/// A file of a log, and what is needed to find the one after it.
#[derive(Debug)]
pub(super) struct Segment {
    file: Arc<File>,
    pub(super) id: Id,
    /// Time of its rotation; for `current`: that of the segment before, or 0.
    pub(super) after: i64,
    packed: bool,
    decoder: Option<Unpacking>,
    /// The reason why the segment cannot be read to its end.
    pub(super) broken: Option<String>,
}

/// A decoder at some offset of what comes out of it.
struct Unpacking {
    decoder: Decoder<'static, io::BufReader<FromStart>>,
    at: u64,
    permit: Option<Permit>,
}

impl Unpacking {
    fn begin(file: &Arc<File>) -> io::Result<Unpacking> {
        let mut decoder = Decoder::new(FromStart(Arc::clone(file), 0))?;
        decoder.window_log_max(WINDOW_LOG_MAX)?;
        Ok(Unpacking {
            decoder,
            at: 0,
            permit: Permit::take(),
        })
    }
}

impl std::fmt::Debug for Unpacking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unpacking at {}", self.at)
    }
}

/// Reads a file by offsets of its own.
struct FromStart(Arc<File>, u64);

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.read_at(buffer, self.1)?;
        self.1 += bytes as u64;
        Ok(bytes)
    }
}

/// The right to keep a decoder.
struct Permit;

static DECODERS: AtomicUsize = AtomicUsize::new(0);

impl Permit {
    fn take() -> Option<Permit> {
        let more = |kept| (kept < DECODERS_MAX).then_some(kept + 1);
        DECODERS
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()
            .map(|_| Permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        DECODERS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Segment {
    /// Opens a file of a directory that only the supervisor writes to.
    pub(super) fn open(path: &Path, after: i64, packed: bool) -> io::Result<Segment> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        Segment::new(Dir::open(dir)?.open_own(name)?, after, packed)
    }

    /// An open file; fails if it is anything else.
    pub(super) fn new(file: File, after: i64, packed: bool) -> io::Result<Segment> {
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Segment {
            file: Arc::new(file),
            id: id(&meta),
            after,
            packed,
            decoder: None,
            broken: None,
        })
    }

    /// Its size in bytes; none: only decoding tells.
    pub(super) fn len(&self) -> Option<u64> {
        let meta = self.file.metadata().ok().filter(|_| !self.packed);
        meta.map(|meta| meta.len())
    }

    /// The file's metadata.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// When it was rotated, by the name that it has now or had last; none: it is `current`, or was
    /// when it was deleted.
    pub(super) fn rotated(&self) -> Option<i64> {
        if self.packed {
            return Some(self.after);
        }
        let path = proc::path_of(&*self.file).ok()?.path;
        rotated_at(path.file_name()?.to_str()?)
    }

    /// Reads what is at this offset of the lines, as much as there is room for or less; 0 at the
    /// end. A file that is broken ends where it is, and says so.
    pub(super) fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> usize {
        if !self.packed {
            // An error (EIO) is an end: the next event tries again.
            return self.file.read_at(buffer, offset).unwrap_or(0);
        }
        match self.unpack(buffer, offset) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.decoder = None;
                self.broken = Some(error.to_string());
                0
            }
        }
    }

    fn unpack(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.broken.is_some() {
            return Ok(0);
        }
        let kept = self.decoder.take().filter(|it| it.at <= offset);
        let mut unpacking = kept.map_or_else(|| Unpacking::begin(&self.file), Ok)?;
        let mut passed = Vec::new();
        while unpacking.at < offset {
            let left = usize::try_from(offset - unpacking.at).unwrap_or(SKIP_BYTES);
            passed.resize(left.min(SKIP_BYTES), 0);
            match unpacking.decoder.read(&mut passed)? {
                0 => return Ok(0),
                bytes => unpacking.at += bytes as u64,
            }
        }
        let mut filled = 0;
        while filled < buffer.len() {
            match unpacking.decoder.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                // Lines before the damage are shown.
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        unpacking.at += filled as u64;
        if unpacking.permit.is_some() {
            self.decoder = Some(unpacking);
        }
        Ok(filled)
    }
}

pub(super) fn id(meta: &Metadata) -> Id {
    (meta.dev(), meta.ino())
}
