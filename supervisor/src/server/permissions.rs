//! Opens the file of the control socket to groups: who is in none of them cannot connect.
//!
//! The first group owns the file where it may be given away, so that `ls -l` shows it; the others,
//! and all where it may not (a supervisor without root gives a file to its own groups alone), are
//! entries of an access control list. One call sets the list and the mode; the file is never open
//! to more than the groups of before and of now. A file system without such lists leaves the
//! others out, which is told.

use std::{
    fmt,
    fs::{File, Permissions},
    io,
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::Path,
};

use nix::{
    fcntl::AtFlags,
    libc,
    unistd::{Gid, fchownat, getegid},
};
use rustix::{
    fs::{XattrFlags, setxattr},
    io::Errno,
};

/// The reason why some of the groups cannot connect.
#[derive(Debug)]
pub(crate) enum Closed {
    /// None of them, but for those that could before.
    Failed(io::Error),
    /// Not these: there is no place to say it.
    LeftOut(Vec<u32>),
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "{error}"),
            Self::LeftOut(gids) => write!(
                f,
                "its file system has no access control lists, so members of {gids:?} (group ids) \
                 have to use sudo; put the run directory on a tmpfs, or run the supervisor as root \
                 with one group for both control.admin_group and control.viewer_group"
            ),
        }
    }
}

/// Opens the socket at this path to these groups and its owner, and closes it to all others.
pub(crate) fn open_to(socket: &Path, groups: &[u32]) -> Result<(), Closed> {
    open_with(socket, groups, |path, list| {
        setxattr(path, api::ACL_ATTRIBUTE, list, XattrFlags::empty())
    })
}

fn open_with(
    socket: &Path,
    groups: &[u32],
    set_list: impl Fn(&Path, &[u8]) -> rustix::io::Result<()>,
) -> Result<(), Closed> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_NOFOLLOW)
        .open(socket)
        .map_err(Closed::Failed)?;
    let before = file.metadata().map_err(Closed::Failed)?;
    if !before.file_type().is_socket() {
        let error = format!("{} is not a socket", socket.display());
        return Err(Closed::Failed(io::Error::other(error)));
    }
    let owning = groups
        .first()
        .is_some_and(|&gid| before.gid() == gid || give(&file, gid).is_ok());
    let named = if owning { &groups[1..] } else { groups };
    // The descriptor leads to this very file, whatever is at the path by now.
    let path = proc::fd_path(&file);
    match set_list(&path, &api::acl_for(owning, named)) {
        Ok(()) => {}
        Err(Errno::OPNOTSUPP) => {
            let mode = if owning { 0o660 } else { 0o600 };
            let set = std::fs::set_permissions(&path, Permissions::from_mode(mode));
            set.map_err(Closed::Failed)?;
            if !named.is_empty() {
                return Err(Closed::LeftOut(named.to_vec()));
            }
        }
        Err(error) => return Err(Closed::Failed(error.into())),
    }
    if groups.is_empty() && before.gid() != getegid().as_raw() {
        // The socket is open to its owner alone by now: its group only shows in `ls`.
        give(&file, getegid().as_raw()).map_err(|error| Closed::Failed(error.into()))?;
    }
    Ok(())
}

fn give(file: impl AsFd, gid: u32) -> nix::Result<()> {
    fchownat(
        file,
        "",
        None,
        Some(Gid::from_raw(gid)),
        AtFlags::AT_EMPTY_PATH,
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustix::fs::getxattr;

    use super::*;

    struct Socket {
        _dir: tempfile::TempDir,
        path: std::path::PathBuf,
    }

    impl Socket {
        /// The socket with the mode that the keeper gives it.
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("s");
            UnixListener::bind(&path).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            Self { _dir: dir, path }
        }

        fn mode(&self) -> u32 {
            std::fs::metadata(&self.path).unwrap().mode() & 0o777
        }

        fn gid(&self) -> u32 {
            std::fs::metadata(&self.path).unwrap().gid()
        }

        /// The groups that may connect, or none if the mode says it all.
        fn list(&self) -> Option<Vec<u32>> {
            let mut bytes = [0; api::ACL_BYTES_MAX];
            let length = getxattr(&self.path, api::ACL_ATTRIBUTE, &mut bytes[..]);
            match length {
                Ok(length) => api::groups_of_acl(&bytes[..length], self.gid()),
                Err(Errno::NODATA) => None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn own_gid() -> u32 {
        getegid().as_raw()
    }

    #[test]
    fn one_own_group_needs_no_list_and_no_group_means_the_owner_alone() {
        let socket = Socket::new();
        open_to(&socket.path, &[own_gid()]).unwrap();
        assert_eq!((socket.mode(), socket.list()), (0o660, None));
        open_to(&socket.path, &[]).unwrap();
        assert_eq!((socket.mode(), socket.list()), (0o600, None));
    }

    #[test]
    fn the_second_group_is_named_in_a_list_that_goes_with_the_group() {
        let socket = Socket::new();
        open_to(&socket.path, &[own_gid(), 4_000_001]).unwrap();
        assert_eq!(socket.mode(), 0o660, "for nobody but groups");
        assert_eq!(socket.list(), Some(vec![own_gid(), 4_000_001]));
        open_to(&socket.path, &[own_gid()]).unwrap();
        assert_eq!((socket.mode(), socket.list()), (0o660, None));
    }

    #[test]
    fn the_first_group_owns_the_socket_where_it_may_be_given_away() {
        let socket = Socket::new();
        open_to(&socket.path, &[4_000_002, 4_000_003]).unwrap();
        assert_eq!(socket.list(), Some(vec![4_000_002, 4_000_003]));
        let owner = if nix::unistd::geteuid().is_root() {
            4_000_002
        } else {
            own_gid()
        };
        assert_eq!(socket.gid(), owner);
        open_to(&socket.path, &[]).unwrap();
        assert_eq!((socket.mode(), socket.gid()), (0o600, own_gid()));
    }

    #[test]
    fn without_lists_the_first_group_is_let_in_and_the_second_told() {
        let socket = Socket::new();
        let none = |_: &Path, _: &[u8]| Err(Errno::OPNOTSUPP);
        let told = open_with(&socket.path, &[own_gid(), 4_000_001], none).unwrap_err();
        assert!(told.to_string().contains("[4000001]"), "{told}");
        assert_eq!(socket.mode(), 0o660);
        open_with(&socket.path, &[own_gid()], none).unwrap();
        assert_eq!(socket.mode(), 0o660);
        open_with(&socket.path, &[], none).unwrap();
        assert_eq!(socket.mode(), 0o600);
    }

    #[test]
    fn no_link_is_followed_and_nothing_but_a_socket_is_touched() {
        let socket = Socket::new();
        let link = socket.path.with_file_name("link");
        std::os::unix::fs::symlink(&socket.path, &link).unwrap();
        open_to(&link, &[own_gid()]).unwrap_err();
        assert_eq!(socket.mode(), 0o600);
        let file = socket.path.with_file_name("file");
        std::fs::write(&file, "").unwrap();
        open_to(&file, &[own_gid()]).unwrap_err();
    }
}
