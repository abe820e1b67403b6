//! Unpacks files of a backup beside the live ones: on the same file system, with the rights of
//! their account, component by component and along no link.
//!
//! Invariant: a backup is not trusted. A name that leads elsewhere, a device, a duplicate, and a
//! link to a file outside of the backup are refused. Owners and set-id bits are not restored.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, FileTimes},
    io::{self, Seek, SeekFrom, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use safe_path::{Account, Dir};

use crate::{
    Error,
    archive::{self, Entry, EntryKind},
    files::DEPTH_MAX,
};

/// Most entries of one staged directory; no backup has more.
const ENTRIES_MAX: u64 = 50_000_000;
const CHUNK_BYTES: usize = 128 << 10;

/// A directory that is being filled.
pub(super) struct Stage {
    top: Dir,
    /// The directory used last: names in archives come in order.
    last: Option<(PathBuf, Dir)>,
    entries: u64,
    buffer: Vec<u8>,
}

impl Stage {
    /// Creates the stage below this directory. The name must be free.
    pub(super) fn make(parent: &Path, name: &str, account: Account) -> io::Result<Self> {
        let parent = Dir::open_for(parent, account)?;
        // Only root can change an owner.
        let owner = nix::unistd::geteuid().is_root().then_some(account);
        parent.settle_dir(name, owner, 0o700)?;
        Ok(Self {
            top: parent.enter_for(name, Some(account))?,
            last: None,
            entries: 0,
            buffer: vec![0; CHUNK_BYTES],
        })
    }

    /// Swaps two test names, to find out before the commit point whether the file system can.
    ///
    /// # Errors
    /// The file system cannot swap names.
    pub(super) fn try_swap(&self) -> io::Result<()> {
        const NAMES: [&str; 3] = ["try-1", "try-2", "try-3"];
        for name in &NAMES[..2] {
            self.top.create(name, 0o600)?;
        }
        self.top.swap(NAMES[0], &self.top, NAMES[1])?;
        self.top.move_to(NAMES[0], &self.top, NAMES[2])?;
        for name in NAMES {
            self.top.remove(name)?;
        }
        Ok(())
    }

    /// Unpacks one entry under this name. `written` receives the numbers of bytes. The target of a
    /// hard link is a name below `roots.0`, which stands for `roots.1` here.
    pub(super) fn put(
        &mut self,
        name: &[u8],
        entry: &mut Entry<'_>,
        roots: (&[u8], &[u8]),
        written: &mut dyn FnMut(u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.entries += 1;
        let path = path(name).filter(|_| self.entries <= ENTRIES_MAX);
        let path = path.ok_or_else(|| hostile(entry))?;
        match entry.kind {
            EntryKind::Directory => self.directory(&path, entry.mode),
            EntryKind::File => self.file(&path, entry, written),
            EntryKind::Symlink => self.symlink(&path, entry),
            EntryKind::HardLink => self.link(&path, entry, roots),
            EntryKind::Other => Err(hostile(entry)),
        }
    }

    fn directory(&mut self, path: &Path, mode: u32) -> Result<(), Error> {
        let (dir, name) = self.place(path)?;
        let done = dir.settle_dir(&name, None, mode & 0o777 | 0o700);
        done.map_err(Error::with("make", &dir.path().join(name)))
    }

    fn file(
        &mut self,
        path: &Path,
        entry: &mut Entry<'_>,
        written: &mut dyn FnMut(u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (dir, name) = self.place(path)?;
        let full = dir.path().join(&name);
        let mut file = dir
            .create(&name, 0o600)
            .map_err(Error::with("make", &full))?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut length = 0;
        loop {
            let read = entry.chunk(&mut buffer)?;
            if read == 0 {
                break;
            }
            put(&mut file, &buffer[..read]).map_err(Error::with("write", &full))?;
            length += read as u64;
            written(read as u64)?;
        }
        self.buffer = buffer;
        let changed = UNIX_EPOCH.checked_add(Duration::from_secs(entry.changed));
        let (dir, _) = self.place(path)?;
        let settled = || {
            file.set_len(length)?;
            dir.settle_file(&file, None, entry.mode & 0o777)?;
            file.set_times(FileTimes::new().set_modified(changed.unwrap_or(UNIX_EPOCH)))
        };
        settled().map_err(Error::with("write", &full))
    }

    fn symlink(&mut self, path: &Path, entry: &Entry<'_>) -> Result<(), Error> {
        let target = entry.target.as_deref().ok_or_else(|| hostile(entry))?;
        let (dir, name) = self.place(path)?;
        let full = dir.path().join(&name);
        dir.symlink(name, OsStr::from_bytes(target))
            .map_err(Error::with("make", &full))
    }

    /// Creates a hard link to an entry of the same tree.
    fn link(
        &mut self,
        path: &Path,
        entry: &Entry<'_>,
        (root, here): (&[u8], &[u8]),
    ) -> Result<(), Error> {
        let target = entry.target.as_deref().unwrap_or_default();
        let below = target.strip_prefix(root).filter(|it| it.starts_with(b"/"));
        let first = below.and_then(|below| {
            let first = [here, below].concat();
            self::path(first.strip_prefix(b"/").unwrap_or(&first))
        });
        let first = first.ok_or_else(|| hostile(entry))?;
        let above = first.parent().unwrap_or(Path::new(""));
        let from = self.walk(above);
        let from = from.map_err(Error::with("open", &self.top.path().join(above)))?;
        let first = first.file_name().unwrap_or_default().to_owned();
        let (to, name) = self.place(path)?;
        let full = to.path().join(&name);
        from.link_to(first, to, name)
            .map_err(Error::with("make", &full))
    }

    /// The directory for an entry, and its name there.
    fn place(&mut self, path: &Path) -> Result<(&Dir, OsString), Error> {
        let name = path.file_name().unwrap_or_default().to_owned();
        let above = path.parent().unwrap_or(Path::new("")).to_owned();
        if self.last.as_ref().is_none_or(|(last, _)| *last != above) {
            let dir = self.walk(&above);
            let dir = dir.map_err(Error::with("make", &self.top.path().join(&above)))?;
            self.last = Some((above, dir));
        }
        let (_, dir) = self.last.as_ref().ok_or(Error::Unanswered)?;
        Ok((dir, name))
    }

    fn walk(&self, below: &Path) -> io::Result<Dir> {
        let mut dir = self.top.again()?;
        for part in below {
            dir = dir.make_dir(part, 0o700)?;
        }
        Ok(dir)
    }

    /// Waits until all entries are on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.top.sync_file_system()
    }
}

/// Writes bytes; blocks of zeros become holes.
fn put(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    for block in bytes.chunks(4096) {
        if block.iter().all(|byte| *byte == 0) {
            file.seek(SeekFrom::Current(i64::try_from(block.len()).unwrap_or(0)))?;
        } else {
            file.write_all(block)?;
        }
    }
    Ok(())
}

/// The path for a name, if it leads only downwards.
fn path(name: &[u8]) -> Option<PathBuf> {
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
    let good = |part: &&[u8]| !matches!(*part, b"" | b"." | b"..") && !part.contains(&0);
    let fits = !parts.is_empty() && parts.len() <= DEPTH_MAX + 2;
    (fits && parts.iter().all(good)).then(|| PathBuf::from(OsStr::from_bytes(name)))
}

fn hostile(entry: &Entry<'_>) -> Error {
    let name = String::from_utf8_lossy(&entry.name).into_owned();
    archive::Error::Hostile { name }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_down_and_nowhere_else() {
        for good in ["a", "a/b", "a/", "..a/b"] {
            assert!(path(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "", "/", "/a", "a//b", "..", "a/..", "a/../b", "./a", "a/.", "a\0b",
        ] {
            assert!(path(bad.as_bytes()).is_none(), "{bad:?}");
        }
    }
}
