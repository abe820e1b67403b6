//! Processes that an earlier keeper left behind when it and its control process died: found, asked
//! to stop and killed before any run is started, so that no service ever runs twice.
//!
//! Each service gets the stop time in the record of its run; a process without a first process to
//! ask is killed at once. For a process that SIGKILL does not end (in uninterruptible sleep, or
//! under a tracer) the keeper waits only briefly: the record stays, and the service is started
//! again only when a look shows that the process is gone. A look takes place at each start, and
//! every [`LOOK_AGAIN_MS`].
//!
//! A process whose parent holds the locks belongs to a living keeper and is no leftover: then
//! nothing is touched.

mod find;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
};

use nix::{
    libc,
    poll::{PollTimeout, poll},
};

use serde::{Deserialize, Serialize};

use self::find::{Earlier, Left, SavedEarlier};
use crate::{
    cgroup::Cgroups,
    clock::now_ms,
    init::{Init, MoreTime},
    left::{self, kill_exactly},
    lock::Locks,
    message::{Remaining, Role, RunId},
    record::Records,
    stderr_log::{error, warning},
    sys::pidfd,
    timers::{Timer, Timers},
    traces::main_lives,
};

/// Pause between two looks.
const PAUSE_MS: u8 = 20;
/// Time that a process gets to end after SIGKILL.
const KILLED_MS: u64 = 5000;
/// Time between two looks at processes that SIGKILL has not ended.
const LOOK_AGAIN_MS: u64 = 5000;
/// A record may ask for more time; an init that waits for us has its own limits.
const STOP_MAX_MS: u64 = 120_000;

/// Leftovers of an earlier keeper's runs.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// Processes that were found and are gone, for the log.
    stopped: Vec<String>,
    /// Records and groups of the processes that SIGKILL has not ended.
    earlier: Earlier,
    /// Services whose last output nobody read, for the keeper died, each with its newest run.
    unread: BTreeMap<String, RunId>,
}

/// Leftovers for the next image of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedLeftovers {
    stopped: Vec<String>,
    earlier: SavedEarlier,
    unread: BTreeMap<String, RunId>,
}

/// What to do with a leftover now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Wait,
    Kill,
    GiveUp,
}

/// Decides by the deadline of its service, and by the time of the first SIGKILL.
fn fate(now: u64, asked_until: Option<u64>, killed_at: Option<u64>) -> Fate {
    match (asked_until, killed_at) {
        (_, Some(at)) if now >= at + KILLED_MS => Fate::GiveUp,
        (Some(until), None) if now < until => Fate::Wait,
        _ => Fate::Kill,
    }
}

impl Leftovers {
    /// Stops all leftovers that can be stopped. An error: the pid of a living keeper that owns the
    /// processes.
    pub(crate) fn stop(
        files: &Records,
        cgroups: Option<&Cgroups>,
        boot_id: &str,
        init: &Init,
        locks: &Locks,
    ) -> Result<Self, i32> {
        let (mut records, aside) = files.read();
        for name in aside {
            let path = files.dir().join(name);
            warning!(
                "{} is no run's record: what that run has left may not be found",
                path.display()
            );
        }
        records.retain(|record| record.boot_id == boot_id);
        let unread: BTreeMap<String, RunId> = records
            .iter()
            // The newest record comes first, so in reverse order it overwrites the others.
            .rev()
            .filter(|record| record.role == Role::Main && !record.gap_told)
            .map(|record| (record.service.clone(), record.run))
            .collect();
        let mut earlier = Earlier::new(records, cgroups);
        let found = earlier.find();
        refuse_those_of_a_living_keeper(&found, locks)?;
        let mut stop = Stop::new(&earlier);
        let remaining = stop.until_over(found, init);
        for (pid, left) in &remaining {
            let service = &left.service;
            error!("{service}: pid {pid} of an earlier supervisor could not be ended");
        }
        let stopped = stop.seen.into_iter();
        let stopped = stopped.filter(|((pid, _), _)| !remaining.contains_key(pid));
        let stopped = stopped
            .map(|((pid, _), service)| line(pid, &service))
            .collect();
        for dir in earlier.groups() {
            let _ = std::fs::remove_dir(dir);
        }
        earlier.keep(&remaining.into_values().map(|left| left.service).collect());
        let kept = earlier.runs().chain(unread.values().copied());
        files.clear(&kept.collect());
        Ok(Self {
            stopped,
            earlier,
            unread,
        })
    }

    /// For the next image of this process.
    pub(crate) fn saved(&self) -> SavedLeftovers {
        SavedLeftovers {
            stopped: self.stopped.clone(),
            earlier: self.earlier.saved(),
            unread: self.unread.clone(),
        }
    }

    /// As an earlier image of this process had them; records are read again.
    pub(crate) fn resume(saved: SavedLeftovers, files: &Records) -> Self {
        Self {
            stopped: saved.stopped,
            earlier: Earlier::resume(saved.earlier, files),
            unread: saved.unread,
        }
    }

    /// Descriptions of the processes that were stopped, at most `most`.
    pub(crate) fn stopped(&self, most: usize) -> Vec<String> {
        self.stopped.iter().take(most).cloned().collect()
    }

    /// Leftovers that keep their service from starting. Leftovers of helpers are reported at the
    /// start alone, for they are no second copy of a service.
    pub(crate) fn remaining(&self) -> Vec<Remaining> {
        if self.earlier.is_empty() {
            return Vec::new();
        }
        let mut by_service = BTreeMap::<String, Vec<i32>>::new();
        let found = self.earlier.find().into_iter();
        let found = found.filter(|(_, it)| it.role == Role::Main);
        for (pid, left) in found.take(left::LEFT_MAX) {
            by_service.entry(left.service).or_default().push(pid);
        }
        let all = by_service.into_iter();
        all.map(|(service, pids)| Remaining {
            service,
            left: left::describe(&pids),
        })
        .collect()
    }

    /// Runs whose record stays.
    pub(crate) fn runs(&self) -> impl Iterator<Item = RunId> + '_ {
        self.earlier.runs().chain(self.unread.values().copied())
    }

    /// The first free run number: a record that stays is not overwritten.
    pub(crate) fn next_run(&self) -> RunId {
        self.runs().max().unwrap_or(0) + 1
    }

    /// Looks again for leftovers of a service, and kills them again. If there are none, removes the
    /// records of the service.
    pub(crate) fn are_gone(&mut self, service: &str, files: &Records) -> bool {
        if !self.earlier.knows(service) {
            return true;
        }
        let found = self.earlier.find().into_iter();
        let left: Vec<_> = found
            .filter(|(_, it)| it.service == service && it.role == Role::Main)
            .collect();
        for (pid, it) in &left {
            kill_exactly(*pid, &it.stat);
        }
        if left.is_empty() {
            for run in self.earlier.forget(service) {
                files.remove(run);
            }
        }
        left.is_empty()
    }

    /// Schedules a look as long as there are leftovers.
    pub(crate) fn look_later(&self, timers: &mut Timers) {
        if !self.earlier.is_empty() {
            timers.add(now_ms() + LOOK_AGAIN_MS, Timer::Leftovers);
        }
    }

    /// Kills the leftovers once more. True: those of some service are gone.
    pub(crate) fn look_again(&mut self, files: &Records) -> bool {
        let services = self.earlier.services();
        let gone = services.iter().filter(|it| self.are_gone(it, files));
        gone.count() > 0
    }

    /// True, once: lines of this service may be missing. A service may stay closed for longer than
    /// this keeper lives, so its record stays until the service is opened.
    pub(crate) fn has_gap(&mut self, service: &str, files: &Records) -> bool {
        let run = self.unread.remove(service);
        if let Some(run) = run.filter(|run| !self.earlier.runs().any(|kept| kept == *run)) {
            files.remove(run);
        }
        run.is_some()
    }
}

/// Signals a main process. SIGCONT follows, since a paused process must be woken to see the signal.
fn ask(main: &OwnedFd, signal: i32) {
    let _ = pidfd::signal(main, signal);
    let _ = pidfd::signal(main, libc::SIGCONT);
}

fn line(pid: i32, service: &str) -> String {
    format!("{service}: pid {pid}")
}

/// Refuses leftovers whose parent is a living keeper. An orphan has another parent, or a parent
/// that is a leftover itself.
fn refuse_those_of_a_living_keeper(found: &BTreeMap<i32, Left>, locks: &Locks) -> Result<(), i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let parents: BTreeSet<i32> = found.values().map(|left| left.stat.parent).collect();
    let mut others = parents
        .into_iter()
        .filter(|pid| *pid != own && *pid > 0 && !found.contains_key(pid));
    let keeper = others.find(|pid| locks.are_held_by(*pid));
    keeper.map_or(Ok(()), Err)
}

/// One stop of all leftovers.
struct Stop<'e> {
    earlier: &'e Earlier,
    begun: u64,
    /// By when each service is to have stopped.
    until: BTreeMap<&'e str, u64>,
    /// Runs that have got their second signal.
    escalated: BTreeSet<RunId>,
    /// By pid and start.
    killed: BTreeMap<(i32, u64), u64>,
    seen: BTreeMap<(i32, u64), String>,
}

impl<'e> Stop<'e> {
    fn new(earlier: &'e Earlier) -> Self {
        let begun = now_ms();
        let mut until = BTreeMap::new();
        for record in earlier.records.iter().filter(|it| it.role == Role::Main) {
            let at = begun + record.stop.timeout_ms.min(STOP_MAX_MS);
            let known = until.entry(record.service.as_str()).or_insert(at);
            *known = at.max(*known);
        }
        Self {
            earlier,
            begun,
            until,
            escalated: BTreeSet::new(),
            killed: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Stops the leftovers; returns those that SIGKILL has not ended.
    fn until_over(&mut self, mut left: BTreeMap<i32, Left>, init: &Init) -> BTreeMap<i32, Left> {
        if left.is_empty() {
            return left;
        }
        self.see(&left);
        let all: Vec<String> = left
            .iter()
            .map(|(pid, it)| line(*pid, &it.service))
            .collect();
        warning!(
            "stops processes of an earlier supervisor: {}",
            all.join(", ")
        );
        let mut more_time = MoreTime::of(init);
        self.ask();
        // Bounds the wait also for processes that respawn as fast as they are killed.
        let last = self.until.values().copied().fold(self.begun, u64::max) + 2 * KILLED_MS;
        while now_ms() < last && self.step(&left) {
            more_time.ask();
            let _ = poll(&mut [], PollTimeout::from(PAUSE_MS));
            left = self.earlier.find();
            self.see(&left);
        }
        left
    }

    fn see(&mut self, left: &BTreeMap<i32, Left>) {
        for (pid, it) in left {
            let seen = self.seen.entry((*pid, it.stat.start));
            seen.or_insert_with(|| it.service.clone());
        }
    }

    fn ask(&self) {
        let main = self.earlier.records.iter();
        for record in main.filter(|it| it.role == Role::Main && main_lives(it)) {
            // Opened first: then it is this very process that lives.
            if let Ok(fd) = pidfd::open(record.pid)
                && main_lives(record)
            {
                ask(&fd, record.stop.signal);
            }
        }
    }

    /// Sends the second signal to main processes whose time for it has come.
    fn escalate(&mut self, now: u64) {
        let mains = self.earlier.records.iter();
        for record in mains.filter(|it| it.role == Role::Main && main_lives(it)) {
            if let Some(escalation) = record.stop.escalation
                && now >= self.begun + escalation.after_ms
                && !self.escalated.contains(&record.run)
                && let Ok(fd) = pidfd::open(record.pid)
                && main_lives(record)
            {
                self.escalated.insert(record.run);
                ask(&fd, escalation.signal);
            }
        }
    }

    /// Kills the leftovers whose time is over. False: no further wait is useful.
    fn step(&mut self, left: &BTreeMap<i32, Left>) -> bool {
        let asked = self.earlier.records.iter();
        let asked: BTreeSet<&str> = asked
            .filter(|it| it.role == Role::Main && main_lives(it))
            .map(|it| it.service.as_str())
            .collect();
        let now = now_ms();
        self.escalate(now);
        let mut goes_on = false;
        for (pid, it) in left {
            let service = Some(it.service.as_str()).filter(|name| asked.contains(name));
            let until = service.and_then(|name| self.until.get(name).copied());
            let until = until.filter(|_| it.role == Role::Main);
            let key = (*pid, it.stat.start);
            match fate(now, until, self.killed.get(&key).copied()) {
                Fate::Wait => goes_on = true,
                Fate::Kill => {
                    kill_exactly(*pid, &it.stat);
                    self.killed.entry(key).or_insert(now);
                    goes_on = true;
                }
                Fate::GiveUp => {}
            }
        }
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_time_and_sigkill_is_not_waited_for_for_ever() {
        assert_eq!(fate(10, Some(20), None), Fate::Wait);
        assert_eq!(fate(20, Some(20), None), Fate::Kill);
        assert_eq!(fate(10, None, None), Fate::Kill, "nobody was asked");
        assert_eq!(
            fate(21, Some(20), Some(20)),
            Fate::Kill,
            "it may have been stopped"
        );
        assert_eq!(fate(20 + KILLED_MS, Some(20), Some(20)), Fate::GiveUp);
        assert_eq!(fate(KILLED_MS, Some(u64::MAX), Some(0)), Fate::GiveUp);
    }
}
