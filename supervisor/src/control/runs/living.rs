//! Which main runs live, on disk: for the next daemon, should nobody of this one see them end.
//!
//! Owner: the control process. A run is added when it executes, and taken away once its end is in the history
//! on disk (`exits.rs`), or is left out of it: so a power cut between the two files loses none. What is in both
//! is passed over at the next start (`boot.rs`). What a daemon before this one had in the file ended with
//! that one, or was ended by this one at its start: it goes to the history as ended unseen, and stays in the file
//! until it is there. One job at a time writes the file, at most every [`PACE_MS`], until it is there
//! (`on_disk.rs`). Limit: a run that began within that time before the machine went down may not be in the file.

use api::{ExitCause, ExitRecord, NextRun};
use engine::{Moment, RunId};

use crate::{
    control::{
        Context, Control, Job, Purpose,
        on_disk::{Durability, News, OnDisk},
        text,
    },
    store::{LiveRun, Running},
};

/// From one writing of the file to the next, in milliseconds: a service that starts all the time is not
/// written each time.
const PACE_MS: u64 = 1_000;

/// All of them.
#[derive(Debug)]
pub(in crate::control) struct RunningOnDisk {
    disk: OnDisk<Running>,
}

impl RunningOnDisk {
    /// `stored`: what the file has.
    pub(in crate::control) fn new(stored: Running) -> Self {
        let disk = OnDisk::new(stored.clone(), Some(stored));
        Self {
            disk: disk.paced(PACE_MS),
        }
    }

    /// Somebody has cleared the state directory.
    pub(in crate::control) fn write_again(&mut self) {
        self.disk.doubt();
    }

    /// The daemon ends: what changes is written at once.
    pub(in crate::control) const fn hurry(&mut self) {
        self.disk.hurry();
    }

    pub(in crate::control) fn are_awaited(&self) -> bool {
        self.disk.standing() == Durability::Awaited
    }

    /// A job is at the file.
    pub(in crate::control) const fn are_being_written(&self) -> bool {
        self.disk.is_being_written()
    }

    /// What is wrong, for as long as it is.
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

    /// These need not be known any more.
    pub(in crate::control) fn forget(&mut self, ids: &[String]) {
        let known = |id: &String| self.disk.wanted().0.contains_key(id);
        if ids.iter().any(known) {
            self.disk
                .change(|it| it.0.retain(|id, _| !ids.contains(id)));
        }
    }
}

impl RunningOnDisk {
    /// Stores them if that is due.
    pub(in crate::control) fn store(&mut self, cx: &mut Context) {
        if let Some(running) = self.disk.due(cx.now.moment) {
            cx.job(Job::StoreRunning { running });
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

impl Control {
    /// A main run executes.
    pub(in crate::control) fn note_living(&mut self, run: RunId) {
        let Some(known) = self.cx.runs.get(&run) else {
            return;
        };
        // An earlier control process may have told its end, and not have acknowledged the fact.
        if known.purpose != Purpose::Main || self.cx.engine.service_of(run).is_none() {
            return;
        }
        let Some(id) = known.service else {
            return;
        };
        let began = known.life.began.unwrap_or(self.cx.now.moment);
        let ago = self.cx.now.moment.since(began);
        let live = LiveRun {
            service: self.cx.name(id).to_owned(),
            pid: known.life.pid,
            since: text::time(self.cx.now.unix_ms.saturating_sub(ago)),
        };
        let exit = self.exits.id(run);
        let (exits, service) = (&self.exits, live.service.clone());
        // One that the keeper has lost has no end that could be told.
        let lost = |other: &str, it: &LiveRun| {
            other != exit && it.service == service && !exits.is_on_its_way(id, other)
        };
        let disk = &mut self.running.disk;
        if disk.wanted().0.contains_key(&exit) {
            return;
        }
        disk.change(|it| {
            it.0.retain(|other, it| !lost(other, it));
            it.0.insert(exit.clone(), live);
        });
    }

    /// What ran under an earlier daemon that did not see it end.
    pub(in crate::control) fn tell_unseen_ends(&mut self) {
        let all = self.running.disk.wanted().0.iter();
        let unseen = all.filter(|(id, _)| !self.exits.is_own(id));
        let unseen: Vec<_> = unseen
            .map(|(id, live)| (id.clone(), live.clone()))
            .collect();
        for (id, live) in unseen {
            let same_boot = self.exits.is_of_this_boot(&id);
            self.record_exit(ExitRecord {
                id,
                at: text::time(self.cx.now.unix_ms),
                service: live.service,
                pid: live.pid,
                code: None,
                signal: None,
                core: false,
                ran_ms: None,
                killed: None,
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

    /// All that an earlier control process of this daemon has left is taken up: what neither lives nor is on its
    /// way to the history is there.
    pub(in crate::control) fn running_is_taken_up(&mut self) {
        let lives = |id: &String| self.cx.runs.keys().any(|run| self.exits.id(*run) == *id);
        let on_its_way = |live: &LiveRun, exit: &str| {
            let service = self.cx.names.id(&live.service);
            service.is_some_and(|id| self.exits.is_on_its_way(id, exit))
        };
        let over = self.running.disk.wanted().0.iter();
        let over = over
            .filter(|(id, live)| !lives(id) && !on_its_way(live, id))
            .map(|(id, _)| id.clone());
        let over: Vec<String> = over.collect();
        self.running.forget(&over);
    }
}

#[cfg(test)]
mod tests;
