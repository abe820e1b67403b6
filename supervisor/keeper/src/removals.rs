//! Detects possible removals of files in the keeper's directories, by the one inotify of the
//! keeper.
//!
//! An event only triggers a look (`places`); the look finds the missing files.
//!
//! Limits: a directory further up that is moved or mounted over causes no event. Without inotify
//! (all instances of the user are in use), a missing file is found when it is needed: by a run that
//! cannot write its record, by the next run that wants its notify socket, or on SIGHUP.

use std::{
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use nix::{
    libc,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor},
};

use crate::stderr_log::warning;

/// The directory itself is removed or moved away.
const ITSELF: AddWatchFlags = AddWatchFlags::IN_DELETE_SELF.union(AddWatchFlags::IN_MOVE_SELF);
/// An entry of the directory is removed or replaced.
const ENTRIES: AddWatchFlags = AddWatchFlags::IN_DELETE
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO);

/// Scope of a watch on a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// Removal of the directory itself.
    Itself,
    /// Also removal and replacement of its entries.
    Entries,
    /// Also removal of its entries; replacement is not reported, for files of others come and go
    /// here.
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
            warning!(
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

    /// Discards all events so far.
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
        // A directory that is already watched has one watch for both scopes.
        let both = AddWatchFlags::from_bits_retain(libc::IN_MASK_ADD);
        let what = what | both | AddWatchFlags::IN_ONLYDIR;
        let watch = self.inotify.as_ref()?.add_watch(dir, what);
        watch.ok().map(Watch)
    }

    /// Removes the watch of a directory that has been moved away. The watch of a deleted directory
    /// has gone by itself.
    pub(crate) fn unwatch(&self, Watch(watch): Watch) {
        let _ = self.inotify.as_ref().map(|it| it.rm_watch(watch));
    }
}
