//! Unix sockets that a killed run has left behind: removed before the next run, which could not
//! bind them otherwise.
//!
//! Owner: the job that prepares a start (`prepare/mod.rs`), once no process of the previous run is
//! left. A socket where a process listens is not stale: it stays, and the start is tried again
//! later. In a directory of the service's account a socket is removed with that account's rights.

use std::{fs::File, io, os::fd::AsRawFd as _, path::Path};

use keeper::message::Ids;
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket},
};
use plan::Service;
use safe_path::{Account, Dir};

use crate::unready::{Unready, io_can_pass};

/// Removes the stale sockets of a service that exist, and logs each removal. `ids`: ids of the
/// service; none: the supervisor's own.
///
/// # Errors
/// Somebody listens there, or it is not to be removed from where it lies.
pub(crate) fn remove(service: &Service, ids: Option<&Ids>) -> Result<(), Unready> {
    let account = ids.map(|ids| Account {
        uid: ids.uid,
        gid: ids.gid,
    });
    for path in &service.stale_sockets {
        match remove_one(path, account.filter(|it| it.uid != 0)) {
            Ok(false) => {}
            Ok(true) => {
                let (service, path) = (&service.name, path.display());
                tracing::info!(service, "removed the stale socket {path}");
            }
            Err(error) => {
                let why = format!("cannot remove the stale socket {}: {error}", path.display());
                return Err(Unready::new(why, io_can_pass(&error)));
            }
        }
    }
    Ok(())
}

/// True: it was there.
fn remove_one(path: &Path, account: Option<Account>) -> io::Result<bool> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let dir = match Dir::open_for(parent, account) {
        Err(error) if missing(&error) => return Ok(false),
        dir => dir?,
    };
    let found = match dir.open_socket(name) {
        Err(error) if missing(&error) => return Ok(false),
        found => found?,
    };
    if is_listened_to(&found)? {
        let why = "another program listens there".to_owned();
        return Err(io::Error::other(Unready::passing(why)));
    }
    dir.remove(name)
}

/// Whether a socket of any type is bound there.
fn is_listened_to(found: &File) -> io::Result<bool> {
    // A path of any length works by the open file.
    let by = UnixAddr::new(&proc::fd_path(found))?;
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let ours = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match connect(ours.as_raw_fd(), &by) {
        // Its queue is full, or it is of another type.
        Ok(()) | Err(Errno::EAGAIN | Errno::EPROTOTYPE) => Ok(true),
        Err(Errno::ECONNREFUSED) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{
        fs::{chown, symlink},
        net::{UnixDatagram, UnixListener},
    };

    use super::*;

    const THEIRS: Ids = Ids {
        uid: 3_999_999_001,
        gid: 3_999_999_001,
        groups: Vec::new(),
    };

    fn service(path: &Path) -> Service {
        Service {
            name: "web".to_owned(),
            stale_sockets: vec![path.to_owned()],
            ..Service::default()
        }
    }

    #[test]
    fn only_a_socket_where_nobody_listens_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        // Too long for an address.
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let (short, path) = (dir.path().join("s"), deep.join("s"));
        let it = service(&path);
        assert_eq!(remove(&it, None), Ok(()), "there is none");
        let listener = UnixListener::bind(&short).unwrap();
        std::fs::rename(&short, &path).unwrap();
        let told = remove(&it, None).unwrap_err();
        assert!(told.transient, "{told:?}");
        let ends = "d/s: another program listens there";
        assert!(told.reason.ends_with(ends), "{told:?}");
        drop(listener);
        assert!(path.exists());
        assert_eq!(remove(&it, None), Ok(()));
        assert!(!path.exists());
        let datagrams = UnixDatagram::bind(&short).unwrap();
        std::fs::rename(&short, &path).unwrap();
        assert!(remove(&it, None).unwrap_err().transient);
        drop(datagrams);
        assert_eq!(remove(&it, None), Ok(()));
        std::fs::write(&path, "precious").unwrap();
        let told = remove(&it, None).unwrap_err();
        assert!(!told.transient && told.reason.ends_with("is not a unix socket"));
        assert!(path.exists());
    }

    /// In its own directory: what a service was given there is another account's by now.
    #[test]
    fn in_a_directory_of_the_account_it_is_removed_as_the_account() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        std::fs::create_dir(&own).unwrap();
        chown(&own, Some(THEIRS.uid), Some(THEIRS.gid)).unwrap();
        let path = own.join("s");
        drop(UnixListener::bind(&path).unwrap());
        chown(&path, Some(THEIRS.uid + 1), None).unwrap();
        let told = remove(&service(&path), None).unwrap_err();
        assert!(told.reason.contains("belongs to uid"), "{told:?}");
        assert_eq!(remove(&service(&path), Some(&THEIRS)), Ok(()));
        assert!(!path.exists());
        let elsewhere = dir.path().join("elsewhere");
        drop(UnixListener::bind(&elsewhere).unwrap());
        symlink(&elsewhere, &path).unwrap();
        let told = remove(&service(&path), Some(&THEIRS)).unwrap_err();
        assert!(told.reason.contains("is not a unix socket"), "{told:?}");
        assert!(elsewhere.exists());
    }
}
