//! Receiving descriptors and sender credentials, and what the kernel knows of a peer.

use std::{
    io::IoSliceMut,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
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

/// What one read from a stream brought.
#[derive(Debug)]
pub struct Received {
    /// Bytes read; 0 is the end of the stream.
    pub bytes: usize,
    /// A batch of descriptors came along; it is short if some could not be installed.
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

/// Who sent a datagram, as the kernel vouches for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    /// Process; 0 if it is in a pid namespace that we do not see.
    pub(crate) pid: i32,
    /// Its user when it sent.
    pub(crate) uid: u32,
}

/// Reads one datagram and its sender. Descriptors in it (BARRIER=1) are closed at once.
pub(crate) fn receive_from(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> Result<(usize, Option<Sender>), Errno> {
    let mut control = nix::cmsg_space!(libc::ucred, [RawFd; FDS_MAX]);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &mut slices,
        Some(&mut control),
        flags,
    )?;
    let mut sender = None;
    if let Ok(all) = message.cmsgs() {
        for one in all {
            match one {
                ControlMessageOwned::ScmRights(raw) => raw.into_iter().map(own).for_each(drop),
                ControlMessageOwned::ScmCredentials(who) => {
                    sender = Some(Sender {
                        pid: who.pid(),
                        uid: who.uid(),
                    });
                }
                _ => {}
            }
        }
    }
    Ok((message.bytes, sender))
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
