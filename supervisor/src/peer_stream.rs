//! A connection by a unix socket, which descriptors that the peer sends along cannot hold up: of a
//! client to the control socket, or of a probe to a service's.
//!
//! Closing a descriptor may take as long as its sender likes (a TCP socket with `SO_LINGER` and
//! unsent data, a file of a file server that does not answer). From Linux 6.16 on the keeper's
//! listener has the kernel refuse them; before, three roads lead to such a close, and none may be
//! taken on a thread that serves or asks others too:
//! - a read without room for the descriptors: each read here has room for all of one message;
//! - a read past an urgent byte that is not read itself: `SO_OOBINLINE` makes it one of the others;
//! - closing a connection with something unread in it: then the connection itself is dangerous.
//!
//! What is dangerous goes to a thread that may hang. From [`UNCLOSED_MAX`] descriptors on, nobody
//! but the owner can connect to the control socket (`control/runs/socket_groups.rs`) and no probe
//! asks, so that there are at most that many and those of one message for each connection that
//! there is by then.

use std::{
    io,
    net::Shutdown,
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Sender, channel},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use nix::sys::socket::{
    getsockopt, setsockopt,
    sockopt::{OobInline, PeerCredentials},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::UnixStream,
    sync::watch,
};

/// Most bytes that one read takes.
const READ_BYTES_MAX: usize = 16 << 10;
/// Descriptors that may wait to be closed before no more connections are made.
pub(crate) const UNCLOSED_MAX: usize = 1024;
/// Shortest time between two log lines that name a sender of descriptors.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Closes what may take long, on a thread that is started when it is needed first.
#[derive(Clone)]
pub(crate) struct Closer(Arc<Closing>);

struct Closing {
    /// The socket that the descriptors were sent to, for the log.
    place: &'static str,
    queue: OnceLock<Sender<Vec<OwnedFd>>>,
    /// Descriptors in the queue and in the thread's hands.
    unclosed: watch::Sender<usize>,
    warned: Mutex<Option<Instant>>,
}

impl Closer {
    /// `place`: where descriptors come in, for the log. `unclosed` counts those that are not closed
    /// yet.
    pub(crate) fn new(place: &'static str, unclosed: watch::Sender<usize>) -> Self {
        Self(Arc::new(Closing {
            place,
            queue: OnceLock::new(),
            unclosed,
            warned: Mutex::default(),
        }))
    }

    /// So many wait that no more connections are to be made.
    pub(crate) fn is_full(&self) -> bool {
        *self.0.unclosed.borrow() >= UNCLOSED_MAX
    }

    fn warn(&self, peer: &UnixStream) {
        let mut warned = self.0.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            *warned = Some(Instant::now());
            let who = getsockopt(peer, PeerCredentials).map_or_else(
                |_| "somebody".to_owned(),
                |peer| format!("uid {} (pid {})", peer.uid(), peer.pid()),
            );
            let place = self.0.place;
            tracing::warn!("{who} sent descriptors to {place}: the connection is closed");
        }
    }

    fn close(&self, batch: Vec<OwnedFd>) {
        let queue = self.0.queue.get_or_init(|| start(&self.0.unclosed));
        self.0.unclosed.send_modify(|count| *count += batch.len());
        if let Err(refused) = queue.send(batch) {
            // No thread could be started. A close on this thread may hang, so they stay open.
            std::mem::forget(refused);
        }
    }
}

fn start(unclosed: &watch::Sender<usize>) -> Sender<Vec<OwnedFd>> {
    let (queue, batches) = channel::<Vec<OwnedFd>>();
    let unclosed = unclosed.clone();
    let close_all = move || {
        for batch in batches {
            let count = batch.len();
            drop(batch);
            unclosed.send_modify(|all| *all -= count);
        }
    };
    let thread = std::thread::Builder::new().name("closer".to_owned());
    if let Err(error) = thread.spawn(close_all) {
        tracing::warn!("cannot start the thread that closes descriptors: {error}");
    }
    queue
}

/// A client connection that accepts no descriptors; see the module.
pub(crate) struct PeerStream {
    /// The stream; `None` only while this is dropped.
    stream: Option<UnixStream>,
    closer: Closer,
}

impl PeerStream {
    pub(crate) fn new(stream: UnixStream, closer: Closer) -> io::Result<Self> {
        let this = Self {
            stream: Some(stream),
            closer,
        };
        setsockopt(this.stream()?, OobInline, &true)?;
        Ok(this)
    }

    pub(crate) fn stream(&self) -> io::Result<&UnixStream> {
        self.stream
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn write_half(&mut self) -> io::Result<Pin<&mut UnixStream>> {
        let stream = self.stream.as_mut().map(Pin::new);
        stream.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for PeerStream {
    /// A peer that sends descriptors is hung up on: no request and no answer needs any.
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.stream()?;
        let length = buffer.remaining().min(READ_BYTES_MAX);
        if length == 0 {
            return Poll::Ready(Ok(()));
        }
        let room = buffer.initialize_unfilled_to(length);
        loop {
            ready!(stream.poll_read_ready(cx))?;
            let read = stream.try_io(Interest::READABLE, || {
                keeper::socket::receive(stream, room).map_err(io::Error::from)
            });
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(received) => {
                    if let Some(descriptors) = received.fds {
                        self.closer.warn(stream);
                        self.closer.close(descriptors);
                        let error = "the peer sent descriptors along";
                        return Poll::Ready(Err(io::Error::other(error)));
                    }
                    buffer.advance(received.bytes);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write_half()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_half()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_half()?.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_half()?.poll_write_vectored(cx, pieces)
    }
}

impl Drop for PeerStream {
    fn drop(&mut self) {
        // Only a runtime that is at its end cannot let go of it, and then the process ends too.
        let Some(Ok(stream)) = self.stream.take().map(UnixStream::into_std) else {
            return;
        };
        // Nothing can be sent from here on: what is unread now is all that there will be.
        let _ = stream.shutdown(Shutdown::Both);
        if has_unread(&stream) {
            self.closer.close(vec![stream.into()]);
        }
    }
}

/// Whether bytes wait, with which descriptors may have come. Yes if the kernel does not say.
fn has_unread(stream: impl AsFd) -> bool {
    rustix::io::ioctl_fionread(stream).map_or(true, |bytes| bytes > 0)
}
