//! Parks the log thread for a re-exec of the keeper, and takes up what another one had parked.

use std::{collections::BTreeMap, sync::mpsc};

use super::{
    super::{
        saved::{SavedBatch, SavedLog, SavedLogs},
        troubles::Told,
    },
    Worker,
};
use crate::bytes::Bytes;

impl Worker {
    /// Writes what is in the pipes but for unfinished lines, reports what no file has, and waits
    /// until the keeper goes on.
    pub(super) fn park(&mut self, tell: &mpsc::Sender<SavedLogs>, go_on: &mpsc::Receiver<()>) {
        for token in self.logs.keys().copied().collect::<Vec<_>>() {
            self.drain(token);
        }
        let (batches, sending) = self.forwarding.pause();
        let mut logs: BTreeMap<String, SavedLog> = self
            .logs
            .values()
            .map(|log| {
                let route = log.target.route.as_ref();
                let saved = SavedLog {
                    carry: Bytes(log.target.carry.clone()),
                    dropped: log.target.file.dropped(),
                    told: log.told.trouble(),
                    not_forwarded: route.map_or([0; 2], |route| route.untold()),
                };
                (log.service.to_string(), saved)
            })
            .collect();
        for (service, lines) in sending {
            let log = logs.entry(service).or_default();
            log.not_forwarded = log.not_forwarded.map(|count| count + lines);
        }
        let saved = SavedLogs {
            logs,
            batches,
            ..SavedLogs::default()
        };
        // Fails if the keeper waits no more; then it has dropped its end of the other channel too.
        let _ = tell.send(saved);
        let _ = go_on.recv();
        self.forwarding.go_on();
    }

    /// Takes up what another log thread had parked; each log follows when it is opened.
    pub(super) fn resume(&mut self, logs: BTreeMap<String, SavedLog>, batches: Vec<SavedBatch>) {
        self.parked = logs;
        for batch in batches {
            let Bytes(lines) = &batch.lines;
            if let Ok(mut route) = self.forwarding.route(&batch.service, batch.forward) {
                route.send(lines);
                continue;
            }
            let count = memchr::memchr_iter(b'\n', lines).count() as u64;
            let log = self.parked.entry(batch.service).or_default();
            log.not_forwarded = log.not_forwarded.map(|before| before + count);
        }
    }

    /// Takes up what was parked of a log that has just been opened.
    pub(super) fn take_up(&mut self, token: u64) {
        let Some(log) = self.logs.get_mut(&token) else {
            return;
        };
        let Some(saved) = self.parked.remove(&*log.service) else {
            return;
        };
        log.target.carry = saved.carry.0;
        log.target.file.has_dropped(saved.dropped);
        log.told = Told::of(saved.told);
        if let Some(route) = &mut log.target.route {
            route.has_lost(saved.not_forwarded);
        }
        log.target.file.settle_dropped(&self.clock);
        log.report(token, &self.shared, &mut self.untold, &self.clock);
    }
}
