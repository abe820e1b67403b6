//! Copies the content of one file, which may change meanwhile. The archive stays well-formed
//! whatever happens, and the change is reported.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
};

use super::trouble::Trouble;
use crate::{
    Error, Watch,
    archive::{Content, Segment},
};

/// Bytes read per call.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// A trouble of a file that is being read, with the system's error if any.
pub(super) type Told = Option<(Trouble, Option<io::Error>)>;

/// Copies a file of this length into its member.
pub(super) fn copy(
    file: &File,
    before: &Metadata,
    segments: Option<&[Segment]>,
    mut content: Content<'_>,
    buffer: &mut [u8],
    watch: &mut Watch,
) -> Result<Told, Error> {
    let length = before.len();
    let whole = [Segment { offset: 0, length }];
    let mut at = 0;
    let mut told: Told = None;
    'segments: for segment in segments.unwrap_or(&whole) {
        content.hole(segment.offset - at);
        at = segment.offset;
        let end = segment.offset + segment.length;
        while at < end {
            let want = usize::try_from(end - at)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let read = match read_at(file, &mut buffer[..want], at) {
                Ok(0) => {
                    told = Some((Trouble::Shrank, None));
                    break 'segments;
                }
                Ok(read) => read,
                Err(error) => {
                    told = Some((Trouble::Unreadable, Some(error)));
                    break 'segments;
                }
            };
            content.data(&buffer[..read])?;
            at += read as u64;
            watch.add(read as u64)?;
        }
    }
    if told.is_some() {
        at = fill(&mut content, segments.unwrap_or(&whole), at)?;
    } else {
        told = changed(file, before);
    }
    content.hole(length - at);
    content.end()?;
    Ok(told)
}

/// Writes zeros for the data that the header announced and that was not read. Answers where the
/// data end.
fn fill(content: &mut Content<'_>, segments: &[Segment], mut at: u64) -> Result<u64, Error> {
    for segment in segments {
        let end = segment.offset + segment.length;
        if end <= at {
            continue;
        }
        content.hole(segment.offset.saturating_sub(at));
        content.zeros(end - at.max(segment.offset))?;
        at = end;
    }
    Ok(at)
}

/// Compares a second `stat` with the first.
fn changed(file: &File, before: &Metadata) -> Told {
    let Ok(now) = file.metadata() else {
        return None;
    };
    let times = |meta: &Metadata| (meta.mtime(), meta.mtime_nsec());
    if now.len() > before.len() {
        return Some((Trouble::Grew, None));
    }
    if now.len() < before.len() || times(&now) != times(before) {
        return Some((Trouble::Changed, None));
    }
    None
}

/// Reads as many bytes at an offset as there are; answers 0 at the end of the file.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
