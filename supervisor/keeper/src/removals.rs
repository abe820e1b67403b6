//! Tells when something may have been removed of what the keeper has made in its directories: the
//! one inotify of the keeper.
//!
//! It only says that it is time to look (`places`); what is missing is seen by looking.
//!
//! Limits: it does not tell when a directory further up is moved, or mounted over. Without inotify
//! (all instances of the user are in use) what is missing is found when it is needed: by a run that
//! cannot write its record, by the next run that wants its notify socket, or on SIGHUP.

use std::{
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use nix::{
    libc,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor},
};

use crate::stderr_log::say;

/// The directory itself is removed or moved away.
const ITSELF: AddWatchFlags = AddWatchFlags::IN_DELETE_SELF.union(AddWatchFlags::IN_MOVE_SELF);
/// So is something in it, or it is replaced.
const ENTRIES: AddWatchFlags = AddWatchFlags::IN_DELETE
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO);

/// What of a directory is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// Whether it stays where it is.
    Itself,
    /// And what lies in it: files that stay as they are.
    Entries,
    /// As before, where files come and go that are not the keeper's: what is replaced is not told.
    Deletions,
}

/// A watched directory.
#[derive(Debug)]
pub(crate) struct Watch(WatchDescriptor);

/// All watches.
#[derive(Debug)]
pub(crate) struct Removals {
    inotify: Option<Inotify>,
}

impl Removals {
    /// Watches nothing yet.
    pub(crate) fn new() -> Self {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
        if let Err(error) = &inotify {
            say!(
                "does not notice at once when something of its directories is removed: no inotify: {error}"
            );
        }
        Self {
            inotify: inotify.ok(),
        }
    }

    /// Becomes readable when something may have been removed.
    pub(crate) fn events(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Forgets what has been told so far.
    pub(crate) fn drain(&self) {
        while let Some(inotify) = &self.inotify
            && inotify.read_events().is_ok_and(|events| !events.is_empty())
        {}
    }

    /// Watches a directory, until it is gone or given to [`Self::unwatch`].
    pub(crate) fn watch(&self, dir: &Path, of: Of) -> Option<Watch> {
        let what = match of {
            Of::Itself => ITSELF,
            Of::Entries => ITSELF | ENTRIES,
            Of::Deletions => ITSELF | AddWatchFlags::IN_DELETE,
        };
        // Of a directory that is watched already there is one watch for both.
        let both = AddWatchFlags::from_bits_retain(libc::IN_MASK_ADD);
        let what = what | both | AddWatchFlags::IN_ONLYDIR;
        let watch = self.inotify.as_ref()?.add_watch(dir, what);
        watch.ok().map(Watch)
    }

    /// Of a directory that has been moved away. Of one that is deleted it has gone by itself.
    pub(crate) fn unwatch(&self, Watch(watch): Watch) {
        let _ = self.inotify.as_ref().map(|it| it.rm_watch(watch));
    }
}
