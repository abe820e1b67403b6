//! Where a file or directory of the plan lies, and with whose rights it is worked on.
//!
//! In a directory that nobody but root and ourselves can change, we work as ourselves and give the
//! result to whom the plan says. A directory that belongs to the account of the file is worked in
//! as that account, whose own rights it has then and no more. Any other is refused.

use std::{
    ffi::{OsStr, OsString},
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use nix::unistd::Uid;
use plan::{Directory, RenderedFile, Service};
use safe_path::{Account, Dir};

use crate::{
    accounts,
    staging::{Broken, StagedFile},
};

/// Owners of a file or directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owners {
    /// Owner in a trusted directory; `None`: unchanged, since we are not root.
    pub(super) trusted: Option<Account>,
    /// The account whose own directory it may lie in, and to whom it belongs there.
    pub(super) account: Option<Account>,
}

impl Owners {
    pub(super) fn of_directory(service: &Service, it: &Directory) -> io::Result<Self> {
        let user = it.user.as_deref().or(service.user.as_deref());
        let group = it.group.as_deref().or(service.group.as_deref());
        Self::look_up(user, group, true)
    }

    /// A file is root's unless a user is named for it: what a service is told is not its to change.
    pub(super) fn of_file(service: &Service, it: &RenderedFile) -> io::Result<Self> {
        let user = it.user.as_deref().or(service.user.as_deref());
        let group = it.group.as_deref().or(service.group.as_deref());
        Self::look_up(user, group, it.user.is_some())
    }

    fn look_up(user: Option<&str>, group: Option<&str>, given: bool) -> io::Result<Self> {
        if !Uid::effective().is_root() {
            let (trusted, account) = (None, None);
            return Ok(Self { trusted, account });
        }
        let user = user.map(accounts::user).transpose();
        let user = user.map_err(io::Error::other)?;
        let gid = match group {
            Some(name) => accounts::group(name),
            None => user.as_ref().map_or(Ok(0), accounts::User::gid),
        };
        let gid = gid.map_err(io::Error::other)?;
        let uid = user.map(|user| user.uid);
        let account = uid.filter(|uid| *uid != 0);
        Ok(Self {
            trusted: Some(Account {
                uid: uid.filter(|_| given).unwrap_or(0),
                gid,
            }),
            account: account.map(|uid| Account { uid, gid }),
        })
    }

    /// Whom it belongs to in this directory.
    pub(super) fn in_dir(&self, dir: &Dir) -> Option<Account> {
        if dir.is_foreign() {
            self.account
        } else {
            self.trusted
        }
    }

    /// Whose it is to be where it lies; none: whose it is.
    pub(super) fn wanted_at(&self, path: &Path) -> Option<Account> {
        match safe_path::foreign_owner(path.parent().unwrap_or(path)) {
            Some(_) => self.account,
            None => self.trusted,
        }
    }

    /// The existing file has an owner that is allowed at its place.
    pub(super) fn fit(&self, path: &Path, now: &Metadata) -> bool {
        let wanted = self.wanted_at(path);
        wanted.is_none_or(|it| (now.uid(), now.gid()) == (it.uid, it.gid))
    }

    /// Why a path cannot be made, and whether the account it is for can have seen to that: in a
    /// directory of its own, unless the disk is at fault.
    pub(super) fn broken(&self, path: &Path, what: &str, error: &io::Error) -> Broken {
        let disk = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem
        );
        let foreign = safe_path::foreign_owner(path.parent().unwrap_or(path));
        let own = foreign.is_some() && foreign == self.account.map(|account| account.uid);
        Broken {
            why: format!("cannot {what}: {error}"),
            own: (own && !disk).then(|| path.to_owned()),
        }
    }
}

/// The directory of a path, made if missing, and the name in it.
pub(super) fn make_parent(path: &Path, account: Option<Account>) -> io::Result<(Dir, &OsStr)> {
    let (parent, name) = split(path)?;
    Ok((Dir::make_for(parent, 0o755, account)?, name))
}

/// The directory of a path, which may be an account's own, and the name in it.
pub(super) fn parent<'p>(path: &'p Path, user: Option<&str>) -> io::Result<(Dir, &'p OsStr)> {
    // An account that is not there yet has no directory either.
    let owners = Owners::look_up(user, None, true).ok();
    let (parent, name) = split(path)?;
    Ok((
        Dir::open_for(parent, owners.and_then(|it| it.account))?,
        name,
    ))
}

pub(super) fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "it is no path of a file");
    path.parent().zip(path.file_name()).ok_or_else(wrong)
}

/// A candidate and its place, which lie in one directory.
pub(super) struct Place {
    pub(super) dir: Dir,
    pub(super) name: OsString,
    pub(super) candidate: OsString,
}

impl Place {
    /// The place of a candidate that has been written.
    pub(super) fn find(file: &StagedFile) -> io::Result<Self> {
        let (dir, name) = parent(&file.path, file.user.as_deref())?;
        Ok(Self {
            dir,
            name: name.to_owned(),
            candidate: split(&file.candidate)?.1.to_owned(),
        })
    }
}
