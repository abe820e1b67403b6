//! Bytes written to each log and lines lost: counted by the log thread, read by the main thread.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::message::LogStats;

/// Counts of one log. The two counts are independent, so relaxed ordering suffices.
#[derive(Debug, Default)]
pub(super) struct Counts {
    written_bytes: AtomicU64,
    lost_lines: AtomicU64,
}

impl Counts {
    /// Counts a batch that was written, or dropped.
    pub(super) fn add(&self, written_bytes: u64, lost_lines: u64) {
        self.written_bytes.fetch_add(written_bytes, Relaxed);
        if lost_lines > 0 {
            self.lost_lines.fetch_add(lost_lines, Relaxed);
        }
    }
}

/// Counts of all logs, by service.
#[derive(Debug, Default)]
pub(super) struct AllCounts(Mutex<BTreeMap<String, Arc<Counts>>>);

impl AllCounts {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Counts>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts of this service; they continue when its log is opened again.
    pub(super) fn of(&self, service: &str) -> Arc<Counts> {
        let mut all = self.all();
        match all.get(service) {
            Some(known) => Arc::clone(known),
            None => Arc::clone(all.entry(service.to_owned()).or_default()),
        }
    }

    /// Drops the counts of a service that is gone.
    pub(super) fn forget(&self, service: &str) {
        self.all().remove(service);
    }

    /// The counts as they are now.
    pub(super) fn read(&self) -> Vec<LogStats> {
        let all = self.all();
        let each = all.iter().map(|(service, counts)| LogStats {
            service: service.clone(),
            bytes: counts.written_bytes.load(Relaxed),
            dropped_lines: counts.lost_lines.load(Relaxed),
        });
        each.collect()
    }
}
