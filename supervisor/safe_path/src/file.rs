//! Regular files, opened without waiting and looked at before use.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata, Permissions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::Path,
};

use nix::{
    fcntl::{OFlag, openat},
    sys::stat::Mode,
    unistd::{Gid, Uid, fchown},
};

use crate::{
    Account, Untrusted,
    walk::{End, Standing, Step, is_trusted, walk},
};

/// Flags of every open: no link at the end, no waiting for a fifo's other end.
pub(crate) const OPEN: OFlag = OFlag::O_NOFOLLOW
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_CLOEXEC);

/// A file of root's or our own choice, for reading: it lies in a trusted directory. Links of root
/// or our own user are followed, at the end of the path too.
///
/// # Errors
/// [`Untrusted`] within the error if anybody else could change where the path leads.
pub fn open(path: &Path) -> io::Result<File> {
    let (step, name) = end(path)?;
    if let Standing::Foreign(uid) = step.standing {
        let path = step.path;
        return Err(Untrusted::Foreign { path, uid }.into());
    }
    open_in(step, &name)
}

/// The whole of such a file, of at most so many bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    whole(open(path)?, path, limit)
}

/// A file that may lie in a foreign directory, for reading: it is no link and has one name. What is
/// in it is that directory's owner's word: show it to nobody unless it has the form that was
/// expected.
pub fn open_guest(path: &Path) -> io::Result<File> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(nix::errno::Errno::EISDIR.into());
    };
    let (mut step, path) = match walk(parent)? {
        End::Dir(step) => (step, parent.join(name)),
        End::Other(..) => return Err(nix::errno::Errno::ENOTDIR.into()),
        End::Missing(..) => return Err(nix::errno::Errno::ENOENT.into()),
    };
    if let Some(meta) = step.stat(name)?
        && meta.is_symlink()
    {
        let uid = meta.uid();
        return Err(Untrusted::Link { path, uid }.into());
    }
    step.shared = true;
    open_in(step, name)
}

/// The whole of such a file, of at most so many bytes.
pub fn read_guest(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    whole(open_guest(path)?, path, limit)
}

/// What is known of a file of this length, in bytes, and of content that is wanted, if it is there:
/// wherever it lies and whoever laid it out, for only yes or no is learned of what is in it.
pub fn holding(path: &Path, length: u64, wanted: impl FnOnce(&[u8]) -> bool) -> Option<Metadata> {
    let (step, name) = end(path).ok()?;
    let flags = OFlag::O_RDONLY | OPEN;
    let file = File::from(openat(&step, name.as_os_str(), flags, Mode::empty()).ok()?);
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() != length {
        return None;
    }
    let found = whole(file, path, length).ok()?;
    wanted(&found).then_some(meta)
}

/// A handle (`O_PATH`) of a unix socket, to connect by `/proc/self/fd`: whatever has its name
/// later, and however long its path is. It may lie in a foreign directory, where no link is
/// followed; there it has one name, and is that directory's owner's, root's or our own.
///
/// # Errors
/// [`Untrusted`] within the error where it may be another's socket, by a hard link.
pub fn open_socket(path: &Path) -> io::Result<File> {
    let (step, name) = end(path)?;
    let found = open_socket_in(&step, &name)?;
    let meta = found.metadata()?;
    let (path, uid) = (step.path.join(name), meta.uid());
    let may_be_linked = step.shared || step.standing != Standing::Trusted;
    if may_be_linked && meta.nlink() > 1 {
        return Err(Untrusted::Names { path }.into());
    }
    match step.standing {
        Standing::Foreign(owner) if uid != owner && !is_trusted(uid) => {
            Err(Untrusted::Owner { path, uid }.into())
        }
        _ => Ok(found),
    }
}

pub(crate) fn open_socket_in(step: &Step, name: &OsStr) -> io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let found = File::from(openat(step, name, flags, Mode::empty())?);
    if found.metadata()?.file_type().is_socket() {
        return Ok(found);
    }
    let path = step.path.join(name);
    let wanted = "unix socket";
    Err(Untrusted::Kind { path, wanted }.into())
}

fn end(path: &Path) -> io::Result<(Step, OsString)> {
    match walk(path)? {
        End::Other(step, name) => Ok((step, name)),
        End::Dir(_) => Err(nix::errno::Errno::EISDIR.into()),
        End::Missing(..) => Err(nix::errno::Errno::ENOENT.into()),
    }
}

fn open_in(step: Step, name: &OsStr) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OPEN;
    let rule = match step.standing {
        Standing::Trusted if step.shared => Rule::OneName,
        Standing::Trusted => Rule::Regular,
        Standing::Foreign(uid) => Rule::OwnedBy(uid),
        Standing::Open => return Err(Untrusted::Open { path: step.path }.into()),
    };
    let file = File::from(openat(&step, name, flags, Mode::empty())?);
    check(&file, &step.path.join(name), rule)?;
    Ok(file)
}

/// Requirements on a file, by its place and its use.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// A regular file.
    Regular,
    /// And nobody has made a second name of another's file.
    OneName,
    /// And it is that user's own.
    OwnedBy(u32),
}

pub(crate) fn check(file: &File, path: &Path, rule: Rule) -> io::Result<()> {
    let meta = file.metadata()?;
    let path = || path.to_owned();
    if !meta.is_file() {
        let wanted = "regular file";
        return Err(Untrusted::Kind {
            path: path(),
            wanted,
        }
        .into());
    }
    if !matches!(rule, Rule::Regular) && meta.nlink() > 1 {
        return Err(Untrusted::Names { path: path() }.into());
    }
    match rule {
        Rule::OwnedBy(owner) if meta.uid() != owner => {
            let uid = meta.uid();
            Err(Untrusted::Owner { path: path(), uid }.into())
        }
        _ => Ok(()),
    }
}

/// All bytes of a file, or an error if there are more than the limit.
pub(crate) fn whole(file: File, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let long = || Untrusted::Long {
        path: path.to_owned(),
        limit,
    };
    // A file whose length is known to be too long is not read at all.
    if file.metadata()?.len() > limit {
        return Err(long().into());
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(long().into());
    }
    Ok(bytes)
}

/// Changes owner, group and mode of what is open, as far as they differ.
pub fn set_owner_and_mode(opened: &File, owner: Option<Account>, mode: u32) -> io::Result<()> {
    let now = opened.metadata()?;
    if let Some(Account { uid, gid }) = owner
        && (now.uid(), now.gid()) != (uid, gid)
    {
        fchown(opened, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    // After the owner, for a change of owner clears set-id bits.
    if now.mode() & 0o7777 != mode {
        opened.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}
