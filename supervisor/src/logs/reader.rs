//! The thread that reads logs for all clients.
//!
//! It sleeps until a file that somebody follows changes, a client comes or leaves, or one that had
//! no room has some again. A turn gives each client a bounded number of lines.

use std::{
    io,
    os::fd::AsFd,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use api::LogLine;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::{EfdFlags, EventFd},
};
use tokio::{
    runtime::Handle,
    sync::mpsc::{Sender, error::TrySendError},
};

use super::{
    CLIENTS_MAX, Query,
    cursor::{Cursor, Line},
    marker,
    watch::{Changes, Watch, Watcher},
};

/// Lines for one client in one turn.
const TURN_LINES: usize = 128;

/// What the thread and those who ask share.
#[derive(Debug)]
pub(super) struct Shared {
    new: Mutex<Vec<Client>>,
    bell: EventFd,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Vec<Client>> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        // EAGAIN: rung very often and not yet heard; it will be.
        let _ = self.bell.write(1);
    }
}

/// One who asked.
#[derive(Debug)]
struct Client {
    query: Query,
    sender: Sender<LogLine>,
    runtime: Handle,
    sources: Vec<Source>,
    /// The channel is full, and a task rings when it no longer is.
    full: bool,
}

/// A service's log, as one client reads it.
#[derive(Debug)]
struct Source {
    service: String,
    dir: PathBuf,
    cursor: Cursor,
    head: Option<Line>,
    /// Stamp of the line read last, for those that have none.
    at: String,
    /// Lines that are still wanted.
    left: usize,
    /// At the end, until its directory changes.
    idle: bool,
    watch: Option<Watch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pumped {
    /// There may be more at once.
    More,
    /// All that there is has been sent.
    Drained,
    /// Nobody takes it.
    Full,
    /// The receiver is gone.
    Gone,
}

/// Starts the thread.
pub(super) fn start() -> io::Result<Arc<Shared>> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let bell = EventFd::from_value_and_flags(0, flags)?;
    let shared = Arc::new(Shared {
        new: Mutex::new(Vec::new()),
        bell,
    });
    let watcher = Watcher::new()?;
    let own = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("log reader".to_owned())
        .spawn(move || run(&own, watcher))?;
    Ok(shared)
}

/// Hands over a query.
pub(super) fn add(shared: &Arc<Shared>, query: Query, sender: Sender<LogLine>) {
    let runtime = Handle::current();
    if query.follow {
        // One who leaves while nothing is written would else be noticed only with the next line.
        let (shared, sender) = (Arc::clone(shared), sender.clone());
        runtime.spawn(async move {
            sender.closed().await;
            shared.ring();
        });
    }
    shared.waiting().push(Client {
        query,
        sender,
        runtime,
        sources: Vec::new(),
        full: false,
    });
    shared.ring();
}

fn run(shared: &Arc<Shared>, mut watcher: Watcher) {
    let mut clients: Vec<Client> = Vec::new();
    let mut more = false;
    loop {
        let timeout = if more {
            PollTimeout::ZERO
        } else {
            PollTimeout::NONE
        };
        let mut fds = [
            PollFd::new(shared.bell.as_fd(), PollFlags::POLLIN),
            PollFd::new(watcher.as_fd(), PollFlags::POLLIN),
        ];
        // EINTR: a look too much.
        let _ = poll(&mut fds, timeout);
        let rung = shared.bell.read().is_ok();
        if rung {
            clients.retain_mut(|client| {
                let stay = !client.sender.is_closed();
                if !stay {
                    client.close(&mut watcher);
                }
                stay
            });
            let new = std::mem::take(&mut *shared.waiting());
            for mut client in new.into_iter().filter(|client| !client.sender.is_closed()) {
                if clients.len() < CLIENTS_MAX {
                    client.open(&mut watcher);
                    clients.push(client);
                } else {
                    let said = format!(
                        "more than {CLIENTS_MAX} clients read logs; end some and try again"
                    );
                    let _ = client.sender.try_send(marker("", &said));
                }
            }
        }
        let changes = watcher.changes();
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
                Pumped::Drained => client.query.follow && !client.sender.is_closed(),
                Pumped::Gone => false,
            };
            if !stay {
                client.close(&mut watcher);
            }
            stay
        });
    }
}

impl Client {
    /// Finds the places to begin at.
    fn open(&mut self, watcher: &mut Watcher) {
        for (service, dir) in std::mem::take(&mut self.query.services) {
            // Watched before it is read: what is written in between is seen twice, and not missed.
            let watch = if self.query.follow {
                watcher.watch(&dir)
            } else {
                None
            };
            if self.query.follow && watch.is_none() {
                let said =
                    "cannot follow: no more inotify watches; see fs.inotify.max_user_watches";
                let _ = self.sender.try_send(marker(&service, said));
            }
            self.sources.push(Source {
                cursor: Cursor::before_last(&dir, self.query.lines),
                service,
                dir,
                head: None,
                at: String::new(),
                left: if self.query.follow {
                    usize::MAX
                } else {
                    self.query.lines
                },
                idle: false,
                watch,
            });
        }
    }

    fn close(&mut self, watcher: &mut Watcher) {
        for source in &mut self.sources {
            if let Some(watch) = source.watch.take() {
                watcher.unwatch(watch);
            }
        }
    }

    /// Wakes the logs whose directories have changed.
    fn notice(&mut self, changes: &Changes, watcher: &mut Watcher) {
        for source in &mut self.sources {
            if self.query.follow && changes.outdate(source.watch) {
                let old = source.watch.take();
                source.watch = watcher.watch(&source.dir);
                if let Some(old) = old {
                    watcher.unwatch(old);
                }
                source.idle = false;
            }
            if changes.touch(source.watch) {
                source.idle = false;
            }
        }
    }

    /// Sends what there is, oldest first.
    fn pump(&mut self) -> Pumped {
        if self.full && self.sender.capacity() == 0 && !self.sender.is_closed() {
            return Pumped::Full;
        }
        self.full = false;
        for _ in 0..TURN_LINES {
            let permit = match self.sender.try_reserve() {
                Ok(permit) => permit,
                Err(TrySendError::Full(())) => return Pumped::Full,
                Err(TrySendError::Closed(())) => return Pumped::Gone,
            };
            for source in &mut self.sources {
                source.fill();
            }
            let waiting = self
                .sources
                .iter_mut()
                .filter(|source| source.head.is_some());
            let Some(source) = waiting.min_by(|a, b| a.at.cmp(&b.at)) else {
                return Pumped::Drained;
            };
            if let Some(Line { at, text, marker }) = source.head.take() {
                permit.send(LogLine {
                    file: None,
                    service: source.service.clone(),
                    at,
                    text,
                    marker,
                });
            }
        }
        Pumped::More
    }

    /// Rings when there is room in the channel, or the client has gone.
    fn await_room(&mut self, shared: &Arc<Shared>) {
        if !self.full {
            self.full = true;
            let (shared, sender) = (Arc::clone(shared), self.sender.clone());
            self.runtime.spawn(async move {
                // Either way it is looked at again.
                let _ = sender.reserve().await.is_ok();
                shared.ring();
            });
        }
    }
}

impl Source {
    /// Reads the next line, unless there is one or all have been sent.
    fn fill(&mut self) {
        if self.head.is_none() && !self.idle && self.left > 0 {
            self.head = self.cursor.next_line();
            match &self.head {
                Some(line) => {
                    self.left -= 1;
                    if !line.at.is_empty() {
                        self.at.clone_from(&line.at);
                    }
                }
                None => self.idle = true,
            }
        }
    }
}
