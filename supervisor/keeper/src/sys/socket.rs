//! Receiving descriptors and sender credentials, and what the kernel knows of a peer.

use std::{
    io::IoSliceMut,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    errno::Errno,
    libc,
    sys::socket::{ControlMessageOwned, MsgFlags, recvmsg},
};

/// Descriptors in one message, at most; the kernel's own limit.
const FDS_MAX: usize = 253;

/// `SO_PASSRIGHTS` of Linux 6.16, which libc does not name yet.
const SO_PASSRIGHTS: libc::c_int = 83;
/// A user's supplementary groups, at most; the kernel's own limit.
const GROUPS_MAX: usize = 65_536;
/// Room for the supplementary groups of nearly everybody.
const GROUPS_USUAL: usize = 64;

/// Result of one read from a stream.
#[derive(Debug)]
pub struct Received {
    /// Bytes read; 0 is the end of the stream.
    pub bytes: usize,
    /// Descriptors that came along; fewer than were sent if some could not be installed.
    pub fds: Option<Vec<OwnedFd>>,
}

/// Reads from a stream socket without blocking, with room for all descriptors of a message: one
/// for which there is no room would be closed inside this call, which may take as long as its
/// sender likes.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Received, Errno> {
    let mut control = nix::cmsg_space!([RawFd; FDS_MAX]);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &mut slices,
        Some(&mut control),
        flags,
    )?;
    let mut fds = message.flags.contains(MsgFlags::MSG_CTRUNC).then(Vec::new);
    // A batch that was cut may lack its header: then there is nothing to walk.
    if let Ok(all) = message.cmsgs() {
        for one in all {
            if let ControlMessageOwned::ScmRights(raw) = one {
                fds.get_or_insert_default().extend(raw.into_iter().map(own));
            }
        }
    }
    Ok(Received {
        bytes: message.bytes,
        fds,
    })
}

fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just installed this descriptor for us; nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Sender of a datagram, as the kernel vouches for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    /// Process; 0 if it is in a pid namespace that we do not see.
    pub(crate) pid: i32,
    /// Its user when it sent.
    pub(crate) uid: u32,
}

/// A datagram that has been looked at and is still in the queue.
#[derive(Debug)]
pub(crate) struct Peeked {
    /// Bytes of it that fitted.
    pub(crate) bytes: usize,
    pub(crate) sender: Option<Sender>,
    /// Whether the datagram brings descriptors, which stay in the queue with it.
    pub(crate) has_descriptors: bool,
}

/// Room for the sender's credentials and not a byte more.
const CREDENTIALS_BYTES: usize = cmsg_space(size_of::<libc::ucred>());
/// Room for those and a pidfd.
const PIDFD_BYTES: usize = CREDENTIALS_BYTES + cmsg_space(size_of::<RawFd>());
/// `SO_PASSPIDFD`.
const PASS_PIDFD: libc::c_int = 76;
/// `SCM_PIDFD`.
const SCM_PIDFD: libc::c_int = 4;

const fn cmsg_space(bytes: usize) -> usize {
    let word = size_of::<usize>();
    size_of::<libc::cmsghdr>() + bytes.next_multiple_of(word)
}

/// Control messages, aligned for their headers.
#[repr(C, align(8))]
struct Control<const BYTES: usize>([u8; BYTES]);

/// Looks at the next datagram without blocking. There is no room for a descriptor, so none is
/// installed, and none closed: the kernel only says that there are some.
pub(crate) fn peek(socket: impl AsFd, buffer: &mut [u8]) -> Result<Peeked, Errno> {
    let mut control = Control([0; CREDENTIALS_BYTES]);
    let (bytes, flags, used) = peek_with(socket, buffer, &mut control)?;
    let mut sender = None;
    walk(&control, used, |header, data| {
        let credentials = size_of::<libc::ucred>();
        if header.cmsg_type == libc::SCM_CREDENTIALS && data.len() >= credentials {
            // SAFETY: the kernel has written credentials of this length; alignment is not asked
            // for.
            let who = unsafe { data.as_ptr().cast::<libc::ucred>().read_unaligned() };
            sender = Some(Sender {
                pid: who.pid,
                uid: who.uid,
            });
        }
    });
    Ok(Peeked {
        bytes,
        sender,
        has_descriptors: flags & libc::MSG_CTRUNC != 0,
    })
}

/// A pidfd of who sent the next datagram, which must bring no descriptors; of an ended process too.
/// None where the kernel gives none (Linux before 6.5, of ended ones before 6.16).
pub(crate) fn sender_pidfd(socket: impl AsFd) -> Option<OwnedFd> {
    let mut control = Control([0; PIDFD_BYTES]);
    let fd = socket.as_fd();
    pass_pidfd(fd, true).ok()?;
    let peeked = peek_with(fd, &mut [0], &mut control);
    let _ = pass_pidfd(fd, false);
    let mut pidfd = None;
    walk(&control, peeked.ok()?.2, |header, data| {
        if header.cmsg_type == SCM_PIDFD && data.len() >= size_of::<RawFd>() {
            // SAFETY: the kernel has written an integer; alignment is not asked for.
            let raw = unsafe { data.as_ptr().cast::<RawFd>().read_unaligned() };
            pidfd = (raw >= 0).then(|| own(raw));
        }
    });
    pidfd
}

fn pass_pidfd(socket: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    let on = libc::c_int::from(on);
    // SAFETY: reads one integer.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            PASS_PIDFD,
            (&raw const on).cast(),
            INT_BYTES,
        )
    };
    Errno::result(done).map(drop)
}

/// Size of an integer option, as system calls expect it.
const INT_BYTES: libc::socklen_t = 4;

/// Bytes, flags and how much of `control` is used.
fn peek_with<const BYTES: usize>(
    socket: impl AsFd,
    buffer: &mut [u8],
    control: &mut Control<BYTES>,
) -> Result<(usize, libc::c_int, usize), Errno> {
    let mut slice = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all zeros is a valid header; the fields that matter are set.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut slice;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control.0).cast();
    // Its type depends on the C library.
    message.msg_controllen = BYTES as _;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the header's pointers are those of live buffers of the lengths given.
    let count = Errno::result(unsafe { libc::recvmsg(fd, &raw mut message, flags) })?;
    let used = length(message.msg_controllen);
    Ok((count.unsigned_abs(), message.msg_flags, used.min(BYTES)))
}

/// Lengths have different types in different C libraries.
fn length(value: impl TryInto<usize>) -> usize {
    value.try_into().unwrap_or(0)
}

/// Calls `each` for every whole control message of a socket.
fn walk<const BYTES: usize>(
    control: &Control<BYTES>,
    used: usize,
    mut each: impl FnMut(&libc::cmsghdr, &[u8]),
) {
    let head = size_of::<libc::cmsghdr>();
    let mut rest = &control.0[..used];
    while rest.len() >= head {
        // SAFETY: so many bytes are there, and all of a header's values are valid.
        let header = unsafe { rest.as_ptr().cast::<libc::cmsghdr>().read_unaligned() };
        let length = length(header.cmsg_len);
        let Some(data) = rest.get(head..length) else {
            return;
        };
        if header.cmsg_level == libc::SOL_SOCKET {
            each(&header, data);
        }
        let next = length.next_multiple_of(size_of::<usize>());
        rest = rest.get(next..).unwrap_or_default();
    }
}

/// Has the kernel refuse descriptors on this socket, and on all that it accepts from now on: who
/// sends one gets `EPERM`. `ENOPROTOOPT` before Linux 6.16.
pub(crate) fn refuse_descriptors(socket: impl AsFd) -> Result<(), Errno> {
    let off: libc::c_int = 0;
    // SAFETY: the kernel reads an int from `off`, which lives on, and keeps no pointer to it.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSRIGHTS,
            (&raw const off).cast(),
            libc::socklen_t::try_from(size_of_val(&off)).map_err(|_| Errno::EINVAL)?,
        )
    };
    Errno::result(done).map(drop)
}

/// The supplementary groups that the peer of a unix socket had when it connected.
pub fn peer_groups(socket: impl AsFd) -> Result<Vec<libc::gid_t>, Errno> {
    match peer_groups_up_to(&socket, GROUPS_USUAL) {
        Err(Errno::ERANGE) => peer_groups_up_to(&socket, GROUPS_MAX),
        done => done,
    }
}

fn peer_groups_up_to(socket: impl AsFd, count: usize) -> Result<Vec<libc::gid_t>, Errno> {
    const ONE: usize = size_of::<libc::gid_t>();
    let mut groups: Vec<libc::gid_t> = vec![0; count];
    let mut bytes = libc::socklen_t::try_from(count * ONE).map_err(|_| Errno::EINVAL)?;
    // SAFETY: `groups` has room for the `bytes` that the kernel may write, and outlives the call.
    let done = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    Errno::result(done)?;
    groups.truncate(usize::try_from(bytes).map_err(|_| Errno::EINVAL)? / ONE);
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use std::{
        io::IoSlice,
        os::{linux::net::SocketAddrExt, unix::net},
    };

    use nix::sys::socket::{ControlMessage, sendmsg, setsockopt, sockopt::PassCred};

    use super::*;

    fn pair() -> (net::UnixDatagram, net::UnixDatagram) {
        let name = format!("peek-{:?}", std::thread::current().id());
        let address = net::SocketAddr::from_abstract_name(format!("{name}-{}", std::process::id()));
        let receiver = net::UnixDatagram::bind_addr(&address.unwrap()).unwrap();
        setsockopt(&receiver, PassCred, &true).unwrap();
        let sender = net::UnixDatagram::unbound().unwrap();
        sender
            .connect_addr(&receiver.local_addr().unwrap())
            .unwrap();
        (sender, receiver)
    }

    #[test]
    fn a_peek_tells_of_descriptors_and_leaves_them_in_the_message() {
        let (sender, receiver) = pair();
        let (read, write) = nix::unistd::pipe().unwrap();
        let fds = [write.as_raw_fd()];
        let bytes = [IoSlice::new(b"BARRIER=1")];
        let rights = [ControlMessage::ScmRights(&fds)];
        sendmsg::<()>(sender.as_raw_fd(), &bytes, &rights, MsgFlags::empty(), None).unwrap();
        drop(write);
        let mut buffer = [0; 64];
        for _ in 0..2 {
            let peeked = peek(&receiver, &mut buffer).unwrap();
            assert_eq!(&buffer[..peeked.bytes], b"BARRIER=1");
            assert!(peeked.has_descriptors);
            let pid = std::process::id().cast_signed();
            assert_eq!(peeked.sender.unwrap().pid, pid);
        }
        nix::fcntl::fcntl(
            &read,
            nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
        )
        .unwrap();
        let closed = || nix::unistd::read(&read, &mut [0]);
        assert_eq!(closed(), Err(Errno::EAGAIN), "the pipe's end is open");
        nix::sys::socket::recv(receiver.as_raw_fd(), &mut [], MsgFlags::empty()).unwrap();
        assert_eq!(closed(), Ok(0), "it went with the message");
    }

    #[test]
    fn without_descriptors_there_is_a_pidfd_of_the_sender() {
        let (sender, receiver) = pair();
        sender.send(b"READY=1").unwrap();
        let peeked = peek(&receiver, &mut [0; 64]).unwrap();
        assert!(!peeked.has_descriptors);
        if let Some(pidfd) = sender_pidfd(&receiver) {
            let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()));
            assert!(
                info.unwrap()
                    .contains(&format!("Pid:\t{}", std::process::id()))
            );
        }
        assert!(!peek(&receiver, &mut [0; 64]).unwrap().has_descriptors);
    }
}
