//! The control socket: bound by the keeper, served by the control process.
//!
//! The socket file may be removed or replaced. Then the keeper binds another socket (`places`), and
//! the control process serves the clients that wait at the first socket, and the second from then
//! on.
//!
//! While the control process restarts, clients wait in the backlog. The file has mode 0600 from its
//! first moment: the control process opens it to the groups of the plan, once that is loaded. Where
//! the kernel supports it (Linux 6.16), no client can send a descriptor, so none has to be closed.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    libc,
    sys::{
        socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket},
        stat::{Mode, fchmod},
    },
};
use safe_path::Dir;
use serde::{Deserialize, Serialize};

use crate::{
    in_place::leads_to,
    inheritance::{Inherited, Keeping, Number},
    sys::socket::refuse_descriptors,
};

/// Clients that wait to be served; further clients are refused.
const BACKLOG: i32 = 128;
/// A longer path does not fit into a socket address.
const PATH_BYTES_MAX: usize = 107;

/// The listening control socket.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
    path: PathBuf,
    /// Device and inode of its file.
    id: (u64, u64),
}

impl Listener {
    /// Binds and listens. Only to be called with the lock held: whatever is at the path is stale.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let directory = Dir::open(parent)?;
        directory.remove(name)?;
        let fd = listen_at(path)?;
        let file = directory.stat(name)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            fd,
            path: path.to_owned(),
            id: (file.dev(), file.ino()),
        })
    }

    /// A descriptor of the listening socket, for a control process.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    /// Whether the path still leads to this socket.
    pub(crate) fn is_in_place(&self) -> bool {
        let at = self.path.parent().zip(self.path.file_name());
        at.is_some_and(|(parent, name)| leads_to(parent, name, self.id))
    }

    /// Removes the socket file, if the path still leads to it.
    pub(crate) fn remove(&self) {
        if self.is_in_place()
            && let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name())
        {
            let _ = Dir::open(parent).and_then(|dir| dir.remove(name));
        }
    }
}

/// The socket for the next image of this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedListener {
    fd: Number,
    path: PathBuf,
    id: (u64, u64),
}

impl Listener {
    /// For the next image of this process.
    pub(crate) fn saved<'a>(&'a self, keeping: &mut Keeping<'a>) -> SavedListener {
        SavedListener {
            fd: keeping.keep(&self.fd),
            path: self.path.clone(),
            id: self.id,
        }
    }

    /// The socket of an earlier image of this process, with the clients that wait at it.
    pub(crate) fn resume(saved: SavedListener, inherited: &mut Inherited) -> io::Result<Self> {
        Ok(Self {
            fd: inherited.take(saved.fd)?,
            path: saved.path,
            id: saved.id,
        })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn listen_at(path: &Path) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let (short, _directory) = shorten(path)?;
    let address = UnixAddr::new(&short)?;
    // The file takes its mode from the socket: there is no moment in which it is wider.
    fchmod(&socket, Mode::from_bits_truncate(0o600))?;
    // An older kernel lets descriptors in, and the control process closes them.
    match refuse_descriptors(&socket) {
        Ok(()) | Err(Errno::ENOPROTOOPT) => {}
        Err(error) => return Err(error.into()),
    }
    bind(socket.as_raw_fd(), &address)?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(socket)
}

/// A path that fits into an address: through an open descriptor of its directory, which must stay
/// open meanwhile.
fn shorten(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok((path.to_owned(), None));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let directory = File::options()
        .read(true)
        .custom_flags(flags)
        .open(parent)?;
    let short = proc::fd_path(&directory).join(name);
    Ok((short, Some(directory)))
}

#[cfg(test)]
mod tests {
    use std::{
        io::IoSlice,
        os::unix::{fs::PermissionsExt, net::UnixStream},
    };

    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

    use super::*;

    #[test]
    fn the_socket_is_private_and_replaces_a_stale_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ctl.sock");
        let stale = Listener::bind(&path).unwrap();
        assert!(stale.is_in_place());
        let listener = Listener::bind(&path).unwrap();
        assert!(listener.is_in_place() && !stale.is_in_place());
        stale.remove();
        UnixStream::connect(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn no_client_can_send_a_descriptor_where_the_kernel_refuses_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ctl.sock");
        let listener = Listener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        let descriptors = [listener.fd.as_raw_fd()];
        let sent = sendmsg::<()>(
            client.as_raw_fd(),
            &[IoSlice::new(b"GET")],
            &[ControlMessage::ScmRights(&descriptors)],
            MsgFlags::empty(),
            None,
        );
        match refuse_descriptors(&listener.fd) {
            Ok(()) => assert_eq!(sent, Err(Errno::EPERM)),
            Err(error) => assert_eq!((sent, error), (Ok(3), Errno::ENOPROTOOPT)),
        }
    }

    #[test]
    fn a_long_path_is_bound_through_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let listener = Listener::bind(&deep.join("ctl.sock")).unwrap();
        assert!(listener.is_in_place());
        let (short, _directory) = shorten(&deep.join("ctl.sock")).unwrap();
        UnixStream::connect(short).unwrap();
    }
}
