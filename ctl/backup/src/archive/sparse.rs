//! Finds the parts of a file that hold data, and writes the header that describes them.
//!
//! The header is GNU tar's old one (type `S`), which GNU tar, bsdtar, Python and the `tar` crate
//! read.

use std::{fs::File, io};

use nix::{
    errno::Errno,
    unistd::{Whence, lseek64},
};

use super::member::BLOCK;

/// A part of a file that holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Offset of the segment in the file.
    pub offset: u64,
    /// Length of the segment, in bytes.
    pub length: u64,
}

/// Segments in the header block, and in each extension block that follows.
const IN_HEADER: usize = 4;
const IN_EXTENSION: usize = 21;
/// Most segments of one file. Once the limit is reached, later holes are stored as the zeros that
/// they read as.
const SEGMENTS_MAX: usize = 10_000;

/// The data segments of a file of this length; `None` if it has no holes that are worth storing.
pub fn segments(file: &File, length: u64) -> io::Result<Option<Vec<Segment>>> {
    let mut found: Vec<Segment> = Vec::new();
    let mut at = 0;
    while at < length {
        let Some(from) = seek(file, at, Whence::SeekData)?.filter(|from| *from < length) else {
            break;
        };
        let to = seek(file, from, Whence::SeekHole)?.unwrap_or(length);
        // Rounds to whole blocks, so that each segment begins at a block of the archive.
        let from = from / BLOCK * BLOCK;
        let to = to.max(from + 1).next_multiple_of(BLOCK).min(length);
        let full = found.len() == SEGMENTS_MAX;
        match found.last_mut() {
            Some(last) if full || from <= last.offset + last.length => {
                last.length = to - last.offset;
            }
            _ => found.push(Segment {
                offset: from,
                length: to - from,
            }),
        }
        at = to;
    }
    let stored: u64 = found.iter().map(|segment| segment.length).sum();
    Ok((stored + 4 * BLOCK <= length).then_some(found))
}

fn seek(file: &File, from: u64, what: Whence) -> io::Result<Option<u64>> {
    let from = i64::try_from(from).map_err(io::Error::other)?;
    match lseek64(file, from, what) {
        Ok(at) => Ok(u64::try_from(at).ok()),
        Err(Errno::ENXIO) => Ok(None),
        // The file system does not support holes: all is data.
        Err(Errno::EINVAL) => Ok(matches!(what, Whence::SeekData).then_some(from.unsigned_abs())),
        Err(errno) => Err(errno.into()),
    }
}

/// Writes the segments into the header, and answers the extension blocks that follow.
pub(super) fn describe(header: &mut tar::Header, segments: &[Segment], length: u64) -> Vec<u8> {
    // A last segment of length 0 states the length of the file.
    let end = Segment {
        offset: length,
        length: 0,
    };
    let all: Vec<Segment> = segments.iter().copied().chain([end]).collect();
    let (first, more) = all.split_at(all.len().min(IN_HEADER));
    if let Some(gnu) = header.as_gnu_mut() {
        for (slot, segment) in gnu.sparse.iter_mut().zip(first) {
            slot.set_offset(segment.offset);
            slot.set_length(segment.length);
        }
        gnu.set_is_extended(!more.is_empty());
        gnu.set_real_size(length);
    }
    let mut blocks = Vec::new();
    let mut chunks = more.chunks(IN_EXTENSION).peekable();
    while let Some(chunk) = chunks.next() {
        let mut block = tar::GnuExtSparseHeader::new();
        for (slot, segment) in block.sparse_mut().iter_mut().zip(chunk) {
            slot.set_offset(segment.offset);
            slot.set_length(segment.length);
        }
        block.set_is_extended(chunks.peek().is_some());
        blocks.extend_from_slice(block.as_bytes());
    }
    blocks
}
