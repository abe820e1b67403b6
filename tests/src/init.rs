//! The init of a site: takes the supervisor's messages to `NOTIFY_SOCKET`.

use std::{
    os::unix::net::UnixDatagram,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// A notify socket and the messages that have come. Dropping the value ends its thread.
pub(crate) struct Init {
    socket: Arc<UnixDatagram>,
    messages: Arc<Mutex<Vec<String>>>,
}

impl Init {
    /// Binds the socket, and reads it on a thread: promptly, as an init does, so that the queue
    /// does not fill.
    pub(crate) fn bind(path: &Path) -> Self {
        let socket = Arc::new(UnixDatagram::bind(path).expect("a socket can be made"));
        let messages = Arc::<Mutex<Vec<String>>>::default();
        let (from, into) = (Arc::clone(&socket), Arc::clone(&messages));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.recv(&mut buffer) {
                let message = String::from_utf8_lossy(&buffer[..count]).into_owned();
                into.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(message);
            }
        });
        Self { socket, messages }
    }

    /// The messages since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}
