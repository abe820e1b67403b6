//! Nothing of a run outlives it: what belongs to it is found and killed until nothing is left.
//!
//! That is what is in its cgroup, if it has one. And, with a cgroup or without, it is among the
//! keeper's own descendants, for the keeper is their subreaper: those with the run's log pipe,
//! session or group, those that were seen to descend from it, those that still have the cookie of
//! its environment, and all that descends from these. What cannot be attributed is left alone, and
//! told (`strays.rs`).
//!
//! Limits: what has not gone some seconds after SIGKILL is named to the control process, the main
//! process too, and looked at now and then; until it has gone no other run of the service begins.

use std::collections::BTreeSet;

use nix::libc;

use super::{
    Runs, end_mark,
    run::{Run, Sweep},
};
use proc::{Family, Stat};

use crate::{
    cgroup::{self, Group},
    clock::now_ms,
    cookie::cookie,
    kit::Kit,
    left::{self, kill_exactly},
    message::{Fact, Role, RunId},
    stderr_log::error,
    sys::pidfd,
    timers::Timer,
};

/// Time after which a sweep reports the processes that SIGKILL has not ended.
const GIVE_UP_MS: u64 = 5000;
const PAUSE_MIN_MS: u64 = 1;
const PAUSE_MAX_MS: u64 = 50;
/// Time between two looks at processes that SIGKILL has not ended.
const LEFT_PAUSE_MS: u64 = 5000;

impl Runs {
    /// SIGKILL for the main process of a run and everything that belongs to it, until nothing is
    /// left.
    pub(crate) fn kill_tree(&mut self, kit: &mut Kit, id: RunId) {
        self.see_descendants(id);
        self.begin_sweep(kit, id);
    }

    fn kill_main(&self, run: &Run) {
        if !run.lives() {
            return;
        }
        let _ = pidfd::signal(&run.pidfd, libc::SIGKILL);
        // The leader is unreaped while it is in the table, so the group's number is its own.
        if self.by_pid.contains_key(&run.leader) {
            let _ = pidfd::kill(-run.leader, libc::SIGKILL);
        }
    }

    /// Remembers the descendants of a run while they can still be seen. Processes in its cgroup are
    /// found there.
    pub(crate) fn see_descendants(&mut self, id: RunId) {
        let Some(run) = self.all.get(&id).filter(|run| run.lives()) else {
            return;
        };
        let family = Family::look();
        let group = self.group_of(run);
        let seen = [run.leader, run.main]
            .into_iter()
            .flat_map(|pid| family.descendants(pid))
            .filter(|pid| group.is_none_or(|group| !group.holds(*pid)))
            .filter_map(|pid| Some((pid, proc::stat(pid)?.start)))
            .collect();
        if let Some(run) = self.all.get_mut(&id) {
            run.seen = seen;
        }
    }

    /// Sweeps a run at the request of the control process.
    pub(crate) fn sweep_asked(&mut self, kit: &mut Kit, id: RunId) {
        match self.all.get(&id) {
            Some(run) if run.lives() => self.kill_tree(kit, id),
            Some(run) if !run.swept => self.begin_sweep(kit, id),
            _ => {}
        }
    }

    /// The main process is gone, or is to go; kill it and look for the rest. Done at once if there
    /// is nothing.
    pub(crate) fn begin_sweep(&mut self, kit: &mut Kit, id: RunId) {
        let Some(run) = self.all.get_mut(&id) else {
            return;
        };
        run.left.clear();
        run.sweep = Some(Sweep {
            until_ms: now_ms() + GIVE_UP_MS,
            pause_ms: PAUSE_MIN_MS,
            next_ms: 0,
        });
        self.sweeping.insert(id);
        self.sweep_step(kit, id);
    }

    /// The next look of a sweep may be due.
    pub(crate) fn sweep_due(&mut self, kit: &mut Kit, id: RunId) {
        let sweep = self.all.get(&id).and_then(|run| run.sweep);
        if sweep.is_some_and(|sweep| sweep.next_ms <= now_ms()) {
            self.sweep_step(kit, id);
        }
    }

    /// Kills what is left; reports when nothing is, or when it takes too long.
    pub(crate) fn sweep_step(&mut self, kit: &mut Kit, id: RunId) {
        // The timer may be of a sweep that is over: by now the group may hold the next run.
        let Some(run) = self.all.get(&id).filter(|run| run.sweep.is_some()) else {
            self.sweeping.remove(&id);
            return;
        };
        self.kill_main(run);
        let main = run.lives().then_some(run.main);
        let mut left = self.kill_remaining(kit, id);
        left.extend(main);
        if left.is_empty() {
            self.is_gone(kit, id);
            self.has_swept = true;
            kit.facts.push(Fact::Swept {
                run: id,
                left: Vec::new(),
            });
        } else {
            self.look_again(kit, id, &left.into_iter().collect::<Vec<_>>());
        }
    }

    /// Something is left: when to look again, and whether it is time to say so.
    fn look_again(&mut self, kit: &mut Kit, id: RunId, pids: &[i32]) {
        let now = now_ms();
        let Some(run) = self.all.get_mut(&id) else {
            return;
        };
        let Some(sweep) = &mut run.sweep else {
            return;
        };
        // The keeper does not wait for processes that it may not signal.
        let late = now >= sweep.until_ms || pids.iter().all(|pid| left::is_refused(*pid));
        let pause = if late {
            LEFT_PAUSE_MS
        } else {
            (sweep.pause_ms * 2).min(PAUSE_MAX_MS)
        };
        sweep.pause_ms = pause;
        sweep.next_ms = now + pause;
        kit.timers.add(now + pause, Timer::Sweep(id));
        let known = || run.left.iter().map(|one| &one.pid);
        if !late || known().eq(pids.iter().take(left::LEFT_MAX)) {
            return;
        }
        let left = left::describe(pids);
        // All processes have gone just now; the next look confirms that none is left.
        if left.is_empty() {
            return;
        }
        run.left.clone_from(&left);
        error!("{}: processes that will not go: {pids:?}", run.service);
        kit.facts.push(Fact::Swept { run: id, left });
    }

    fn is_gone(&mut self, kit: &mut Kit, id: RunId) {
        let Some(run) = self.all.get_mut(&id) else {
            return;
        };
        run.swept = true;
        run.sweep = None;
        run.left.clear();
        let mut pipe_reader = None;
        if run.role == Role::Main {
            // Its last output may lack a line end, and no process is left to write one.
            let service = self.services.get(&run.service);
            if let Some(pipe) = service.and_then(|service| service.pipe.as_ref()) {
                let mark = run.exit.map(|exit| {
                    let ran_ms = run.ended_ms.saturating_sub(run.spawned_ms);
                    end_mark::text(run.main, exit, run.core, ran_ms)
                });
                kit.log.finish(&run.service, &pipe.reader, &pipe.read, mark);
                self.log_later = true;
                pipe_reader = Some(pipe.reader.clone());
            }
        }
        if let Some(group) = run.group.take()
            && !group.remove()
        {
            self.dead_groups.push(group);
        }
        // The leader may outlive a main process of its choice only until here.
        self.by_pid.remove(&run.leader);
        self.sweeping.remove(&id);
        self.gone.add(id, pipe_reader);
    }

    /// An orphan has been reaped: it may be the last process that a sweep was waiting for.
    pub(crate) fn orphan_ended(&mut self, kit: &mut Kit) {
        self.dead_groups.retain(|group| !group.remove());
        let sweeping: Vec<RunId> = self.sweeping.iter().copied().collect();
        for run in sweeping {
            self.sweep_step(kit, run);
        }
    }

    /// No main run of the service has anything left. One of which something would not go is looked
    /// at again: even a process in uninterruptible sleep ends some day.
    pub(crate) fn is_swept(&mut self, kit: &mut Kit, service: &str) -> bool {
        // Looked up by run: the service may have been forgotten and opened again since.
        let of_service = self.all.values().filter(|run| run.role == Role::Main);
        let unswept = of_service.filter(|run| !run.swept && run.service == service);
        let unswept: Vec<RunId> = unswept.map(|run| run.id).collect();
        unswept.into_iter().all(|id| {
            if self.all.get(&id).is_some_and(|run| run.is_given_up()) {
                self.sweep_step(kit, id);
            }
            self.all.get(&id).is_none_or(|run| run.swept)
        })
    }

    /// Kills everything of a run beside its main process; returns the processes that still exist.
    fn kill_remaining(&mut self, kit: &Kit, id: RunId) -> BTreeSet<i32> {
        let Some(run) = self.all.get(&id).filter(|run| !run.swept) else {
            return BTreeSet::new();
        };
        let mut left = BTreeSet::new();
        if let Some(group) = self.group_of(run)
            && !group.is_empty()
        {
            cgroup::kill(group.dir());
            left.extend(proc::members(group.dir()));
        }
        let found = self.attributed(kit, run);
        for (pid, stat) in &found {
            kill_exactly(*pid, stat);
        }
        // A killed process may still live after its parent, by which it was attributed, has gone.
        if let Some(run) = self.all.get_mut(&id) {
            let fresh = found.iter().map(|(pid, stat)| (*pid, stat.start));
            let fresh: Vec<_> = fresh.filter(|one| !run.seen.contains(one)).collect();
            run.seen.extend(fresh);
        }
        left.extend(found.into_iter().map(|(pid, _)| pid));
        left
    }

    pub(crate) fn group_of<'a>(&'a self, run: &'a Run) -> Option<&'a Group> {
        if !run.in_cgroup {
            return None;
        }
        match run.role {
            Role::Helper => run.group.as_ref(),
            Role::Main => self.services.get(&run.service)?.group.as_ref(),
        }
    }

    /// Our descendants outside its cgroup that belong to the run, without its unreaped main process
    /// and zombies.
    fn attributed(&self, kit: &Kit, run: &Run) -> Vec<(i32, Stat)> {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let family = Family::look();
        let mut found = Vec::new();
        for root in family.children(own) {
            // Main processes of other runs and processes of the keeper itself are skipped with all
            // their descendants.
            if root != run.leader && self.is_ours(kit, root) {
                continue;
            }
            let descent = family.descendants(root);
            let mut theirs = root == run.leader;
            for pid in std::iter::once(root).chain(descent) {
                let Some(stat) = proc::stat(pid) else {
                    continue;
                };
                let this = theirs
                    || belongs(run, pid, &stat)
                    || pid == root && proc::has_variable(pid, &stat, &cookie(run.id));
                // Descendants of an attributed child of the keeper are attributed with it.
                theirs |= this && pid == root;
                if this && stat.state != b'Z' && pid != run.main {
                    found.push((pid, stat));
                }
            }
        }
        found
    }

    /// Whether a process belongs to a living run and may speak for it.
    pub(crate) fn speaks_for(&self, run: &Run, pid: i32) -> bool {
        if pid == run.main || pid == run.leader {
            return true;
        }
        if run.in_cgroup {
            let group = self
                .services
                .get(&run.service)
                .and_then(|one| one.group.as_ref());
            return group.is_some_and(|group| group.holds(pid));
        }
        let Some(stat) = proc::stat(pid) else {
            return false;
        };
        belongs(run, pid, &stat)
            || descends_from(run, &stat)
            || proc::has_variable(pid, &stat, &cookie(run.id))
    }
}

/// Whether the process shows by itself that it belongs to the run.
pub(super) fn belongs(run: &Run, pid: i32, stat: &Stat) -> bool {
    stat.session == run.leader
        || stat.group == run.leader
        || run.seen.contains(&(pid, stat.start))
        || proc::holds_pipe(pid, run.pipe)
}

fn descends_from(run: &Run, stat: &Stat) -> bool {
    /// Longer lines of descent are not followed.
    const GENERATIONS_MAX: usize = 64;
    let mut parent = stat.parent;
    for _ in 0..GENERATIONS_MAX {
        if parent == run.main || parent == run.leader {
            return true;
        }
        match proc::stat(parent) {
            Some(stat) if parent > 1 => parent = stat.parent,
            _ => return false,
        }
    }
    false
}
