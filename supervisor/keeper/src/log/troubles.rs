//! Logs that cannot be written or rotated: noted by the log thread, reported by the keeper's main
//! thread.
//!
//! Limit: one entry a service. While lines are being lost, it is renewed once in [`RENEW_US`] at
//! most.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::message::LogTrouble;

/// Shortest time between two reports of lost lines, in microseconds.
const RENEW_US: i64 = 1_000_000;

/// The trouble of each service, and which services have changed.
#[derive(Debug)]
pub(super) struct Troubles {
    known: Mutex<Known>,
    waker: EventFd,
}

#[derive(Debug, Default)]
struct Known {
    now: BTreeMap<String, LogTrouble>,
    changed: BTreeSet<String>,
}

impl Troubles {
    pub(super) fn new() -> io::Result<Troubles> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Troubles {
            known: Mutex::default(),
            waker: EventFd::from_value_and_flags(0, flags)?,
        })
    }

    /// Becomes readable when a trouble has changed.
    pub(super) fn waker(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }

    fn put(&self, service: &str, trouble: Option<LogTrouble>) {
        let mut known = self.known();
        match trouble {
            Some(trouble) => drop(known.now.insert(service.to_owned(), trouble)),
            None => drop(known.now.remove(service)),
        }
        known.changed.insert(service.to_owned());
        let _ = self.waker.write(1);
    }

    /// Present state of the services that have changed since the last call.
    pub(super) fn take_changed(&self) -> Vec<(String, Option<LogTrouble>)> {
        let _ = self.waker.read();
        let mut known = self.known();
        let changed = std::mem::take(&mut known.changed).into_iter();
        let with = changed.map(|service| {
            let trouble = known.now.get(&service).cloned();
            (service, trouble)
        });
        with.collect()
    }

    /// Notes a trouble that has been reported already.
    pub(super) fn know(&self, service: &str, trouble: LogTrouble) {
        self.known().now.insert(service.to_owned(), trouble);
    }

    /// All present troubles.
    pub(super) fn all(&self) -> Vec<(String, LogTrouble)> {
        let known = self.known();
        let all = known.now.iter();
        all.map(|(service, it)| (service.clone(), it.clone()))
            .collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The trouble of one log that was last reported.
#[derive(Debug, Default)]
pub(super) struct Told {
    trouble: Option<LogTrouble>,
    at_us: i64,
}

impl Told {
    /// Continues from a report of another log thread.
    pub(super) fn of(trouble: Option<LogTrouble>) -> Self {
        Self { trouble, at_us: 0 }
    }

    /// The last report.
    pub(super) fn trouble(&self) -> Option<LogTrouble> {
        self.trouble.clone()
    }

    /// Notes the present state of the log, if it differs from the last report.
    pub(super) fn update(
        &mut self,
        troubles: &Troubles,
        service: &str,
        now_us: i64,
        trouble: Option<LogTrouble>,
    ) {
        if self.trouble == trouble {
            return;
        }
        let kind = |it: &Option<LogTrouble>| it.as_ref().map(std::mem::discriminant);
        if kind(&self.trouble) == kind(&trouble) && now_us < self.at_us + RENEW_US {
            return;
        }
        troubles.put(service, trouble.clone());
        (self.trouble, self.at_us) = (trouble, now_us);
    }
}
