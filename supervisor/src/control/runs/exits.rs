//! Ends of main runs: published as events, and on their way to the history on disk.
//!
//! The engine reports the end of a run once. The keeper remembers the record of the end, under the
//! name of the service, before it hears of any consequence, and until the record is on the disk: no
//! end is lost or doubled, whichever process dies. A successor writes the records that its
//! predecessor may not have written; readers count a run once. One job at a time writes; a failed
//! write is repeated later.
//!
//! Of a service that ends again and again only some ends are kept (`unwritten.rs`).

mod cause;
mod unwritten;

use std::collections::{BTreeMap, BTreeSet};

use api::{EventKind, ExitRecord, NextRun};
use engine::{AfterRun, Ended, Exit, Failure, Moment, RunId, ServiceId};
use keeper::message::Request;

pub(in crate::control) use cause::Causes;
use unwritten::Unwritten;

use crate::control::{
    Context, Task,
    on_disk::{Attempts, Durability, News},
    record_keys::EXITS,
    text,
};

/// Ends that are not on the disk yet, and the room for more.
#[derive(Debug, Default)]
pub(in crate::control) struct Exits {
    /// Name of this daemon, unique over all boots: the first part of a record's id.
    daemon: String,
    services: BTreeMap<ServiceId, Unwritten>,
    /// Services with records that wait to be written.
    waiting: BTreeSet<ServiceId>,
    /// Services with a record that is held back.
    holding: BTreeSet<ServiceId>,
    /// Ids of records that a job is writing, by service.
    writing: BTreeMap<ServiceId, Vec<String>>,
    attempts: Attempts,
    /// Whether some records have not been tried yet.
    new: bool,
}

/// When a main run began and ended, as far as this control process knows.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::control) struct Life {
    pub(in crate::control) pid: Option<i32>,
    pub(in crate::control) began: Option<Moment>,
    pub(in crate::control) ended: Option<Moment>,
    /// Whether the run left a core dump.
    pub(in crate::control) core: bool,
}

/// Name of a daemon, unique over all boots.
pub(in crate::control) fn daemon(boot_id: &str, keeper_started_ms: u64) -> String {
    let boot: String = boot_id.chars().take(8).collect();
    format!("{boot}-{keeper_started_ms}")
}

impl Exits {
    pub(in crate::control) fn new(boot_id: &str, keeper_started_ms: u64) -> Self {
        Self {
            daemon: daemon(boot_id, keeper_started_ms),
            ..Self::default()
        }
    }

    /// Whether the record with this id is of a run of this daemon.
    pub(in crate::control) fn is_own(&self, id: &str) -> bool {
        id.rsplit_once('-').is_some_and(|(of, _)| of == self.daemon)
    }

    /// Whether the run with this id began in this boot.
    pub(in crate::control) fn is_of_this_boot(&self, id: &str) -> bool {
        let boot = |of: &str| of.split_once('-').map(|(boot, _)| boot.to_owned());
        boot(id) == boot(&self.daemon)
    }

    /// Whether the end of this run is published, and not known to be on the disk.
    pub(in crate::control) fn is_on_its_way(&self, service: ServiceId, id: &str) -> bool {
        let known = self.services.get(&service);
        known.is_some_and(|it| it.is_on_its_way(id))
    }

    /// Id of a run's record, unique over all daemons.
    pub(in crate::control) fn id(&self, run: RunId) -> String {
        format!("{}-{}", self.daemon, run.0)
    }

    /// Whether records are on their way to the disk. Nobody waits for records that cannot be
    /// written.
    pub(in crate::control) fn are_awaited(&self) -> bool {
        let any = !self.waiting.is_empty() || !self.writing.is_empty();
        any && self.attempts.standing() == Durability::Awaited
    }

    /// Why ends are not written at present, if so.
    pub(in crate::control) fn warning(&self) -> Option<String> {
        let Durability::Unstored(why) = self.attempts.standing() else {
            return None;
        };
        Some(format!("how runs ended is not written: {why}"))
    }

    pub(in crate::control) fn poll_timeout(&self) -> Option<Moment> {
        let held = self.holding.iter();
        let held = held.filter_map(|id| self.services.get(id)?.due());
        held.chain(self.attempts.poll_timeout()).min()
    }

    /// Records that are not seen to be on the disk.
    pub(in crate::control) fn unwritten(&self) -> Vec<ExitRecord> {
        let unwritten = self.services.values();
        let records = unwritten.flat_map(|it| it.waiting.iter().chain(&it.held));
        let mut records: Vec<ExitRecord> = records.cloned().collect();
        records.sort_by(|one, other| one.at.cmp(&other.at));
        records
    }

    fn sort(&mut self, id: ServiceId) {
        let known = self.services.get(&id);
        let waits = known.is_some_and(|it| !it.waiting.is_empty());
        let holds = known.is_some_and(|it| it.held.is_some());
        for (set, member) in [(&mut self.waiting, waits), (&mut self.holding, holds)] {
            if member {
                set.insert(id);
            } else {
                set.remove(&id);
            }
        }
        self.new |= waits;
    }
}

impl Exits {
    fn remember(&mut self, cx: &mut Context, id: ServiceId) {
        let service = format!("{EXITS}{}", cx.name(id));
        let Some(known) = self.services.get(&id) else {
            return cx.tell(Request::Forget { service });
        };
        let record = serde_json::to_string(known).expect("it is plain data");
        cx.remember_as(service, record);
    }

    /// Restores the records that an earlier control process may not have written.
    pub(in crate::control) fn restore(
        &mut self,
        cx: &mut Context,
        records: &BTreeMap<String, String>,
    ) {
        let known = records.iter().filter_map(|(key, record)| {
            let name = key.strip_prefix(EXITS)?;
            Some((cx.names.intern(name), serde_json::from_str(record).ok()?))
        });
        self.services = known.collect();
        for id in self.services.keys().copied().collect::<Vec<_>>() {
            self.sort(id);
        }
    }

    /// Time has passed: what there is room for is written. `must`: the daemon ends, so all that is
    /// held back is written.
    pub(in crate::control) fn release(&mut self, cx: &mut Context, must: bool) {
        let now = cx.now.moment;
        self.attempts.timeout(now);
        self.new |= must;
        for id in self.holding.iter().copied().collect::<Vec<_>>() {
            let known = self.services.get_mut(&id);
            if known.is_some_and(|it| it.release(now, must)) {
                self.sort(id);
                self.remember(cx, id);
            }
        }
    }

    /// Has waiting records written if a write is due.
    pub(in crate::control) fn write(&mut self, cx: &mut Context) {
        let (exits, now) = (self, cx.now.moment);
        if exits.waiting.is_empty() || !exits.attempts.begin(now, exits.new) {
            return;
        }
        exits.new = false;
        let mut records = Vec::new();
        for service in &exits.waiting {
            let waiting = &exits.services[service].waiting;
            let ids = waiting.iter().map(|it| it.id.clone()).collect();
            exits.writing.insert(*service, ids);
            records.extend_from_slice(waiting);
        }
        cx.queue_task(Task::RecordExits {
            records,
            now_ms: cx.now.unix_ms,
        });
    }

    /// A job has written records, or could not. Returns the ids of those that are on the disk now.
    pub(in crate::control) fn on_written(
        &mut self,
        cx: &mut Context,
        result: Result<(), String>,
    ) -> Vec<String> {
        let writing = std::mem::take(&mut self.writing);
        let now = cx.now.moment;
        let failed = result.err();
        match self.attempts.end(now, failed.clone()) {
            News::Fails => {
                let error = failed.clone().unwrap_or_default();
                let told = format!("cannot record how runs end: {error}");
                tracing::error!("{told}");
                cx.publish("", EventKind::Daemon, &told, None);
            }
            News::Works => tracing::info!("how runs end is recorded again"),
            News::None => {}
        }
        if failed.is_some() {
            return Vec::new();
        }
        for (service, ids) in &writing {
            self.are_written(cx, *service, ids);
        }
        writing.into_values().flatten().collect()
    }

    /// A service has left the plan: what is held back of it goes to the disk, and is forgotten once
    /// it is there.
    pub(in crate::control) fn release_of(&mut self, cx: &mut Context, id: ServiceId) {
        let now = cx.now.moment;
        let Some(known) = self.services.get_mut(&id) else {
            return;
        };
        if known.release(now, true) {
            self.sort(id);
            self.remember(cx, id);
        } else {
            self.forget_if_over(cx, id);
        }
    }

    /// [`Self::release_of`] each service that has left the plan while no control process was there.
    pub(in crate::control) fn release_of_removed(&mut self, cx: &mut Context) {
        let all = self.services.keys();
        let removed = all.filter(|id| cx.service(**id).is_none());
        for id in removed.copied().collect::<Vec<_>>() {
            self.release_of(cx, id);
        }
    }

    /// Forgets a service all of whose ends are on the disk, once there is room for as many as ever
    /// or the service has left the plan.
    fn forget_if_over(&mut self, cx: &mut Context, id: ServiceId) {
        let removed = cx.service(id).is_none();
        let known = self.services.get(&id);
        if known.is_some_and(|it| it.is_over() || (removed && it.is_written())) {
            self.services.remove(&id);
            self.sort(id);
            self.remember(cx, id);
        }
    }

    fn are_written(&mut self, cx: &mut Context, id: ServiceId, ids: &[String]) {
        let now = cx.now.moment;
        let Some(known) = self.services.get_mut(&id) else {
            return;
        };
        known.are_written(now, ids);
        self.sort(id);
        self.remember(cx, id);
        self.forget_if_over(cx, id);
    }
}

impl Exits {
    /// Takes in one more end, and tells it. Returns the ids of records that are left out of the
    /// history for it.
    pub(in crate::control) fn take(&mut self, cx: &mut Context, record: ExitRecord) -> Vec<String> {
        let id = cx.names.intern(&record.service);
        let now = cx.now.moment;
        let known = self.services.entry(id);
        let known = known.or_insert_with(|| Unwritten::new(now));
        if known.knows(&record.id) {
            // The control process before this one died just after it had taken this in.
            return Vec::new();
        }
        let left_out = known.take(now, record.clone());
        self.sort(id);
        self.remember(cx, id);
        cx.publish_exit(record);
        left_out.into_iter().collect()
    }

    /// A main run is over, as the engine says; why is judged by `causes`.
    pub(in crate::control) fn record(&self, causes: &Causes<'_>, ended: &Ended) -> ExitRecord {
        let cx = causes.cx;
        let life = cx.run(ended.run).map(|run| run.life);
        let life = life.unwrap_or_default();
        let view = cx.engine.view(ended.service);
        let seen = view.and_then(|view| view.last_exit).map(|(_, at)| at);
        let at = life.ended.or(seen).unwrap_or(cx.now.moment);
        let (code, signal) = match ended.exit {
            Exit::Code(code) => (Some(code), None),
            Exit::Signal(signal) => (None, Some(::text::signal::shown(signal))),
        };
        let ago = cx.now.moment.since(at);
        ExitRecord {
            id: self.id(ended.run),
            at: text::time(cx.now.unix_ms.saturating_sub(ago)),
            service: cx.name(ended.service).to_owned(),
            pid: life.pid,
            code,
            signal,
            core: life.core,
            ran_ms: life.began.map(|began| at.since(began)),
            killed: ended.killed.map(cause::kill_reason),
            cause: causes.of(ended, at),
            next: next_run(&ended.next),
            left_out: 0,
        }
    }
}

fn next_run(next: &AfterRun) -> NextRun {
    match next {
        AfterRun::Start => NextRun::Start,
        AfterRun::Wait => NextRun::Wait,
        AfterRun::Pause { ms, early, failed } => NextRun::Pause {
            ms: *ms,
            early: *early,
            failed: *failed,
        },
        AfterRun::Rest => NextRun::Rest,
        AfterRun::Fail(failure) => NextRun::Fail {
            why: match failure {
                // The record has the exit beside this.
                Failure::Exited(_) | Failure::ReadyTimeout | Failure::Watchdog => {
                    "its policy is not to restart".to_owned()
                }
                Failure::Spawn(_)
                | Failure::Validator
                | Failure::Requirement(_)
                | Failure::StartLimit
                | Failure::Leftovers { .. } => text::failure(failure),
            },
        },
    }
}

#[cfg(test)]
mod tests;
