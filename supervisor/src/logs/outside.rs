//! Files that programs write themselves: which there are, and how they are opened with care.
//!
//! The supervisor is often root, and a service owns the directory of its files: it could put a link
//! to somebody else's file there, or a fifo. So only regular files with one name are read, the last
//! part of a path is never a link, and a link on the way to it counts only if root or the
//! supervisor's own user has made it.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Component, Path, PathBuf},
};

use nix::{
    fcntl::{OFlag, open as open_path, openat, readlinkat},
    sys::stat::Mode,
    unistd::geteuid,
};

use super::part::Part;

/// Files of one service.
pub(super) const FILES_MAX: usize = 64;
/// Paths that are looked at for them.
const PATHS_MAX: usize = 4096;
/// Links on the way to a file, as in the kernel.
const LINKS_MAX: usize = 40;
/// Names in a directory that are looked at for a file that was renamed.
const NAMES_MAX: usize = 4096;
/// What ends like this is no text.
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
pub(super) fn open(path: &Path) -> io::Result<Part> {
    let handle = File::from(walk(path)?);
    let meta = handle.metadata()?;
    if meta.file_type().is_symlink() {
        return Err(io::Error::other("it is a symbolic link"));
    }
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if meta.nlink() != 1 {
        return Err(io::Error::other("it has other names (hard links)"));
    }
    // The very file that was looked at; only now is it opened in earnest.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(format!("/proc/self/fd/{}", handle.as_raw_fd()))?;
    Part::new(file, 0, false)
}

/// The file of this inode beside that path, under a name that begins alike: it was renamed.
pub(super) fn renamed(path: &Path, inode: u64) -> Option<Part> {
    let stem = path.file_stem()?.as_encoded_bytes();
    let entries = path.parent()?.read_dir().ok()?.take(NAMES_MAX);
    let found = entries.flatten().find(|entry| {
        let name = entry.file_name();
        name.as_encoded_bytes().starts_with(stem)
            && entry.metadata().is_ok_and(|meta| meta.ino() == inode)
    })?;
    open(&found.path()).ok().filter(|part| part.id.1 == inode)
}

/// A handle of what has this path, which is not opened by that.
fn walk(path: &Path) -> io::Result<OwnedFd> {
    let handle = OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let mut above = vec![open_path("/", handle | OFlag::O_DIRECTORY, Mode::empty())?];
    let mut left = parts(path);
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == ".." {
            above.truncate((above.len() - 1).max(1));
            continue;
        }
        let Some(dir) = above.last() else {
            break;
        };
        let found = openat(dir, part.as_os_str(), handle, Mode::empty())?;
        if left.is_empty() {
            return Ok(found);
        }
        let found = File::from(found);
        let meta = found.metadata()?;
        if meta.file_type().is_symlink() {
            links += 1;
            let owner = meta.uid();
            if links > LINKS_MAX || (owner != 0 && owner != geteuid().as_raw()) {
                let part = Path::new(&part).display();
                let why = format!("`{part}` in its path is a symbolic link of uid {owner}");
                return Err(io::Error::other(why));
            }
            let target = PathBuf::from(readlinkat(&found, "")?);
            if target.is_absolute() {
                above.truncate(1);
            }
            left.extend(parts(&target));
        } else {
            above.push(found.into());
        }
    }
    Err(io::Error::other("it names no file"))
}

/// The parts of a path, last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
}
