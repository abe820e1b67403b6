//! Sockets and locks that the keeper has made again because somebody had removed them, handed over
//! while this process lives.

use std::os::{fd::OwnedFd, unix::net::UnixListener};

use keeper::message::Notice;
use tokio::sync::{mpsc, watch};

/// Sockets and locks that the keeper has made again, for those who use them.
#[derive(Debug)]
pub(super) struct Recreated {
    /// Sockets, for the server to listen on.
    listeners: mpsc::UnboundedSender<UnixListener>,
    /// Changes when the socket's file is another one.
    reopened: watch::Sender<()>,
    /// Locks, held open: they are ours as long as this process lives.
    locks: Vec<OwnedFd>,
}

impl Recreated {
    /// With what the server listens on after its first one.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<UnixListener>) {
        // Unbounded, but each is a file that somebody had to remove before.
        let (listeners, next) = mpsc::unbounded_channel();
        let made = Self {
            listeners,
            reopened: watch::channel(()).0,
            locks: Vec::new(),
        };
        (made, next)
    }

    /// Changes with every new file of the socket.
    pub(super) fn reopened(&self) -> watch::Receiver<()> {
        self.reopened.subscribe()
    }

    /// Takes what a notice brings, if it is of this kind; returns what it leaves.
    pub(super) fn take(&mut self, notice: &Notice, mut fds: Vec<OwnedFd>) -> Vec<OwnedFd> {
        let Notice::MadeAgain {
            listener, locks, ..
        } = notice
        else {
            return fds;
        };
        if *listener && !fds.is_empty() {
            let _ = self.listeners.send(UnixListener::from(fds.remove(0)));
            self.reopened.send_replace(());
        }
        if *locks {
            self.locks = fds;
        }
        Vec::new()
    }
}
