//! Files that programs write themselves: which there are, and how they are opened with care.
//!
//! The supervisor is often root, and a service owns the directory of its files: it could put a link
//! to somebody else's file there, or a fifo. They are opened as a guest's ([`safe_path`]): the
//! directory's owner's own regular files with one name, and no link.

use std::{
    collections::BTreeSet,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use safe_path::Dir;

use super::segment::Segment;

/// Files of one service.
pub(super) const FILES_MAX: usize = 64;
/// Paths that are looked at for them.
const PATHS_MAX: usize = 4096;
/// Names in a directory that are looked at for a file that was renamed.
const NAMES_MAX: usize = 4096;
/// Extensions of files that are no text.
const PACKED: [&str; 6] = ["gz", "zst", "xz", "bz2", "zip", "tgz"];

/// The files that these patterns mean now, sorted; the flag says that there are too many.
pub(super) fn matching(patterns: &[String]) -> (Vec<PathBuf>, bool) {
    let mut files = BTreeSet::new();
    for pattern in patterns {
        // A pattern that cannot be read was refused with the plan.
        let paths = glob::glob(pattern).into_iter().flatten().take(PATHS_MAX);
        files.extend(paths.flatten().filter(|path| {
            let extension = path.extension().and_then(|it| it.to_str());
            !extension.is_some_and(|it| PACKED.contains(&it)) && !path.is_dir()
        }));
    }
    let more = files.len() > FILES_MAX;
    (files.into_iter().take(FILES_MAX).collect(), more)
}

/// The directories in which files of these patterns may appear.
pub(super) fn dirs(patterns: &[String], files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let fixed = patterns.iter().map(|pattern| {
        let wild = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
        let end = pattern[..wild].rfind('/').unwrap_or(0);
        PathBuf::from(&pattern[..end.max(1)])
    });
    let parents = files.iter().filter_map(|file| file.parent());
    fixed.chain(parents.map(Path::to_owned)).collect()
}

/// Opens a regular file, with care.
pub(super) fn open(path: &Path) -> io::Result<Segment> {
    Segment::new(safe_path::open_guest(path)?, 0, false)
}

/// The file of this inode beside that path, under a name that begins alike: it was renamed.
pub(super) fn renamed(path: &Path, inode: u64) -> Option<Segment> {
    let (dir, stem) = path.parent().zip(path.file_stem())?;
    let names = Dir::names_of(dir, NAMES_MAX).ok()?;
    let stem = stem.as_encoded_bytes();
    let alike = names
        .iter()
        .filter(|name| name.as_encoded_bytes().starts_with(stem));
    let mut paths = alike.map(|name| dir.join(name));
    let found = paths.find(|path| {
        let meta = safe_path::stat(path).ok().flatten();
        meta.is_some_and(|meta| meta.ino() == inode)
    })?;
    open(&found).ok().filter(|segment| segment.id.1 == inode)
}
