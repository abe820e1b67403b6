//! Sources of clients: the control socket, and its successor when the socket has been made again.
//!
//! Clients that wait at the earlier socket are served first, so that no client waits in vain at a
//! file that has gone. Limits: its backlog bounds the number of clients that wait there.

use std::{collections::VecDeque, io};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
};

/// A listener, and those to come.
pub(super) struct Listeners {
    current: UnixListener,
    next: mpsc::UnboundedReceiver<std::os::unix::net::UnixListener>,
    /// Taken from one before.
    waiting: VecDeque<UnixStream>,
}

impl Listeners {
    /// Begins with `first`.
    pub(super) fn new(
        first: UnixListener,
        next: mpsc::UnboundedReceiver<std::os::unix::net::UnixListener>,
    ) -> Self {
        Self {
            current: first,
            next,
            waiting: VecDeque::new(),
        }
    }

    /// The next client. May be cancelled.
    pub(super) async fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            if let Some(stream) = self.waiting.pop_front() {
                return Ok(stream);
            }
            let next = tokio::select! {
                biased;
                Some(next) = self.next.recv() => next,
                accepted = self.current.accept() => return accepted.map(|(stream, _)| stream),
            };
            next.set_nonblocking(true)?;
            let former = std::mem::replace(&mut self.current, UnixListener::from_std(next)?);
            self.take_all(former);
        }
    }

    /// Asks the kernel: the runtime's readiness may be older than the last client.
    fn take_all(&mut self, former: UnixListener) {
        let Ok(former) = former.into_std() else {
            return;
        };
        let clients = std::iter::from_fn(|| former.accept().ok());
        for (client, _) in clients {
            let stream = client
                .set_nonblocking(true)
                .and_then(|()| UnixStream::from_std(client));
            self.waiting.extend(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn who_waits_at_the_one_before_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let bind = |name: &str| std::os::unix::net::UnixListener::bind(dir.path().join(name));
        let connect = |name: &str| std::os::unix::net::UnixStream::connect(dir.path().join(name));
        let first = bind("a").unwrap();
        first.set_nonblocking(true).unwrap();
        let (sender, next) = mpsc::unbounded_channel();
        let mut listeners = Listeners::new(UnixListener::from_std(first).unwrap(), next);
        let mut at_first = [connect("a").unwrap(), connect("a").unwrap()];
        let mut at_second = Vec::new();
        sender.send(bind("b").unwrap()).unwrap();
        at_second.push(connect("b").unwrap());
        for client in at_first.iter_mut().chain(&mut at_second) {
            let mut taken = listeners.accept().await.unwrap();
            taken.write_all(b"x").await.unwrap();
            let mut told = [0];
            std::io::Read::read_exact(client, &mut told).unwrap();
        }
        assert!(connect("a").is_err(), "nobody listens there any more");
    }
}
