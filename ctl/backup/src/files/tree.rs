//! Saves trees of files into an archive, entry after entry.
//!
//! Symbolic links are stored as links and never followed, except one at the top ([`Folder::open`]).
//! A file with several names is stored once. Other file systems below the top are saved too, and
//! reported.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::Metadata,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
};

use safe_path::{Folder, Found};

use super::{
    content,
    limits::{DEPTH_MAX, FILE_BYTES_MAX, is_ours},
    owners::Owners,
    trouble::{Trouble, Troubles},
};
use crate::{
    Error, Watch,
    archive::{Kind, Member, Owner, Writer, segments},
};

/// Most files with several names that are remembered; of further ones each name is stored as a
/// file.
const LINKS_MAX: usize = 100_000;

/// Saves trees into an archive, and gathers what happened to files meanwhile.
pub struct Saver<'w> {
    writer: &'w mut Writer,
    /// Troubles of the files that were read.
    pub troubles: Troubles,
    /// Number of regular files stored, hard links included.
    pub files: u64,
    owners: Owners,
    links: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
}

impl<'w> Saver<'w> {
    /// Saves into this archive.
    pub fn new(writer: &'w mut Writer) -> Self {
        Self {
            writer,
            troubles: Troubles::default(),
            files: 0,
            owners: Owners::default(),
            links: HashMap::new(),
            buffer: vec![0; content::CHUNK_BYTES],
        }
    }

    /// Saves a whole tree, under this name in the archive.
    ///
    /// # Errors
    /// A fault of the archive; faults of single files go into `troubles`.
    pub fn tree(&mut self, top: &Folder, name: &str, watch: &mut Watch) -> Result<(), Error> {
        let name = name.as_bytes().to_vec();
        if top.is_followed() {
            self.troubles.add(Trouble::Followed, &name, None);
        }
        self.member(&name, top.metadata(), Kind::Directory)?;
        self.within(top, &name, 0, watch)
    }

    /// Saves one entry of a folder, under this name in the archive.
    ///
    /// # Errors
    /// As for [`Saver::tree`].
    pub fn entry(
        &mut self,
        folder: &Folder,
        name: &OsStr,
        archived: &[u8],
        watch: &mut Watch,
    ) -> Result<(), Error> {
        self.one(folder, name, archived, 0, watch)
    }

    /// Saves a generated text, which is not a file on the disk.
    ///
    /// # Errors
    /// As for [`Saver::tree`].
    pub fn document(&mut self, archived: &str, text: &str) -> Result<(), Error> {
        Ok(self.writer.document(archived, text.as_bytes())?)
    }

    fn within(
        &mut self,
        folder: &Folder,
        archived: &[u8],
        depth: usize,
        watch: &mut Watch,
    ) -> Result<(), Error> {
        let mut stopped = Ok(());
        let walked = folder.each::<Error>(|name| {
            let archived = [archived, b"/", name.as_bytes()].concat();
            let done = self.one(folder, name, &archived, depth, watch);
            done.map_err(|error| {
                stopped = Err(error);
                Error::Cancelled
            })
        });
        stopped?;
        match walked {
            // The directory itself.
            Err(Error::Io { error, .. }) => {
                self.troubles
                    .add(Trouble::Unreadable, archived, Some(&error));
                Ok(())
            }
            walked => walked,
        }
    }

    fn one(
        &mut self,
        folder: &Folder,
        name: &OsStr,
        archived: &[u8],
        depth: usize,
        watch: &mut Watch,
    ) -> Result<(), Error> {
        watch.stop().check()?;
        let found = match folder.find(name) {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.troubles.add(Trouble::Vanished, archived, None);
                return Ok(());
            }
            Err(error) => {
                self.troubles
                    .add(Trouble::Unreadable, archived, Some(&error));
                return Ok(());
            }
        };
        let now = found.metadata();
        if now.is_dir() && is_ours(name) {
            Ok(())
        } else if now.is_dir() {
            self.directory(folder, &found, archived, depth, watch)
        } else if now.is_file() {
            self.file(folder, &found, archived, watch)
        } else if now.is_symlink() {
            self.symlink(&found, archived, depth)
        } else {
            self.troubles.add(Trouble::Special, archived, None);
            Ok(())
        }
    }

    fn directory(
        &mut self,
        folder: &Folder,
        found: &Found,
        archived: &[u8],
        depth: usize,
        watch: &mut Watch,
    ) -> Result<(), Error> {
        if depth >= DEPTH_MAX {
            self.troubles.add(Trouble::TooDeep, archived, None);
            return Ok(());
        }
        let below = match folder.enter(found) {
            Ok(below) => below,
            Err(error) => return self.missed(archived, &error),
        };
        if below.metadata().dev() != folder.metadata().dev() {
            self.troubles.add(Trouble::Mount, archived, None);
        }
        self.member(archived, below.metadata(), Kind::Directory)?;
        self.within(&below, archived, depth + 1, watch)
    }

    fn file(
        &mut self,
        folder: &Folder,
        found: &Found,
        archived: &[u8],
        watch: &mut Watch,
    ) -> Result<(), Error> {
        if found.is_lent() {
            self.troubles.add(Trouble::Lent, archived, None);
            return Ok(());
        }
        let file = match folder.read(found) {
            Ok(file) => file,
            Err(error) => return self.missed(archived, &error),
        };
        let before = match file.metadata() {
            Ok(before) if before.len() <= FILE_BYTES_MAX => before,
            Ok(_) => {
                self.troubles.add(Trouble::TooLong, archived, None);
                return Ok(());
            }
            Err(error) => return self.missed(archived, &error),
        };
        self.files += 1;
        if before.nlink() > 1 {
            let number = (before.dev(), before.ino());
            if let Some(first) = self.links.get(&number).cloned() {
                return self.member(archived, &before, Kind::HardLink(&first));
            }
            if self.links.len() < LINKS_MAX {
                self.links.insert(number, archived.to_vec());
            }
        }
        // Only a file that takes less room than its length can have holes.
        let holes = before.blocks() * 512 < before.len();
        let parts = if holes {
            segments(&file, before.len()).unwrap_or(None)
        } else {
            None
        };
        let kind = match &parts {
            Some(parts) => Kind::Sparse(before.len(), parts),
            None => Kind::File(before.len()),
        };
        let owner = self.owners.of(before.uid(), before.gid());
        let member = described(archived, &before, kind, &owner);
        let content = self.writer.content(&member)?;
        let buffer = &mut self.buffer;
        let told = content::copy(&file, &before, parts.as_deref(), content, buffer, watch)?;
        if let Some((trouble, why)) = told {
            self.troubles.add(trouble, archived, why.as_ref());
        }
        Ok(())
    }

    fn symlink(&mut self, found: &Found, archived: &[u8], depth: usize) -> Result<(), Error> {
        let target = match found.link_target() {
            Ok(target) => target,
            Err(error) => return self.missed(archived, &error),
        };
        if leads_out(target.as_bytes(), depth) {
            self.troubles.add(Trouble::LeadsOut, archived, None);
        }
        self.member(archived, found.metadata(), Kind::Symlink(target.as_bytes()))
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "it stands at the end of what may fail"
    )]
    fn missed(&mut self, archived: &[u8], error: &std::io::Error) -> Result<(), Error> {
        if error.kind() == std::io::ErrorKind::NotFound {
            self.troubles.add(Trouble::Vanished, archived, None);
        } else {
            self.troubles
                .add(Trouble::Unreadable, archived, Some(error));
        }
        Ok(())
    }

    fn member(&mut self, archived: &[u8], now: &Metadata, kind: Kind<'_>) -> Result<(), Error> {
        let owner = self.owners.of(now.uid(), now.gid());
        Ok(self.writer.plain(&described(archived, now, kind, &owner))?)
    }
}

fn described<'a>(name: &'a [u8], now: &Metadata, kind: Kind<'a>, owner: &'a Owner) -> Member<'a> {
    Member {
        name,
        kind,
        mode: now.mode(),
        owner,
        changed: (now.mtime(), u32::try_from(now.mtime_nsec()).unwrap_or(0)),
    }
}

/// Whether the target of a link, this many directories below the top, leads out of the tree.
fn leads_out(target: &[u8], depth: usize) -> bool {
    let mut level = Some(depth);
    for part in target.split(|byte| *byte == b'/') {
        level = match part {
            b"" | b"." => level,
            b".." => level.and_then(|level| level.checked_sub(1)),
            _ => level.map(|level| level + 1),
        };
    }
    target.starts_with(b"/") || level.is_none()
}
