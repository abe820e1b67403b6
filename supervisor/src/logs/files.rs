//! The files of one log: which there are, in what order, and where its last lines begin.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use keeper::log::{CURRENT, rotated_at};
use memchr::memrchr_iter;

/// Files are searched backward in blocks of this size.
const BLOCK_BYTES: usize = 64 << 10;

/// Device and inode: the same for a file under each of its names.
pub(super) type Id = (u64, u64);

/// A file of the log, and what is needed to find the one after it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) file: File,
    pub(super) id: Id,
    /// When it was rotated; for `current`: when the one before it was, or 0.
    pub(super) after: i64,
}

impl Part {
    fn open(path: &Path, after: i64) -> io::Result<Part> {
        let file = File::open(path)?;
        let id = id(&file.metadata()?);
        Ok(Part { file, id, after })
    }

    /// The file that was begun after this one, or `None` while this is the newest. The flag says that
    /// files between the two are gone.
    pub(super) fn next(&self, dir: &Path) -> Option<(Part, bool)> {
        if id_of(&dir.join(CURRENT)) == Some(self.id) {
            return None;
        }
        // `current` first: if it is rotated after this, it is in the list, and taken from there.
        let current = Part::open(&dir.join(CURRENT), 0).ok();
        let rotated = rotated(dir);
        let me = rotated
            .iter()
            .find(|(_, path)| id_of(path) == Some(self.id));
        let after = me.map_or(self.after, |(time, _)| *time);
        // Gone itself while others came: those before the first that is left may have gone too.
        let mut gap = me.is_none() && current.as_ref().is_none_or(|current| current.id != self.id);
        for (time, path) in rotated.iter().filter(|(time, _)| *time > after) {
            match Part::open(path, *time) {
                Ok(part) => return Some((part, gap)),
                // Deleted by a rotation just now.
                Err(_) => gap = true,
            }
        }
        let current = current.filter(|current| current.id != self.id)?;
        let newest = rotated.last().map_or(0, |(time, _)| *time);
        Some((
            Part {
                after: newest,
                ..current
            },
            false,
        ))
    }
}

/// The file and the offset in it where the last `lines` lines of a log begin; none: no file.
pub(super) fn before_last(dir: &Path, lines: usize) -> Option<(Part, u64)> {
    let current = Part::open(&dir.join(CURRENT), 0).ok();
    let rotated = rotated(dir);
    let mut left = lines;
    let mut oldest = None;
    if let Some(mut current) = current
        && !rotated
            .iter()
            .any(|(_, path)| id_of(path) == Some(current.id))
    {
        current.after = rotated.last().map_or(0, |(time, _)| *time);
        match search(&current.file, &mut left) {
            Some(offset) => return Some((current, offset)),
            None => oldest = Some((current, 0)),
        }
    }
    for (time, path) in rotated.iter().rev() {
        let Ok(part) = Part::open(path, *time) else {
            continue;
        };
        match search(&part.file, &mut left) {
            // The line end before the first wanted line is the last byte: it begins in the file after.
            Some(offset)
                if oldest.is_some()
                    && part.file.metadata().is_ok_and(|meta| meta.len() == offset) =>
            {
                break;
            }
            Some(offset) => return Some((part, offset)),
            None => oldest = Some((part, 0)),
        }
    }
    oldest
}

/// Offset behind the line end that is `left` lines before the end; none: there are fewer, and `left`
/// is what is still wanted.
fn search(file: &File, left: &mut usize) -> Option<u64> {
    let mut end = file.metadata().ok()?.len();
    let mut block = vec![0; BLOCK_BYTES];
    let mut ends = 0;
    while end > 0 {
        let bytes = usize::try_from(end).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
        let begin = end - bytes as u64;
        // Truncated meanwhile: what is left of it is short.
        file.read_exact_at(&mut block[..bytes], begin).ok()?;
        for at in memrchr_iter(b'\n', &block[..bytes]) {
            if ends == *left {
                return Some(begin + at as u64 + 1);
            }
            ends += 1;
        }
        end = begin;
    }
    *left -= ends;
    None
}

/// Times and paths of the rotated files, oldest first.
fn rotated(dir: &Path) -> Vec<(i64, std::path::PathBuf)> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut rotated: Vec<_> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((rotated_at(path.file_name()?.to_str()?)?, path))
        })
        .collect();
    rotated.sort_unstable();
    rotated
}

fn id(meta: &Metadata) -> Id {
    (meta.dev(), meta.ino())
}

fn id_of(path: &Path) -> Option<Id> {
    fs::metadata(path).ok().map(|meta| id(&meta))
}
