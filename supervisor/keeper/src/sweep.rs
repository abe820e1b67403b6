//! Nothing of a run outlives it: what belongs to it is found and killed until nothing is left.
//!
//! With a cgroup that is what is in it. Without, it is among the keeper's own descendants, for the
//! keeper is their subreaper: those with the run's log pipe, session or group, those that were seen
//! to descend from it, those that still have the cookie of its environment, and all that descends
//! from these. What cannot be attributed is left alone.

use std::sync::OnceLock;

use nix::libc;

use crate::{
    cgroup::{self, Group},
    clock::now_ms,
    keeper::Keeper,
    message::{Fact, Role, RunId},
    proc::{self, Family, Stat},
    run::{Run, Sweep},
    say::say,
    sys::pidfd,
    timers::Timer,
};

/// After this a sweep says what would not go.
const GIVE_UP_MS: u64 = 5000;
const PAUSE_MIN_MS: u64 = 1;
const PAUSE_MAX_MS: u64 = 50;

impl Keeper {
    /// SIGKILL for the main process of a run and everything that belongs to it.
    pub(crate) fn kill_tree(&mut self, id: RunId) {
        self.see_descendants(id);
        let Some(run) = self.runs.get(&id) else {
            return;
        };
        let _ = pidfd::signal(&run.pidfd, libc::SIGKILL);
        // The leader is unreaped while it is in the table, so the group's number is its own.
        if self.by_pid.contains_key(&run.leader) {
            let _ = pidfd::kill(-run.leader, libc::SIGKILL);
        }
        self.kill_remaining(id);
    }

    /// Remembers who descends from a run while that can still be seen. Needless with a cgroup.
    pub(crate) fn see_descendants(&mut self, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        if run.in_cgroup || !run.lives() {
            return;
        }
        let family = Family::look();
        let pids = [run.leader, run.main]
            .into_iter()
            .flat_map(|pid| family.descendants(pid));
        run.seen = pids
            .filter_map(|pid| Some((pid, proc::stat(pid)?.start)))
            .collect();
    }

    /// Asked for by the control process.
    pub(crate) fn sweep_asked(&mut self, id: RunId) {
        match self.runs.get(&id) {
            Some(run) if run.lives() => self.kill_tree(id),
            Some(run) if !run.swept => self.begin_sweep(id),
            _ => {}
        }
    }

    /// The main process is gone; look for the rest. Done at once if there is none.
    pub(crate) fn begin_sweep(&mut self, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        run.sweep = Some(Sweep {
            until_ms: now_ms() + GIVE_UP_MS,
            pause_ms: PAUSE_MIN_MS,
        });
        self.sweeping.insert(id);
        self.sweep_step(id);
    }

    /// Kills what is left, reports when nothing is, or when it takes too long.
    pub(crate) fn sweep_step(&mut self, id: RunId) {
        // A timer of a sweep that is over: by now the group may hold the next run.
        if self.runs.get(&id).is_none_or(|run| run.sweep.is_none()) {
            self.sweeping.remove(&id);
            return;
        }
        let left = self.kill_remaining(id);
        let Some(run) = self.runs.get_mut(&id) else {
            self.sweeping.remove(&id);
            return;
        };
        let Some(sweep) = &mut run.sweep else {
            return;
        };
        let now = now_ms();
        if !left.is_empty() && now < sweep.until_ms {
            let pause = sweep.pause_ms;
            sweep.pause_ms = (pause * 2).min(PAUSE_MAX_MS);
            self.timers.add(now + pause, Timer::Sweep(id));
            return;
        }
        run.sweep = None;
        self.sweeping.remove(&id);
        if left.is_empty() {
            self.is_gone(id);
        } else {
            say!("{}: processes that will not go: {left:?}", run.service);
        }
        self.push(Fact::Swept { run: id, left });
    }

    fn is_gone(&mut self, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        run.swept = true;
        if run.role == Role::Main {
            // Its last words may lack a line end, and nobody is left to write one.
            let service = self.services.get(&run.service);
            if let Some(pipe) = service.and_then(|service| service.pipe.as_ref()) {
                self.log.finish(&run.service, &pipe.flow, &pipe.read);
                self.log_later = true;
            }
        }
        if let Some(group) = run.group.take()
            && !group.remove()
        {
            self.dead_groups.push(group);
        }
        // The leader may outlive a main process of its choice only until here.
        self.by_pid.remove(&run.leader);
        self.gone.push(id);
    }

    /// No main run of the service has anything left. One whose sweep was given up is looked at
    /// again, since even a process in uninterruptible sleep ends some day.
    pub(crate) fn is_swept(&mut self, service: &str) -> bool {
        let Some(id) = self.services.get(service).and_then(|service| service.main) else {
            return true;
        };
        let Some(run) = self.runs.get(&id) else {
            return true;
        };
        if run.lives() || run.swept || run.sweep.is_some() {
            return run.swept;
        }
        let gone = self.kill_remaining(id).is_empty();
        if gone {
            self.is_gone(id);
            let left = Vec::new();
            self.push(Fact::Swept { run: id, left });
        }
        gone
    }

    /// Kills what belongs to a run beside its main process, and returns who is still there.
    fn kill_remaining(&mut self, id: RunId) -> Vec<i32> {
        let Some(run) = self.runs.get(&id).filter(|run| !run.swept) else {
            return Vec::new();
        };
        if let Some(group) = self.group_of(run) {
            if group.is_empty() {
                return Vec::new();
            }
            cgroup::kill(group.dir());
            return cgroup::members(group.dir());
        }
        let found = self.attributed(run);
        for (pid, stat) in &found {
            kill_exactly(*pid, stat);
        }
        // Killed is not dead: its trace may have gone with its parent before it goes itself.
        if let Some(run) = self.runs.get_mut(&id) {
            let fresh = found.iter().map(|(pid, stat)| (*pid, stat.start));
            let fresh: Vec<_> = fresh.filter(|one| !run.seen.contains(one)).collect();
            run.seen.extend(fresh);
        }
        found.into_iter().map(|(pid, _)| pid).collect()
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

    /// Our descendants that belong to the run, without its unreaped main process and zombies.
    fn attributed(&self, run: &Run) -> Vec<(i32, Stat)> {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let family = Family::look();
        let mut found = Vec::new();
        for root in family.children(own) {
            // Whoever has a run of its own, and the control process, is not looked at, nor what
            // descends from them: it is theirs.
            let known = self.by_pid.contains_key(&root) && root != run.leader;
            if known || self.control.pid == Some(root) {
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
                    || pid == root && proc::has_variable(pid, &cookie(run.id));
                // What descends from an attributed child of ours is attributed with it.
                theirs |= this && pid == root;
                if this && stat.state != b'Z' && pid != run.main {
                    found.push((pid, stat));
                }
            }
        }
        found
    }

    /// A process belongs to a living run: for who may speak for it.
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
            || proc::has_variable(pid, &cookie(run.id))
    }
}

/// What a cookie begins with.
pub(crate) const COOKIE: &str = "MATTERVISOR_RUN=";

/// A variable that every process of a run without a cgroup starts with: a daemon that has left
/// session, group and log pipe before anybody looked still has it. With the keeper's pid comes when it
/// started: in a container there may be another keeper of the same pid.
pub(crate) fn cookie(run: RunId) -> String {
    static STARTED: OnceLock<u64> = OnceLock::new();
    let pid = std::process::id();
    let own = || i32::try_from(pid).ok().and_then(proc::stat);
    let started = STARTED.get_or_init(|| own().map_or(0, |stat| stat.start));
    format!("{COOKIE}{pid}.{started}-{run}")
}

/// By what the process itself shows.
fn belongs(run: &Run, pid: i32, stat: &Stat) -> bool {
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

/// Kills this process, and not one that has got its pid since.
pub(crate) fn kill_exactly(pid: i32, stat: &Stat) {
    if let Ok(fd) = pidfd::open(pid)
        && proc::stat(pid).is_some_and(|now| now.start == stat.start)
    {
        let _ = pidfd::signal(fd, libc::SIGKILL);
    }
}
