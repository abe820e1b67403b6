//! Descriptors that the loop waits for, each with the [`Source`] of its events.
//!
//! Owner: the one epoll of the keeper. Invariant: an event carries the number of a source and never
//! a descriptor, so a late event leads to a look-up that finds nothing, and not to another file.

use std::{io, os::fd::AsFd, sync::Arc};

use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};

use crate::{message::RunId, stderr_log::error};

/// Events taken in one turn.
const EVENTS_PER_TURN: usize = 64;

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Signals,
    Link,
    /// The link of a control process that is to take over.
    Successor,
    /// Number of a service.
    Notify(u64),
    /// Something of the keeper's directories has been removed.
    Removal,
    /// The pipe on which a run reports that it is ready.
    Ready(RunId),
    Output(RunId),
    /// A main process that is not our child.
    Main(RunId),
    /// The log thread has rotated files.
    Rotated,
    /// A client has connected to the control socket.
    Client,
    /// The state of a log has changed.
    LogTroubles,
    /// A program that is to replace the keeper's own answers.
    Trial,
}

const KIND_SHIFT: u32 = 56;
const VALUE_MASK: u64 = (1 << KIND_SHIFT) - 1;

impl Source {
    fn token(self) -> u64 {
        let (kind, value) = match self {
            Self::Signals => (0, 0),
            Self::Link => (1, 0),
            Self::Notify(number) => (2, number),
            Self::Ready(run) => (3, run),
            Self::Output(run) => (4, run),
            Self::Main(run) => (5, run),
            Self::Rotated => (6, 0),
            Self::Successor => (7, 0),
            Self::Client => (9, 0),
            Self::Removal => (8, 0),
            Self::LogTroubles => (10, 0),
            Self::Trial => (11, 0),
        };
        kind << KIND_SHIFT | value & VALUE_MASK
    }

    fn from_token(token: u64) -> Option<Self> {
        let value = token & VALUE_MASK;
        Some(match token >> KIND_SHIFT {
            0 => Self::Signals,
            1 => Self::Link,
            2 => Self::Notify(value),
            3 => Self::Ready(value),
            4 => Self::Output(value),
            5 => Self::Main(value),
            6 => Self::Rotated,
            7 => Self::Successor,
            9 => Self::Client,
            8 => Self::Removal,
            10 => Self::LogTroubles,
            11 => Self::Trial,
            _ => return None,
        })
    }
}

/// The one epoll.
#[derive(Debug)]
pub(crate) struct Poller {
    /// Shared with threads that take messages away.
    epoll: Arc<Epoll>,
}

impl Poller {
    /// An epoll that watches nothing yet.
    pub(crate) fn new() -> Result<Self, Errno> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self {
            epoll: Arc::new(epoll),
        })
    }

    /// Waits for events; returns their sources. `EINTR` after a stop.
    pub(crate) fn wait(&self, timeout: EpollTimeout) -> Result<Vec<Source>, Errno> {
        let mut events = [EpollEvent::empty(); EVENTS_PER_TURN];
        let count = self.epoll.wait(&mut events, timeout)?;
        let sources = events[..count].iter();
        Ok(sources
            .filter_map(|event| Source::from_token(event.data()))
            .collect())
    }

    /// Watches a descriptor for reading. A failure (no memory, too many watches) is logged; the
    /// missed events show at the exit of the process.
    pub(crate) fn watch(&self, fd: impl AsFd, source: Source) {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, source.token());
        if let Err(error) = self.epoll.add(fd, event) {
            error!("could not watch {source:?}: {error}");
        }
    }

    /// Stops watching. Needed before a duplicated descriptor is dropped.
    pub(crate) fn unwatch(&self, fd: impl AsFd) {
        let _ = self.epoll.delete(fd);
    }

    /// Changes whether a watched descriptor is also watched for writing.
    pub(crate) fn watch_for(&self, fd: impl AsFd, source: Source, writing: bool) {
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLOUT, writing);
        let mut event = EpollEvent::new(flags, source.token());
        if let Err(error) = self.epoll.modify(fd, &mut event) {
            error!("could not watch the link: {error}");
        }
    }

    /// Watches a descriptor for one event, also if it has been watched before.
    pub(crate) fn watch_once(&self, fd: impl AsFd, source: Source) -> Result<(), Errno> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
        let mut event = EpollEvent::new(flags, source.token());
        match self.epoll.modify(&fd, &mut event) {
            Err(Errno::ENOENT) => self.epoll.add(fd, event),
            known => known,
        }
    }

    /// Stops watching a descriptor; the returned value resumes the watch from any thread.
    pub(crate) fn pause(&self, fd: impl AsFd, source: Source) -> io::Result<Paused> {
        let mut nothing = EpollEvent::new(EpollFlags::empty(), source.token());
        self.epoll.modify(fd, &mut nothing)?;
        Ok(Paused {
            epoll: Arc::clone(&self.epoll),
            source,
        })
    }
}

/// A descriptor whose watch is suspended.
#[derive(Debug)]
pub(crate) struct Paused {
    epoll: Arc<Epoll>,
    source: Source,
}

impl Paused {
    /// Watches the descriptor for reading again. No effect if the epoll no longer has the
    /// descriptor.
    pub(crate) fn resume(self, fd: impl AsFd) {
        let mut event = EpollEvent::new(EpollFlags::EPOLLIN, self.source.token());
        let _ = self.epoll.modify(fd, &mut event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_tokens_are_told_apart() {
        let all = [
            Source::Signals,
            Source::Link,
            Source::Notify(3),
            Source::Ready(3),
            Source::Output(3),
            Source::Main(u64::from(u32::MAX) + 7),
            Source::Rotated,
            Source::Successor,
            Source::Client,
            Source::Removal,
            Source::LogTroubles,
            Source::Trial,
        ];
        for source in all {
            assert_eq!(Source::from_token(source.token()), Some(source));
        }
        assert_eq!(Source::from_token(u64::MAX), None);
    }
}
