//! Reports which log directories have changed, also directories that do not exist yet.
//!
//! One inotify instance serves all clients; a directory that several clients follow is watched
//! once. Where the system gives no instance, or no watch of a directory, its followers look at
//! intervals instead, and each look asks for an instance again.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

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
    /// None: the system has none left.
    inotify: Option<Inotify>,
    users: BTreeMap<WatchDescriptor, usize>,
}

/// A directory's watch, or that of the nearest directory above it that exists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    descriptor: WatchDescriptor,
    /// The directory above that one. A directory that is deleted while we or the writer have a file
    /// open that was in it does not tell so itself: it lives on until that is closed.
    parent: Option<WatchDescriptor>,
}

/// Events of watched directories since the last look.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Events by watch descriptor.
    touched: BTreeMap<WatchDescriptor, Touch>,
    /// Events were lost: anything may have changed.
    all: bool,
}

/// Events of one directory.
#[derive(Clone, Copy, Debug, Default)]
struct Touch {
    /// Something came or went that is a directory, this one included.
    structure: bool,
    /// A name came into it.
    names: bool,
}

impl Watcher {
    pub(super) fn new() -> Watcher {
        Watcher {
            inotify: instance(),
            users: BTreeMap::new(),
        }
    }

    /// Becomes readable when something has changed.
    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Watches a directory. None: it is not allowed, or the system allows no more.
    pub(super) fn watch(&mut self, dir: &Path) -> Option<Watch> {
        if self.inotify.is_none() {
            self.inotify = instance();
        }
        for _ in 0..TRIES_MAX {
            let Some((descriptor, nearest)) = self.nearest(dir).ok()? else {
                continue;
            };
            let above = nearest.parent();
            let parent = above.and_then(|above| self.add(above, false).ok());
            // Both are still what their names say: from now on the parent tells the end of the
            // other.
            let again = self.add(nearest, nearest == dir).ok();
            self.drop_use(again);
            if again == Some(descriptor) {
                return Some(Watch { descriptor, parent });
            }
            self.drop_use(Some(descriptor));
            self.drop_use(parent);
        }
        None
    }

    /// The directory itself or the nearest above it. None: more of the path was made meanwhile.
    fn nearest<'p>(&mut self, dir: &'p Path) -> Result<Option<(WatchDescriptor, &'p Path)>, Errno> {
        // The part of the path that is not there.
        let mut missing: Option<&Path> = None;
        for above in dir.ancestors() {
            match self.add(above, missing.is_none()) {
                Ok(descriptor) if missing.is_some_and(Path::exists) => {
                    self.drop_use(Some(descriptor));
                    return Ok(None);
                }
                Ok(descriptor) => return Ok(Some((descriptor, above))),
                Err(Errno::ENOENT | Errno::ENOTDIR) => missing = Some(above),
                Err(error) => return Err(error),
            }
        }
        Err(Errno::ENOENT)
    }

    fn add(&mut self, dir: &Path, itself: bool) -> Result<WatchDescriptor, Errno> {
        let mut mask = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
        mask |= AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        // Another may watch it with other wishes: add to them.
        mask |= AddWatchFlags::IN_ONLYDIR | AddWatchFlags::from_bits_retain(nix::libc::IN_MASK_ADD);
        mask |= if itself {
            AddWatchFlags::IN_MODIFY
        } else {
            AddWatchFlags::IN_DELETE
        };
        let inotify = self.inotify.as_ref().ok_or(Errno::EMFILE)?;
        let descriptor = inotify.add_watch(dir, mask)?;
        *self.users.entry(descriptor).or_insert(0) += 1;
        Ok(descriptor)
    }

    /// Ends one use of a watch.
    pub(super) fn unwatch(&mut self, watch: Watch) {
        self.drop_use(Some(watch.descriptor));
        self.drop_use(watch.parent);
    }

    fn drop_use(&mut self, descriptor: Option<WatchDescriptor>) {
        if let Some(descriptor) = descriptor
            && let Some(users) = self.users.get_mut(&descriptor)
        {
            *users -= 1;
            if *users == 0 {
                self.users.remove(&descriptor);
                // The kernel may have removed the watch with its directory.
                let inotify = self.inotify.as_ref();
                let _ = inotify.map(|inotify| inotify.rm_watch(descriptor));
            }
        }
    }

    /// Takes the events since the last call.
    pub(super) fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        let mut other = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
        other |= AddWatchFlags::IN_IGNORED | AddWatchFlags::IN_ISDIR;
        let names = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        for _ in 0..READS_MAX {
            let events = self.inotify.as_ref().map(Inotify::read_events);
            let Some(Ok(events)) = events else {
                break;
            };
            for event in events {
                changes.all |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
                let touch = changes.touched.entry(event.wd).or_default();
                touch.structure |= event.mask.intersects(other);
                touch.names |= event.mask.intersects(names);
            }
        }
        changes
    }
}

fn instance() -> Option<Inotify> {
    Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()
}

impl Changes {
    /// Nobody has told, so anything may have changed.
    pub(super) fn unknown() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// Whether nothing has happened.
    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.touched.is_empty()
    }

    /// One of the directories of these watches may have a name more.
    pub(super) fn names(&self, watches: &[Watch]) -> bool {
        let touched = |watch: &Watch| self.touched.get(&watch.descriptor);
        let mut touched = watches.iter().filter_map(touched);
        self.all || touched.any(|touch| touch.names || touch.structure)
    }

    /// The directory of this watch may have changed.
    pub(super) fn touch(&self, watch: Option<Watch>) -> bool {
        self.all || watch.is_some_and(|watch| self.touched.contains_key(&watch.descriptor))
    }

    /// A better watch is needed: the directory, or one above it, has come or gone.
    pub(super) fn outdate(&self, watch: Option<Watch>) -> bool {
        self.all
            || watch.is_none_or(|watch| {
                let parent = watch
                    .parent
                    .is_some_and(|parent| self.touched.contains_key(&parent));
                parent
                    || self
                        .touched
                        .get(&watch.descriptor)
                        .is_some_and(|touch| touch.structure)
            })
    }
}
