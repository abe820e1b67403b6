//! Tells which log directories have changed, also those that are not there yet.
//!
//! One inotify instance for all clients; a directory that several follow is watched once.

use std::{collections::BTreeMap, io, os::fd::AsFd, path::Path};

use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor},
};

/// Reads of the event queue in one turn; what is left is read in the next.
const READS_MAX: usize = 16;
/// Directories that come and go under our hands are not chased for ever.
const TRIES_MAX: usize = 8;

/// The instance and the users of each watch.
#[derive(Debug)]
pub(super) struct Watcher {
    inotify: Inotify,
    users: BTreeMap<WatchDescriptor, usize>,
}

/// A directory's watch, or that of the nearest directory above it that exists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    descriptor: WatchDescriptor,
    /// It is the directory itself.
    itself: bool,
}

/// What happened to watched directories since the last look.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Descriptors, and if the watch is no good any more.
    touched: BTreeMap<WatchDescriptor, bool>,
    /// Events were lost: anything may have changed.
    all: bool,
}

impl Watcher {
    pub(super) fn new() -> io::Result<Watcher> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        Ok(Watcher {
            inotify,
            users: BTreeMap::new(),
        })
    }

    /// Becomes readable when something has changed.
    pub(super) fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches a directory. None: it is not allowed, or the system allows no more watches.
    pub(super) fn watch(&mut self, dir: &Path) -> Option<Watch> {
        for _ in 0..TRIES_MAX {
            // The part of the path that is not there.
            let mut missing = None;
            for above in dir.ancestors() {
                match self.add(above, missing.is_none()) {
                    Ok(watch) if missing.is_none_or(|missing: &Path| !missing.exists()) => {
                        return Some(watch);
                    }
                    // Made while we were at it.
                    Ok(watch) => {
                        self.unwatch(watch);
                        break;
                    }
                    Err(Errno::ENOENT | Errno::ENOTDIR) => missing = Some(above),
                    Err(_) => return None,
                }
            }
        }
        None
    }

    fn add(&mut self, dir: &Path, itself: bool) -> Result<Watch, Errno> {
        let mut mask = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
        mask |= AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        // Another may watch it with other wishes: add to them.
        mask |= AddWatchFlags::IN_ONLYDIR | AddWatchFlags::from_bits_retain(nix::libc::IN_MASK_ADD);
        if itself {
            mask |= AddWatchFlags::IN_MODIFY;
        }
        let descriptor = self.inotify.add_watch(dir, mask)?;
        *self.users.entry(descriptor).or_insert(0) += 1;
        Ok(Watch { descriptor, itself })
    }

    /// Ends one use of a watch.
    pub(super) fn unwatch(&mut self, watch: Watch) {
        if let Some(users) = self.users.get_mut(&watch.descriptor) {
            *users -= 1;
            if *users == 0 {
                self.users.remove(&watch.descriptor);
                // It may have gone with its directory.
                let _ = self.inotify.rm_watch(watch.descriptor);
            }
        }
    }

    /// What has happened.
    pub(super) fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        let gone =
            AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_IGNORED;
        for _ in 0..READS_MAX {
            let Ok(events) = self.inotify.read_events() else {
                break;
            };
            for event in events {
                changes.all |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
                *changes.touched.entry(event.wd).or_insert(false) |= event.mask.intersects(gone);
            }
        }
        changes
    }
}

impl Changes {
    /// The directory of this watch may have changed.
    pub(super) fn touch(&self, watch: Option<Watch>) -> bool {
        self.all || watch.is_some_and(|watch| self.touched.contains_key(&watch.descriptor))
    }

    /// A better watch is needed: it was lost, or was that of a directory above.
    pub(super) fn outdate(&self, watch: Option<Watch>) -> bool {
        self.all
            || watch.is_none_or(|watch| {
                let gone = self.touched.get(&watch.descriptor);
                gone.is_some_and(|gone| *gone || !watch.itself)
            })
    }
}
