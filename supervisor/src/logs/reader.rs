//! The thread that reads logs for all clients.
//!
//! The thread sleeps until a followed file changes, a client comes or leaves, or a client that had
//! no room has room again; where the system does not report changes, the thread looks every
//! [`POLL_EVERY`]. A turn gives each client a bounded number of lines, read from a bounded number
//! of bytes.

use std::{
    io,
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::{EfdFlags, EventFd},
};

use super::{
    client::{Client, Pumped},
    watch::{Changes, Watcher},
};

/// Interval of looks at files that the kernel does not report changes of.
pub(super) const POLL_EVERY: Duration = Duration::from_secs(1);

/// State that the reader thread and its callers share.
#[derive(Debug)]
pub(super) struct Shared {
    new: Mutex<Vec<Client>>,
    bell: EventFd,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Vec<Client>> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ring(&self) {
        // EAGAIN: rung very often and not yet heard; it will be.
        let _ = self.bell.write(1);
    }
}

/// Starts the thread.
pub(super) fn start() -> io::Result<Arc<Shared>> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let bell = EventFd::from_value_and_flags(0, flags)?;
    let shared = Arc::new(Shared {
        new: Mutex::new(Vec::new()),
        bell,
    });
    let own = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("log reader".to_owned())
        .spawn(move || run(&own))?;
    Ok(shared)
}

/// Hands over a client.
pub(super) fn add(shared: &Arc<Shared>, client: Client) {
    // Without this a client that leaves would be noticed only with the next line.
    let (own, sender) = (Arc::clone(shared), client.sender.clone());
    if client.follows() {
        tokio::spawn(async move {
            sender.closed().await;
            own.ring();
        });
    }
    shared.waiting().push(client);
    shared.ring();
}

fn run(shared: &Arc<Shared>) {
    let mut watcher = Watcher::new();
    let mut clients: Vec<Client> = Vec::new();
    let mut more = false;
    let mut looked = Instant::now();
    loop {
        let polls = clients.iter().any(Client::polls);
        let timeout = match (more, polls) {
            (true, _) => PollTimeout::ZERO,
            (false, true) => PollTimeout::try_from(POLL_EVERY.saturating_sub(looked.elapsed()))
                .unwrap_or(PollTimeout::ZERO),
            (false, false) => PollTimeout::NONE,
        };
        wait(shared, &watcher, timeout);
        if shared.bell.read().is_ok() {
            clients.retain_mut(|client| {
                let stay = !client.sender.is_closed();
                if !stay {
                    client.close(&mut watcher);
                }
                stay
            });
            let new = std::mem::take(&mut *shared.waiting());
            for mut client in new.into_iter().filter(|client| !client.sender.is_closed()) {
                client.open(&mut watcher);
                clients.push(client);
            }
        }
        let mut changes = watcher.changes();
        if polls && looked.elapsed() >= POLL_EVERY {
            changes = Changes::unknown();
            looked = Instant::now();
        }
        more = false;
        clients.retain_mut(|client| {
            client.notice(&changes, &mut watcher);
            let pumped = client.pump();
            more |= pumped == Pumped::More;
            if pumped == Pumped::Full {
                client.await_room(shared);
            }
            let stay = match pumped {
                Pumped::More | Pumped::Full => true,
                Pumped::Drained => client.follows() && !client.sender.is_closed(),
                Pumped::Gone => false,
            };
            if !stay {
                client.close(&mut watcher);
            }
            stay
        });
    }
}

/// Waits for the bell, or for something that is watched.
fn wait(shared: &Shared, watcher: &Watcher, timeout: PollTimeout) {
    let fds = [Some(shared.bell.as_fd()), watcher.as_fd()];
    let fds = fds.into_iter().flatten();
    let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    // EINTR: a look too much.
    let _ = poll(&mut fds, timeout);
}
