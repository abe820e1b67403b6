//! Which main runs live, on disk: for the next daemon, should nobody of this one see them end.
//!
//! Owner: the control process. A run is added when it executes and taken away when its end is told; the
//! file is written by one job at a time until it is there (`on_disk.rs`). What a file of another daemon
//! still names ended with that one, or was ended by this one at its start: it goes to the history as ended
//! unseen, where it is passed over if its end has been written after all. Limit: a run that began just
//! before the machine went down may not be in the file.

use std::collections::BTreeMap;

use api::{ExitCause, ExitRecord, NextRun};
use engine::{Moment, RunId};

use super::{
    Control, Job, Purpose,
    on_disk::{OnDisk, Standing},
    words,
};
use crate::store::{LiveRun, Running};

/// All of them, by service.
#[derive(Debug)]
pub(super) struct RunningOnDisk {
    disk: OnDisk<Running>,
    /// Those of a daemon before this one.
    unseen: Option<Running>,
}

impl RunningOnDisk {
    /// `daemon` names this one. `stored`: what the file has.
    pub(super) fn new(daemon: &str, stored: Running) -> Self {
        let none = Running {
            daemon: daemon.to_owned(),
            runs: BTreeMap::new(),
        };
        let own = stored.daemon == daemon;
        let another = !own && !stored.runs.is_empty();
        let seen = if own { stored.clone() } else { none.clone() };
        Self {
            disk: OnDisk::new(none, (!another).then_some(seen)),
            unseen: another.then_some(stored),
        }
    }

    /// Somebody has cleared the state directory.
    pub(super) fn write_again(&mut self) {
        self.disk.doubt();
    }

    pub(super) fn are_awaited(&self) -> bool {
        self.disk.standing() == Standing::Awaited
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        self.disk.poll_timeout()
    }

    pub(super) fn timeout(&mut self, now: Moment) {
        self.disk.timeout(now);
    }
}

impl Control {
    /// A main run executes.
    pub(super) fn note_living(&mut self, run: RunId) {
        let Some(known) = self.runs.get(&run) else {
            return;
        };
        // An earlier control process may have told its end, and not have acknowledged the fact.
        if known.purpose != Purpose::Main || self.engine.service_of(run).is_none() {
            return;
        }
        let began = known.life.began.unwrap_or(self.now.moment);
        let live = LiveRun {
            id: self.exits.id(run),
            pid: known.life.pid,
            since: words::time(
                self.now
                    .unix_ms
                    .saturating_sub(self.now.moment.since(began)),
            ),
        };
        let service = known.service.clone();
        self.running
            .disk
            .change(|it| drop(it.runs.insert(service, live)));
    }

    /// The end of a service's run has been told.
    pub(super) fn note_ended(&mut self, service: &str) {
        if self.running.disk.wanted().runs.contains_key(service) {
            self.running.disk.change(|it| drop(it.runs.remove(service)));
        }
    }

    /// What ran under an earlier daemon that did not see it end.
    pub(super) fn tell_unseen_ends(&mut self) {
        let Some(unseen) = self.running.unseen.take() else {
            return;
        };
        let same_boot = self.exits.is_of_this_boot(&unseen.daemon);
        for (service, live) in unseen.runs {
            self.record_exit(ExitRecord {
                id: live.id,
                at: words::time(self.now.unix_ms),
                service,
                pid: live.pid,
                code: None,
                signal: None,
                core: false,
                ran_ms: None,
                killed: false,
                cause: if same_boot {
                    ExitCause::SupervisorKilled
                } else {
                    ExitCause::MachineDown
                },
                next: NextRun::Unknown,
                left_out: 0,
            });
        }
    }

    /// Stores them if that is due.
    pub(super) fn store_running(&mut self) {
        if let Some(running) = self.running.disk.due(self.now.moment) {
            self.job(Job::StoreRunning { running });
        }
    }

    pub(super) fn running_stored(&mut self, result: Result<(), String>) {
        if let Err(error) = &result {
            tracing::error!("cannot store which runs live, tries again: {error}");
        }
        self.running.disk.written(self.now.moment, result);
    }
}
