//! The link to the keeper as the event loop watches it: by edges, and for room only while something
//! waits to be written.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use keeper::{
    link::{Link, LinkError},
    message::Notice,
};
use tokio::io::{Interest, unix::AsyncFd};

/// What the keeper says, each with the descriptors that came along.
pub(in crate::control) type Messages = Vec<(Notice, Vec<OwnedFd>)>;

/// The link to the keeper, and tokio's view of when it is worth a look.
pub(in crate::control) struct Wire {
    pub(in crate::control) link: Link,
    /// Duplicates of the link's socket: tokio watches them, the link reads and writes. Two separate
    /// ones, since a watch on both directions would wake up whenever the keeper has read something.
    readable: AsyncFd<OwnedFd>,
    /// Present only while something waits to be written.
    writable: Option<AsyncFd<OwnedFd>>,
}

impl Wire {
    pub(in crate::control) fn new(link: Link) -> io::Result<Self> {
        let readable = watch(&link, Interest::READABLE)?;
        Ok(Self {
            link,
            readable,
            writable: None,
        })
    }

    /// Waits until there is something to read, or room for what waits to be written.
    pub(in crate::control) async fn ready(&self) -> io::Result<()> {
        let Some(writable) = &self.writable else {
            return self.readable.readable().await.map(drop);
        };
        tokio::select! {
            ready = self.readable.readable() => ready.map(drop),
            ready = writable.writable() => ready.map(drop),
        }
    }

    /// Writes what waits and reads what has arrived.
    pub(in crate::control) fn exchange(&mut self) -> Result<Messages, LinkError> {
        self.flush()?;
        let received = self.link.recv();
        if self.link.drained() {
            used_up(&self.readable, Interest::READABLE);
        }
        received
    }

    /// Writes what the socket takes, and watches for room if something is left.
    pub(in crate::control) fn flush(&mut self) -> io::Result<()> {
        if self.link.flush()? {
            self.writable = None;
        } else if let Some(writable) = &self.writable {
            used_up(writable, Interest::WRITABLE);
        } else {
            // A new watch starts from the socket's present state.
            self.writable = Some(watch(&self.link, Interest::WRITABLE)?);
        }
        Ok(())
    }
}

/// A duplicate of the link's socket that tokio watches.
#[expect(
    deprecated,
    reason = "its successor is unsafe, for a type that changes its descriptor; an OwnedFd does not"
)]
fn watch(link: &Link, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(link.as_fd().try_clone_to_owned()?, interest)
}

/// Tells tokio that the socket is drained, so that tokio waits for the next edge.
fn used_up(watched: &AsyncFd<OwnedFd>, interest: Interest) {
    let _ = watched.try_io(interest, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
}
