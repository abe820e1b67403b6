//! All runs, and their services: spawned, watched, heard, swept, acknowledged.
//!
//! Owner of every process of a service. Invariants: a run is in the table from its spawn until it
//! is swept and the last fact about it has been acknowledged; a pid is in `by_pid` only until it is
//! reaped, so no signal ever goes to a reused pid; a service never has a second main run while
//! processes of the first are left.
//!
//! Path of a run: `spawn` starts it, `ready` and `notify` read its messages, `end` reaps and
//! reports it, `sweep` kills the processes that it left, `gone` keeps its record until its last
//! output is in the log. `services` has everything that outlives the runs.

mod description;
mod end;
mod end_mark;
mod gone;
mod limits;
mod notify;
mod ready;
mod run;
mod saved;
mod services;
mod spawn;
mod sweep;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nix::libc;

use self::{
    gone::Gone,
    notify::Socket,
    run::{Run, Service},
};
pub(crate) use self::{
    notify::{Directories, threads_work},
    saved::SavedRuns,
};
use proc::Stat;

use crate::{
    cgroup::Group,
    cookie::cookie,
    kit::Kit,
    leftovers::Leftovers,
    message::{Notice, Remaining, Role, RunId, Stop},
    record::{self, Record},
    stderr_log::{error, say},
    sys::pidfd,
};

/// Every run and every service.
#[derive(Debug)]
pub(crate) struct Runs {
    /// Boxed, as `all`: a tree has room for more than it holds.
    services: BTreeMap<String, Box<Service>>,
    services_made: u64,
    all: BTreeMap<RunId, Box<Run>>,
    /// Main processes that have not been reaped.
    by_pid: HashMap<i32, RunId>,
    /// Cgroups of helpers whose spawn failed: removed once the child has been reaped.
    dead_groups: Vec<Group>,
    /// Runs of which only the record is left.
    gone: Gone,
    /// Services whose log pipe control does not have yet.
    unannounced: Vec<String>,
    /// Runs whose sweep is in progress.
    sweeping: BTreeSet<RunId>,
    /// Whether a run has been swept since `take_has_swept`.
    has_swept: bool,
    /// Leftovers of an earlier keeper's runs.
    leftovers: Leftovers,
    next_run: RunId,
    directories: Directories,
    /// Whether the log thread has work that can wait a little.
    log_later: bool,
}

impl Runs {
    /// Has no runs yet, only an earlier keeper's leftovers.
    pub(crate) fn with(leftovers: Leftovers, directories: Directories) -> Self {
        Self {
            services: BTreeMap::new(),
            services_made: 0,
            all: BTreeMap::new(),
            by_pid: HashMap::new(),
            dead_groups: Vec::new(),
            gone: Gone::default(),
            unannounced: Vec::new(),
            sweeping: BTreeSet::new(),
            has_swept: false,
            next_run: leftovers.next_run(),
            leftovers,
            directories,
            log_later: false,
        }
    }

    /// The first free run number.
    pub(crate) const fn next_run(&self) -> RunId {
        self.next_run
    }

    /// The run that has this process as its unreaped main process or leader.
    pub(crate) fn run_of(&self, pid: i32) -> Option<RunId> {
        self.by_pid.get(&pid).copied()
    }

    /// Runs that live, or of which something may be left that nobody has given up; the newest last.
    pub(crate) fn living(&self) -> Vec<RunId> {
        let runs = self.all.values();
        let living = runs.filter(|run| run.lives() && !run.is_given_up());
        living.map(|run| run.id).collect()
    }

    /// Whether the process of the run lives, or its end has not been handled yet.
    pub(crate) fn lives(&self, id: RunId) -> bool {
        self.all.get(&id).is_some_and(|run| run.lives())
    }

    /// Whether the keeper has nothing more to wait for in this run.
    pub(crate) fn is_over(&self, id: RunId) -> bool {
        self.all.get(&id).is_none_or(|run| run.is_over())
    }

    /// Whether the keeper has nothing more to wait for in any run.
    pub(crate) fn are_over(&self) -> bool {
        self.all.values().all(|run| run.is_over())
    }

    /// Runs that have processes left.
    pub(crate) fn unswept(&self) -> BTreeSet<RunId> {
        let unswept = self.all.values().filter(|run| !run.swept);
        unswept.map(|run| run.id).collect()
    }

    /// The stop times of living main runs.
    pub(crate) fn stop_times_ms(&self) -> impl Iterator<Item = u64> + '_ {
        let mains = self.all.values();
        let mains = mains.filter(|run| run.lives() && run.role == Role::Main);
        mains.map(|run| run.stop_time_ms())
    }

    /// A run's role and how it is to be stopped.
    pub(crate) fn stop_of(&self, id: RunId) -> Option<(Role, Stop)> {
        self.all.get(&id).map(|run| (run.role, run.stop))
    }

    /// All runs, for a new control process.
    pub(crate) fn notices(&self) -> impl Iterator<Item = Notice> + '_ {
        let runs = self.all.values();
        runs.map(|run| Notice::Run(Box::new(run.info())))
    }

    /// Leftovers of an earlier keeper's runs.
    pub(crate) const fn leftovers(&self) -> &Leftovers {
        &self.leftovers
    }

    /// Looks again for leftovers of an earlier keeper. Some: some have gone; these remain.
    pub(crate) fn leftovers_due(&mut self, kit: &mut Kit) -> Option<Vec<Remaining>> {
        let some_have_gone = self.leftovers.look_again(&kit.files);
        self.leftovers.look_later(&mut kit.timers);
        some_have_gone.then(|| self.leftovers.remaining())
    }

    /// True, once: a run has been swept.
    pub(crate) fn take_has_swept(&mut self) -> bool {
        std::mem::take(&mut self.has_swept)
    }

    /// True, once: the log thread may be woken a little later than now.
    pub(crate) fn take_log_later(&mut self) -> bool {
        std::mem::take(&mut self.log_later)
    }

    /// Whether a thread is taking away a message of some service.
    pub(crate) fn some_socket_is_busy(&self) -> bool {
        let mut sockets = self.services.values().filter_map(|it| it.notify.as_ref());
        sockets.any(Socket::is_busy)
    }

    /// Removes records that are no longer needed, unless that can wait.
    pub(crate) fn remove_records(&mut self, kit: &mut Kit) {
        self.gone.remove_records(kit);
    }

    /// Notes that the timer for records has come.
    pub(crate) const fn records_due(&mut self) {
        self.gone.look_due();
    }

    /// Removes the directories of notify sockets, at the end of the daemon.
    pub(crate) fn remove_directories(&self) {
        self.directories.remove();
    }

    /// Sends a signal to a main process, on behalf of the control process.
    pub(crate) fn signal(&mut self, id: RunId, signal: i32, cont: bool) {
        self.see_descendants(id);
        let Some(run) = self.all.get(&id).filter(|run| run.lives()) else {
            return;
        };
        if let Err(error) = pidfd::signal(&run.pidfd, signal) {
            let (service, pid) = (&run.service, run.main);
            error!("{service}: could not send signal {signal} to pid {pid}: {error}");
        }
        if cont {
            let _ = pidfd::signal(&run.pidfd, libc::SIGCONT);
        }
    }

    /// Asks a run to end. SIGCONT follows, since a paused process must be woken to see the signal.
    pub(crate) fn ask_to_end(&self, id: RunId, signal: i32) {
        if let Some(run) = self.all.get(&id) {
            let _ = pidfd::signal(&run.pidfd, signal);
            let _ = pidfd::signal(&run.pidfd, libc::SIGCONT);
        }
    }

    /// Like [`Self::ask_to_end`], with a log line.
    pub(crate) fn stop(&mut self, id: RunId, signal: i32) {
        self.see_descendants(id);
        if let Some(run) = self.all.get(&id) {
            say!("{}: stops run {id} (pid {})", run.service, run.main);
            self.ask_to_end(id, signal);
        }
    }

    /// A run is forgotten once it is swept and the last fact about it has been taken in. Its
    /// `Swept` is such a fact, so only runs of this acknowledgement need a look.
    pub(crate) fn acknowledged(&mut self, kit: &mut Kit, seq: u64) {
        for id in kit.facts.acknowledge(seq) {
            let Some(run) = self.all.get(&id).filter(|run| run.swept) else {
                continue;
            };
            if let Some(service) = self.services.get_mut(&run.service)
                && service.main == Some(id)
            {
                service.main = None;
            }
            self.all.remove(&id);
        }
    }

    /// The record of a run, as its process has written it.
    pub(crate) fn record_of(&self, kit: &Kit, id: RunId) -> Option<Record> {
        let run = self.all.get(&id)?;
        // After reaping, the pid may be reused: start time 0 matches no process.
        let leader = self.by_pid.get(&run.leader).filter(|owner| **owner == id);
        let start = leader.and_then(|_| proc::stat(run.leader));
        Some(Record {
            version: record::VERSION,
            run: id,
            service: run.service.clone(),
            role: run.role,
            pid: run.leader,
            start: start.map_or(0, |stat| stat.start),
            boot_id: kit.boot_id.clone(),
            cgroup: self.group_of(run).map(|group| group.dir().to_owned()),
            pipe: run.pipe,
            cookie: cookie(id),
            stop: run.stop,
            gap_told: kit.is_shutting_down(),
        })
    }

    /// Whether the process is the main process of a run, or a process of the keeper itself.
    pub(crate) fn is_ours(&self, kit: &Kit, pid: i32) -> bool {
        self.by_pid.contains_key(&pid) || kit.own_children.contains(&pid)
    }

    /// A daemon of a service that lives, or of one that is being swept.
    pub(crate) fn has_process(&self, pid: i32, stat: &Stat) -> bool {
        let of_group = || {
            let mut services = self.services.values();
            services.any(|it| it.group.as_ref().is_some_and(|group| group.holds(pid)))
        };
        let mut runs = self.all.values().filter(|run| !run.swept);
        of_group()
            || runs.any(|run| {
                let group = self.group_of(run);
                group.is_some_and(|group| group.holds(pid))
                    || sweep::belongs(run, pid, stat)
                    || proc::has_variable(pid, stat, &cookie(run.id))
            })
    }
}
