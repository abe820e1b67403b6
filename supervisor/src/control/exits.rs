//! Ends of main runs: told as events, and on their way to the history on disk.
//!
//! The engine says once that a run is over. The keeper then remembers its record, under the name of the
//! service, before it hears of anything that follows, and until the record is on the disk: it is neither
//! lost nor doubled, whatever dies. A successor writes what its predecessor may not have written; readers
//! take a run once. One job at a time writes. What cannot be written is tried again by time.
//!
//! Of a service that ends all the time not every end is kept (`unwritten.rs`).

mod unwritten;

use std::collections::{BTreeMap, BTreeSet};

use api::{ExitCause, ExitRecord, NextRun};
use engine::{Ended, Exit, Failure, Moment, Next, RunId, StopCause};
use keeper::message::Request;

use unwritten::Unwritten;

use super::{
    Control, Job,
    memory::EXITS,
    on_disk::{Attempts, Standing},
    words,
};

/// Characters of what a probe said that are kept.
const SAID_CHARACTERS_MAX: usize = 300;

/// All that is not on the disk yet, and how much more may go there.
#[derive(Debug, Default)]
pub(super) struct Exits {
    /// Names this daemon, over all boots; stands before the number of a run.
    daemon: String,
    services: BTreeMap<String, Unwritten>,
    /// Services with records that wait to be written.
    waiting: BTreeSet<String>,
    /// Services with a record that is held back.
    holding: BTreeSet<String>,
    /// Ids of records that a job is writing, by service.
    writing: BTreeMap<String, Vec<String>>,
    attempts: Attempts,
    /// Some have not been tried yet.
    new: bool,
    /// That the last attempt failed has been told.
    told: bool,
}

/// When a main run began and ended, as far as it is known here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Life {
    pub(super) pid: Option<i32>,
    pub(super) began: Option<Moment>,
    pub(super) ended: Option<Moment>,
    /// It left a core dump.
    pub(super) core: bool,
}

impl Exits {
    pub(super) fn new(boot_id: &str, keeper_started_ms: u64) -> Self {
        let boot: String = boot_id.chars().take(8).collect();
        Self {
            daemon: format!("{boot}-{keeper_started_ms}"),
            ..Self::default()
        }
    }

    /// Names this daemon, over all boots.
    pub(super) fn daemon(&self) -> &str {
        &self.daemon
    }

    /// That one ran since the machine was started last.
    pub(super) fn is_of_this_boot(&self, daemon: &str) -> bool {
        let boot = |of: &str| of.rsplit_once('-').map(|(boot, _)| boot.to_owned());
        boot(daemon) == boot(&self.daemon)
    }

    /// Names a run, over all daemons.
    pub(super) fn id(&self, run: RunId) -> String {
        format!("{}-{}", self.daemon, run.0)
    }

    /// Some are on their way to the disk. What cannot be written is not waited for.
    pub(super) fn are_awaited(&self) -> bool {
        let any = !self.waiting.is_empty() || !self.writing.is_empty();
        any && self.attempts.standing() == Standing::Awaited
    }

    /// What is wrong, for as long as it is.
    pub(super) fn warning(&self) -> Option<String> {
        let Standing::Unstored(why) = self.attempts.standing() else {
            return None;
        };
        Some(format!("how runs ended is not written: {why}"))
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        let held = self.holding.iter();
        let held = held.filter_map(|name| self.services.get(name)?.due());
        held.chain(self.attempts.poll_timeout()).min()
    }

    /// Records that are not seen to be on the disk.
    pub(super) fn unwritten(&self) -> Vec<ExitRecord> {
        let unwritten = self.services.values();
        let records = unwritten.flat_map(|it| it.waiting.iter().chain(&it.held));
        let mut records: Vec<ExitRecord> = records.cloned().collect();
        records.sort_by(|one, other| one.at.cmp(&other.at));
        records
    }

    fn sort(&mut self, name: &str) {
        let known = self.services.get(name);
        let waits = known.is_some_and(|it| !it.waiting.is_empty());
        let holds = known.is_some_and(|it| it.held.is_some());
        for (set, member) in [(&mut self.waiting, waits), (&mut self.holding, holds)] {
            if member {
                set.insert(name.to_owned());
            } else {
                set.remove(name);
            }
        }
        self.new |= waits;
    }
}

impl Control {
    /// A main run is over, as the engine says.
    pub(super) fn on_ended(&mut self, ended: &Ended) {
        let Some(name) = self.names.name(ended.service).map(str::to_owned) else {
            return;
        };
        let record = self.exit_record(&name, ended);
        self.note_ended(&name);
        self.record_exit(record);
    }

    /// Has it written, and tells it.
    pub(super) fn record_exit(&mut self, record: ExitRecord) {
        let name = record.service.clone();
        let now = self.now.moment;
        let known = self.exits.services.entry(name.clone());
        let known = known.or_insert_with(|| Unwritten::new(now));
        if known.knows(&record.id) {
            // The control process before this one died just after it had taken this in.
            return;
        }
        known.take(now, record.clone());
        self.exits.sort(&name);
        self.remember_exits(&name);
        self.publish_exit(record);
    }

    fn exit_record(&self, name: &str, ended: &Ended) -> ExitRecord {
        let life = self.runs.get(&ended.run).map(|run| run.life);
        let life = life.unwrap_or_default();
        let view = self.engine.view(ended.service);
        let seen = view.and_then(|view| view.last_exit).map(|(_, at)| at);
        let at = life.ended.or(seen).unwrap_or(self.now.moment);
        let (code, signal) = match ended.exit {
            Exit::Code(code) => (Some(code), None),
            Exit::Signal(signal) => (None, Some(words::signal_name(signal))),
        };
        ExitRecord {
            id: self.exits.id(ended.run),
            at: words::time(self.now.unix_ms.saturating_sub(self.now.moment.since(at))),
            service: name.to_owned(),
            pid: life.pid,
            code,
            signal,
            core: life.core,
            ran_ms: life.began.map(|began| at.since(began)),
            killed: ended.killed && ended.cause != StopCause::Outlived,
            cause: self.exit_cause(name, ended),
            next: next_run(&ended.next),
            left_out: 0,
        }
    }

    fn exit_cause(&self, name: &str, ended: &Ended) -> ExitCause {
        let said: String = ended.said.chars().take(SAID_CHARACTERS_MAX).collect();
        match (ended.cause, ended.exit) {
            (StopCause::Exited, Exit::Signal(signal)) => {
                let sent = self.changes.that_signalled(name, ended.run, signal);
                sent.unwrap_or(ExitCause::Itself)
            }
            (StopCause::Exited, Exit::Code(_)) => ExitCause::Itself,
            (StopCause::Asked, _) => {
                let change = self.changes.that_stops(name, ended.run);
                change.unwrap_or(if self.lifecycle.is_stopping() {
                    ExitCause::Shutdown
                } else {
                    ExitCause::Dependency
                })
            }
            (StopCause::ReadyTimeout, _) => ExitCause::NotReady { said },
            (StopCause::Liveness, _) => ExitCause::Liveness { said },
            (StopCause::Watchdog, _) => ExitCause::Watchdog { said },
            (StopCause::Outlived, _) => ExitCause::Outlived,
        }
    }

    fn remember_exits(&mut self, name: &str) {
        let service = format!("{EXITS}{name}");
        let Some(known) = self.exits.services.get(name) else {
            return self.tell(Request::Forget { service });
        };
        let record = serde_json::to_string(known).expect("it is plain data");
        self.tell(Request::Remember { service, record });
    }

    /// What an earlier control process may not have written.
    pub(super) fn take_up_exits(&mut self, records: &BTreeMap<String, String>) {
        let known = records.iter().filter_map(|(key, record)| {
            let name = key.strip_prefix(EXITS)?;
            Some((name.to_owned(), serde_json::from_str(record).ok()?))
        });
        self.exits.services = known.collect();
        let names: Vec<String> = self.exits.services.keys().cloned().collect();
        for name in &names {
            self.exits.sort(name);
        }
    }

    /// Time has passed, or the daemon ends: then all that is held back goes to the disk.
    pub(super) fn release_exits(&mut self, must: bool) {
        let now = self.now.moment;
        self.exits.attempts.timeout(now);
        self.exits.new |= must;
        let names: Vec<String> = self.exits.holding.iter().cloned().collect();
        for name in names {
            let known = self.exits.services.get_mut(&name);
            if known.is_some_and(|it| it.release(now, must)) {
                self.exits.sort(&name);
                self.remember_exits(&name);
            }
        }
    }

    /// Has them written if that is due.
    pub(super) fn write_exits(&mut self) {
        let (exits, now) = (&mut self.exits, self.now.moment);
        if exits.waiting.is_empty() || !exits.attempts.begin(now, exits.new) {
            return;
        }
        exits.new = false;
        let mut records = Vec::new();
        for name in &exits.waiting {
            let waiting = &exits.services[name].waiting;
            let ids = waiting.iter().map(|it| it.id.clone()).collect();
            exits.writing.insert(name.clone(), ids);
            records.extend_from_slice(waiting);
        }
        self.job(Job::RecordExits {
            records,
            now_ms: self.now.unix_ms,
        });
    }

    /// A job has written them, or could not.
    pub(super) fn on_exits_recorded(&mut self, result: Result<(), String>) {
        let writing = std::mem::take(&mut self.exits.writing);
        let now = self.now.moment;
        let Err(error) = result else {
            self.exits.attempts.end(now, None);
            if std::mem::take(&mut self.exits.told) {
                tracing::info!("how runs end is recorded again");
            }
            for (name, ids) in writing {
                self.exits_are_written(&name, &ids);
            }
            return;
        };
        if !std::mem::replace(&mut self.exits.told, true) {
            let told = format!("cannot record how runs end: {error}");
            tracing::error!("{told}");
            self.publish("", "daemon", &told, None);
        }
        self.exits.attempts.end(now, Some(error));
    }

    fn exits_are_written(&mut self, name: &str, ids: &[String]) {
        let now = self.now.moment;
        let Some(known) = self.exits.services.get_mut(name) else {
            return;
        };
        known.are_written(now, ids);
        if known.is_over() {
            self.exits.services.remove(name);
        }
        self.exits.sort(name);
        self.remember_exits(name);
    }
}

fn next_run(next: &Next) -> NextRun {
    match next {
        Next::Start => NextRun::Start,
        Next::Wait => NextRun::Wait,
        Next::Pause { ms, early } => NextRun::Pause {
            ms: *ms,
            early: *early,
        },
        Next::Rest => NextRun::Rest,
        Next::Fail(failure) => NextRun::Fail {
            why: match failure {
                // How it ended is said beside it.
                Failure::Exited(_) | Failure::ReadyTimeout | Failure::Watchdog => {
                    "its policy is not to restart".to_owned()
                }
                Failure::Spawn(_)
                | Failure::Validator
                | Failure::StartLimit
                | Failure::Leftovers { .. } => words::failure(failure),
            },
        },
    }
}

#[cfg(test)]
mod tests;
