//! Receiving descriptors and sender credentials.

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

/// What one read from a stream brought.
pub(crate) struct Received {
    /// Bytes read; 0 is the end of the stream.
    pub(crate) bytes: usize,
    /// A batch of descriptors came along; it is short if some could not be installed.
    pub(crate) fds: Option<Vec<OwnedFd>>,
}

/// Reads from a stream socket without blocking.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Received, Errno> {
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
