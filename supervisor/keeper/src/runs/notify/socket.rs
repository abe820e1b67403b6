//! A service's notify socket: one per service, made with its first run and kept, so that what is
//! said while nobody reads is not lost.
//!
//! Its file belongs to the service's account, mode 0600: nobody else but root can send.
//!
//! **Descriptors.** A message may bring some (`BARRIER=1`, `FDSTORE=1`), and closing one may take
//! as long as its sender likes: a TCP connection that lingers, a file of a file system that the
//! sender serves. The kernel closes even those that are not asked for, in the thread that takes the
//! message. So the keeper's loop only ever *peeks* at a message, which leaves the descriptors where
//! they are, and takes away none but those that have none. A message with descriptors is taken away
//! by a thread of its own once the loop has acted on it; meanwhile this socket is not read, which
//! holds up nobody but the service itself. So `BARRIER=1` is answered when all that was sent before
//! has been acted on.
//!
//! Limits: one such thread a socket, and [`ASIDE_MAX`] a service, over all its sockets.

use std::{
    cell::Cell,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use nix::{
    errno::Errno,
    fcntl::AtFlags,
    sys::{
        signal::SigSet,
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, bind, recv, setsockopt, socket,
            sockopt::PassCred,
        },
        stat::{FchmodatFlags, Mode, fchmod, fchmodat, fstatat},
    },
    unistd::{Gid, Uid, UnlinkatFlags, fchownat, geteuid, unlinkat},
};

use serde::{Deserialize, Serialize};

use super::directory::{Directory, Place};
use crate::{
    inheritance::{Inherited, Keeping, Number},
    poller::{Poller, Source},
    stderr_log::error,
};

/// Threads of one service that take messages away. With so many hanging, the service's next run is
/// not given a fresh socket.
const ASIDE_MAX: usize = 4;
/// Stack of such a thread, in bytes; it needs a fraction of it.
const STACK_BYTES: usize = 32 << 10;

/// Threads of this process that take messages away or close sockets.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: Arc<OwnedFd>,
    place: Place,
    name: String,
    path: PathBuf,
    /// Device and inode of its file.
    id: (u64, u64),
    /// A thread is taking a message away, or is to be started for it.
    busy: Arc<AtomicBool>,
    /// The thread could not be started.
    waits_for_thread: Cell<bool>,
    /// Number of such threads of this service.
    aside: Arc<AtomicUsize>,
}

impl Socket {
    /// Binds it, in the place of what lies there, for an account.
    pub(crate) fn bind(
        (place, directory): (Place, &Directory),
        name: String,
        (uid, gid): (u32, u32),
    ) -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&fd, PassCred, &true)?;
        // The file takes its mode from the socket: there is no moment in which it is wider.
        fchmod(&fd, Mode::S_IRUSR | Mode::S_IWUSR)?;
        match unlinkat(directory, &*name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
        // By the open directory: a path of our own may be longer than an address holds.
        let path = proc::fd_path(directory).join(&name);
        bind(fd.as_raw_fd(), &UnixAddr::new(&path)?)?;
        // The umask may have made the mode narrower.
        let only_owner = Mode::S_IRUSR | Mode::S_IWUSR;
        fchmodat(directory, &*name, only_owner, FchmodatFlags::FollowSymlink)?;
        let stat = fstatat(directory, &*name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let socket = Self {
            fd: Arc::new(fd),
            place,
            path: directory.path().join(&name),
            name,
            id: (stat.st_dev, stat.st_ino),
            busy: Arc::default(),
            waits_for_thread: Cell::default(),
            aside: Arc::default(),
        };
        socket.give_to(directory, (uid, gid))?;
        Ok(socket)
    }

    /// Gives the socket to another account.
    pub(crate) fn give_to(
        &self,
        directory: &Directory,
        (uid, gid): (u32, u32),
    ) -> Result<(), Errno> {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        if !geteuid().is_root() {
            return Ok(());
        }
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        fchownat(directory, &*self.name, Some(uid), Some(gid), flags)
    }

    /// Value of `NOTIFY_SOCKET`.
    pub(crate) fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Where it lies.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Whether its file is in this directory.
    pub(crate) fn lies_in(&self, directory: &Directory) -> bool {
        let stat = fstatat(directory, &*self.name, AtFlags::AT_SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.id)
    }

    /// Whether a thread is taking a message away; the thread may hang.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Whether few enough threads of the service hang for the service to get another socket.
    pub(crate) fn may_be_replaced(&self) -> bool {
        self.aside.load(Ordering::Acquire) < ASIDE_MAX
    }

    /// Counts its threads with those of the service's former socket.
    pub(crate) fn follows(&mut self, former: &Self) {
        self.aside = Arc::clone(&former.aside);
    }

    /// Whether no thread could be started for the next message.
    pub(crate) fn waits_for_thread(&self) -> bool {
        self.waits_for_thread.get()
    }

    /// Takes a message without descriptors away.
    pub(crate) fn discard(&self) {
        let _ = recv(self.fd.as_raw_fd(), &mut [], MsgFlags::MSG_DONTWAIT);
    }

    /// Has a thread take away a message with descriptors. The socket is not watched until then, and
    /// watched again as `source`.
    pub(crate) fn discard_aside(&self, poller: &Poller, source: Source) -> io::Result<()> {
        self.busy.store(true, Ordering::Release);
        self.waits_for_thread.set(true);
        let paused = poller.pause(&*self.fd, source)?;
        let fd = Arc::clone(&self.fd);
        let (busy, aside) = (Arc::clone(&self.busy), Arc::clone(&self.aside));
        aside.fetch_add(1, Ordering::AcqRel);
        let started = on_a_thread(move || {
            // No room for descriptors: the kernel closes them here and now.
            let _ = recv(fd.as_raw_fd(), &mut [], MsgFlags::MSG_DONTWAIT);
            aside.fetch_sub(1, Ordering::AcqRel);
            busy.store(false, Ordering::Release);
            // Fails if the service has another socket by now, or none.
            paused.resume(&*fd);
        });
        self.waits_for_thread.set(started.is_err());
        if started.is_err() {
            self.aside.fetch_sub(1, Ordering::AcqRel);
        }
        started
    }

    /// Closes the socket, with all unread messages. May hang, on another thread.
    pub(crate) fn close(self, directory: Option<&Directory>) {
        if let Some(directory) = directory.filter(|directory| self.lies_in(directory)) {
            let _ = unlinkat(directory, &*self.name, UnlinkatFlags::NoRemoveDir);
        }
        let (tell, told) = mpsc::sync_channel::<Arc<OwnedFd>>(1);
        match on_a_thread(move || drop(told.recv())) {
            Ok(()) => drop(tell.send(self.fd)),
            Err(error) => {
                // A lost descriptor is better than a keeper that hangs.
                std::mem::forget(self.fd);
                error!(
                    "could not start a thread that closes a notify socket, which stays open: {error}"
                );
            }
        }
    }
}

/// A socket for the next image of this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedSocket {
    fd: Number,
    place: Place,
    name: String,
    path: PathBuf,
    id: (u64, u64),
}

impl Socket {
    /// For the next image of this process: no thread is taking a message away.
    pub(crate) fn saved<'a>(&'a self, keeping: &mut Keeping<'a>) -> SavedSocket {
        SavedSocket {
            fd: keeping.keep(&*self.fd),
            place: self.place,
            name: self.name.clone(),
            path: self.path.clone(),
            id: self.id,
        }
    }

    /// The socket of an earlier image of this process.
    pub(crate) fn resume(saved: SavedSocket, inherited: &mut Inherited) -> io::Result<Self> {
        Ok(Self {
            fd: Arc::new(inherited.take(saved.fd)?),
            place: saved.place,
            name: saved.name,
            path: saved.path,
            id: saved.id,
            busy: Arc::default(),
            waits_for_thread: Cell::default(),
            aside: Arc::default(),
        })
    }
}

/// Whether threads are at work that may hang, of this process's sockets: an exec would wait for
/// them.
pub(crate) fn threads_work() -> bool {
    THREADS.load(Ordering::Acquire) > 0
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn on_a_thread(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new()
        .name("notify".to_owned())
        .stack_size(STACK_BYTES);
    let work = move || {
        // Signals are the keeper's main thread's to take.
        let _ = SigSet::all().thread_block();
        work();
        THREADS.fetch_sub(1, Ordering::AcqRel);
    };
    THREADS.fetch_add(1, Ordering::AcqRel);
    let started = thread.spawn(work);
    if started.is_err() {
        THREADS.fetch_sub(1, Ordering::AcqRel);
    }
    started.map(drop)
}
