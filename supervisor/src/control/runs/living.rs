//! Main runs that are alive, on disk for the next daemon, should this daemon not see them end.
//!
//! Owner: the control process. A run is added when it executes, and removed once its end is in the
//! history on disk (`exits.rs`) or is left out of the history, so a power cut between the two files
//! loses no end. The next start skips a run that is in both (`boot.rs`). A run that an earlier
//! daemon has left in the file ended with that daemon, or was ended at the start of this one: it
//! goes to the history as ended unseen, and stays in the file until the history has it. One job at
//! a time writes the file, at most every [`PACE_MS`], and is repeated until the write succeeds
//! (`on_disk.rs`). Limit: a run that began within that time before the machine went down may be
//! missing in the file.

use api::{ExitCause, ExitRecord, NextRun};
use engine::{Moment, RunId};

use crate::{
    control::{
        Context, Purpose, Task,
        on_disk::{Durability, News, OnDisk},
        runs::exits::Exits,
        text,
    },
    store::{LiveRun, Running},
};

/// From one writing of the file to the next, in milliseconds: a service that starts all the time is
/// not written each time.
const PACE_MS: u64 = 1_000;

/// The main runs that are alive, and how far the file has them.
#[derive(Debug)]
pub(in crate::control) struct RunningOnDisk {
    disk: OnDisk<Running>,
}

impl RunningOnDisk {
    /// `stored`: the runs that the file has.
    pub(in crate::control) fn new(stored: Running) -> Self {
        let disk = OnDisk::new(stored.clone(), Some(stored));
        Self {
            disk: disk.paced(PACE_MS),
        }
    }

    /// Writes the file again, since somebody has cleared the state directory.
    pub(in crate::control) fn write_again(&mut self) {
        self.disk.doubt();
    }

    /// Writes every change at once from now on, since the daemon ends.
    pub(in crate::control) const fn hurry(&mut self) {
        self.disk.hurry();
    }

    pub(in crate::control) fn are_awaited(&self) -> bool {
        self.disk.standing() == Durability::Awaited
    }

    /// Whether a job is writing the file.
    pub(in crate::control) const fn are_being_written(&self) -> bool {
        self.disk.is_being_written()
    }

    /// Why the file is not written, for as long as it is not.
    pub(in crate::control) fn warning(&self) -> Option<String> {
        let Durability::Unstored(why) = self.disk.standing() else {
            return None;
        };
        Some(format!(
            "which runs live is not stored, so after a power cut or a killed supervisor it may not be known how they ended: {why}"
        ))
    }

    pub(in crate::control) fn poll_timeout(&self) -> Option<Moment> {
        self.disk.poll_timeout()
    }

    pub(in crate::control) fn timeout(&mut self, now: Moment) {
        self.disk.timeout(now);
    }

    /// Drops runs whose ends are in the history, or are left out of it.
    pub(in crate::control) fn forget(&mut self, ids: &[String]) {
        let known = |id: &String| self.disk.wanted().0.contains_key(id);
        if ids.iter().any(known) {
            self.disk
                .change(|it| it.0.retain(|id, _| !ids.contains(id)));
        }
    }
}

impl RunningOnDisk {
    /// Has the file written if a write is due.
    pub(in crate::control) fn store(&mut self, cx: &mut Context) {
        if let Some(running) = self.disk.due(cx.now.moment) {
            cx.queue_task(Task::StoreRunning { running });
        }
    }

    pub(in crate::control) fn stored(&mut self, cx: &Context, result: Result<(), String>) {
        let error = result.clone().err().unwrap_or_default();
        match self.disk.written(cx.now.moment, result) {
            News::Fails => tracing::error!("cannot store which runs live, tries again: {error}"),
            News::Works => tracing::info!("which runs live is stored again"),
            News::None => {}
        }
    }
}

impl RunningOnDisk {
    /// Adds a main run that executes.
    pub(in crate::control) fn begin(&mut self, cx: &Context, exits: &Exits, run: RunId) {
        let Some(known) = cx.run(run) else {
            return;
        };
        // An earlier control process may have told its end, and not have acknowledged the fact.
        if known.purpose != Purpose::Main || cx.engine.service_of(run).is_none() {
            return;
        }
        let Some(service) = known.service else {
            return;
        };
        let began = known.life.began.unwrap_or(cx.now.moment);
        let ago = cx.now.moment.since(began);
        let live = LiveRun {
            service: cx.name(service).to_owned(),
            pid: known.life.pid,
            since: text::time(cx.now.unix_ms.saturating_sub(ago)),
        };
        let id = exits.id(run);
        if self.disk.wanted().0.contains_key(&id) {
            return;
        }
        // A run that the keeper has lost has no end that could be told.
        let lost = |other: &str, it: &LiveRun| {
            other != id && it.service == live.service && !exits.is_on_its_way(service, other)
        };
        self.disk.change(|it| {
            it.0.retain(|other, it| !lost(other, it));
            it.0.insert(id.clone(), live.clone());
        });
    }

    /// Ends of runs under an earlier daemon, which did not see them.
    pub(in crate::control) fn unseen_ends(&self, cx: &Context, exits: &Exits) -> Vec<ExitRecord> {
        let all = self.disk.wanted().0.iter();
        let unseen = all.filter(|(id, _)| !exits.is_own(id));
        let record = |(id, live): (&String, &LiveRun)| ExitRecord {
            id: id.clone(),
            at: text::time(cx.now.unix_ms),
            service: live.service.clone(),
            pid: live.pid,
            code: None,
            signal: None,
            core: false,
            ran_ms: None,
            killed: None,
            cause: if exits.is_of_this_boot(id) {
                ExitCause::SupervisorKilled
            } else {
                ExitCause::MachineDown
            },
            next: NextRun::Unknown,
            left_out: 0,
        };
        unseen.map(record).collect()
    }

    /// All that an earlier control process of this daemon has left is restored: a run that neither
    /// lives nor is on its way to the history is in the history.
    pub(in crate::control) fn forget_told(&mut self, cx: &Context, exits: &Exits) {
        let lives = |id: &String| cx.runs().keys().any(|run| exits.id(*run) == *id);
        let on_its_way = |live: &LiveRun, id: &str| {
            let service = cx.names.id(&live.service);
            service.is_some_and(|service| exits.is_on_its_way(service, id))
        };
        let over = self.disk.wanted().0.iter();
        let over = over
            .filter(|(id, live)| !lives(id) && !on_its_way(live, id))
            .map(|(id, _)| id.clone());
        let over: Vec<String> = over.collect();
        self.forget(&over);
    }
}

#[cfg(test)]
mod tests;
