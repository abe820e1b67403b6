//! The control socket: bound by the keeper, served by the control process.
//!
//! While the control process restarts, clients wait in the backlog. Mode 0600 from its first
//! moment: the control process widens it once the plan is loaded.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
};

use nix::{
    libc,
    sys::{
        socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket},
        stat::{Mode, fchmod},
    },
};
use safe_path::Dir;

/// Clients that wait to be served; more are refused.
const BACKLOG: i32 = 128;
/// A longer path does not fit into a socket address.
const PATH_BYTES_MAX: usize = 107;

/// Binds and listens. Only to be called with the lock held: whatever is at the path is stale.
pub(crate) fn listen_at(path: &Path) -> io::Result<OwnedFd> {
    if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
        Dir::open(parent)?.remove(name)?;
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let (short, _directory) = shorten(path)?;
    let address = UnixAddr::new(&short)?;
    // The file takes its mode from the socket: there is no moment in which it is wider.
    fchmod(&socket, Mode::from_bits_truncate(0o600))?;
    bind(socket.as_raw_fd(), &address)?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(socket)
}

/// A path that fits: through an open descriptor of its directory, which must live meanwhile.
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
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok((short, Some(directory)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::PermissionsExt, net::UnixStream};

    use super::*;

    #[test]
    fn the_socket_is_private_and_replaces_a_stale_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ctl.sock");
        drop(listen_at(&path).unwrap());
        let _listener = listen_at(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_long_path_is_bound_through_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let _listener = listen_at(&deep.join("ctl.sock")).unwrap();
        let (short, _directory) = shorten(&deep.join("ctl.sock")).unwrap();
        UnixStream::connect(short).unwrap();
    }
}
