//! Services with rotated files that are not compressed yet: written by the log thread, read by the
//! keeper's main thread.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::clock::now_ms;

/// Each service with the time of its last rotation. At most one entry a service.
#[derive(Debug)]
pub(super) struct Rotations {
    last: Mutex<BTreeMap<String, u64>>,
    /// Readable from the first entry on, so that a flood of rotations wakes the keeper once.
    waker: EventFd,
}

impl Rotations {
    pub(super) fn new() -> io::Result<Rotations> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Rotations {
            last: Mutex::default(),
            waker: EventFd::from_value_and_flags(0, flags)?,
        })
    }

    pub(super) fn waker(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }

    /// Clears the readiness: the caller takes the services later, by a timer.
    pub(super) fn heard(&self) {
        let _ = self.waker.read();
    }

    pub(super) fn add(&self, service: &str) {
        self.add_at(service, now_ms());
    }

    /// Every service, with the time of its last rotation.
    pub(super) fn all(&self) -> BTreeMap<String, u64> {
        self.last().clone()
    }

    pub(super) fn add_at(&self, service: &str, at_ms: u64) {
        let mut last = self.last();
        if last.is_empty() {
            let _ = self.waker.write(1);
        }
        match last.get_mut(service) {
            Some(at) => *at = at_ms,
            None => drop(last.insert(service.to_owned(), at_ms)),
        }
    }

    /// Returns all services. Those with a rotation at or after `since_ms` stay in the list; the
    /// flag says whether there are any.
    pub(super) fn take(&self, since_ms: u64) -> (Vec<String>, bool) {
        let mut last = self.last();
        let all = last.keys().cloned().collect();
        last.retain(|_, at| *at >= since_ms);
        (all, !last.is_empty())
    }

    fn last(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_once_until_all_is_taken_and_keeps_the_young() {
        let rotations = Rotations::new().unwrap();
        rotations.add("a");
        rotations.add("b");
        rotations.add("a");
        assert_eq!(rotations.waker.read(), Ok(1));
        let all = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(rotations.take(0), (all.clone(), true));
        rotations.add("a");
        rotations.waker.read().unwrap_err();
        assert_eq!(rotations.take(now_ms() + 1), (all, false));
        assert_eq!(rotations.take(0), (vec![], false));
    }
}
