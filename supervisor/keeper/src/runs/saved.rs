//! Runs and services over a re-exec of the keeper: the same processes, pipes, sockets and numbers.
//!
//! What hangs on a path (cgroups, the directories of notify sockets) is opened again; all else is
//! inherited.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
};

use serde::{Deserialize, Serialize};

use super::{
    Runs,
    gone::Gone,
    notify::{Directories, Dropped, SavedDirectories, SavedSocket, Socket},
    run::{Output, Pipe, Run, Service, Sweep},
    services::log_spec,
};
use crate::{
    bytes::Bytes,
    cgroup::Group,
    inheritance::{Inherited, Keeping, Number},
    kit::Kit,
    leftovers::{Leftovers, SavedLeftovers},
    log::Taken,
    message::{Exit, Left, Open, Role, RunId, Stop},
    poller::Source,
};

/// Of all runs and services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedRuns {
    services: Vec<SavedService>,
    services_made: u64,
    all: Vec<SavedRun>,
    by_pid: Vec<(i32, RunId)>,
    /// Names of helpers' groups that wait for a child to be reaped.
    dead_groups: Vec<String>,
    /// Runs whose record is to be removed.
    gone: Vec<RunId>,
    unannounced: Vec<String>,
    sweeping: BTreeSet<RunId>,
    leftovers: SavedLeftovers,
    next_run: RunId,
    directories: SavedDirectories,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedService {
    open: Open,
    pipe: Option<SavedPipe>,
    /// Name of its group.
    group: Option<String>,
    notify: Option<SavedSocket>,
    dropped: Dropped,
    number: u64,
    main: Option<RunId>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedPipe {
    read: Number,
    write: Number,
    inode: u64,
    size: i32,
    reader: Taken,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedRun {
    id: RunId,
    service: String,
    role: Role,
    leader: i32,
    main: i32,
    pidfd: Number,
    spawned_ms: u64,
    ready: Option<Number>,
    main_only: bool,
    exit: Option<Exit>,
    core: bool,
    ended_ms: u64,
    swept: bool,
    sweep: Option<Sweep>,
    left: Vec<Left>,
    notified: BTreeMap<String, String>,
    pipe: u64,
    in_cgroup: bool,
    /// Name of its group.
    group: Option<String>,
    seen: Vec<(i32, u64)>,
    stop: Stop,
    timed_out: bool,
    output: Option<(Number, Bytes)>,
}

impl Runs {
    /// For the next image of this process.
    pub(crate) fn saved<'a>(&'a self, keeping: &mut Keeping<'a>) -> SavedRuns {
        let services = self.services.values();
        let services = services.map(|it| saved_service(it, keeping)).collect();
        let all = self.all.values().map(|it| saved_run(it, keeping)).collect();
        SavedRuns {
            services,
            services_made: self.services_made,
            all,
            by_pid: self.by_pid.iter().map(|(pid, run)| (*pid, *run)).collect(),
            dead_groups: self.dead_groups.iter().map(Group::name).collect(),
            gone: self.gone.runs(),
            unannounced: self.unannounced.clone(),
            sweeping: self.sweeping.clone(),
            leftovers: self.leftovers.saved(),
            next_run: self.next_run,
            directories: self.directories.saved(),
        }
    }

    /// As an earlier image of this process had them. Nothing is read yet: what hangs on the log
    /// thread waits until that is woken.
    pub(crate) fn resume(
        saved: SavedRuns,
        inherited: &mut Inherited,
        kit: &Kit,
        mut directories: Directories,
    ) -> io::Result<Self> {
        directories.resume(&saved.directories, &kit.removals);
        let dead = saved.dead_groups.iter();
        let dead = dead.filter_map(|name| group(kit, name)).collect();
        let mut runs = Self {
            services_made: saved.services_made,
            by_pid: saved.by_pid.into_iter().collect(),
            dead_groups: dead,
            gone: Gone::of(saved.gone),
            unannounced: saved.unannounced,
            sweeping: saved.sweeping,
            next_run: saved.next_run,
            ..Self::with(Leftovers::resume(saved.leftovers, &kit.files), directories)
        };
        for service in saved.services {
            let name = service.open.service.clone();
            let service = resumed_service(service, inherited, kit)?;
            runs.services.insert(name, Box::new(service));
        }
        for run in saved.all {
            let run = resumed_run(run, inherited, kit)?;
            runs.all.insert(run.id, Box::new(run));
        }
        runs.watch_again(kit);
        Ok(runs)
    }

    /// Watches what the epoll of the earlier image watched.
    fn watch_again(&self, kit: &Kit) {
        for service in self.services.values() {
            if let Some(socket) = &service.notify {
                kit.poller.watch(socket, Source::Notify(service.number));
            }
        }
        for run in self.all.values().filter(|run| run.lives()) {
            if let Some(ready) = &run.ready {
                kit.poller.watch(ready, Source::Ready(run.id));
            }
            if let Some(output) = &run.output {
                kit.poller.watch(&output.pipe, Source::Output(run.id));
            }
            if run.main != run.leader {
                kit.poller.watch(&run.pidfd, Source::Main(run.id));
            }
        }
    }
}

fn group(kit: &Kit, name: &str) -> Option<Group> {
    kit.cgroups.as_ref()?.again(name).ok()
}

fn saved_service<'a>(service: &'a Service, keeping: &mut Keeping<'a>) -> SavedService {
    let pipe = service.pipe.as_ref().map(|pipe| SavedPipe {
        read: keeping.keep(&pipe.read),
        write: keeping.keep(&pipe.write),
        inode: pipe.inode,
        size: pipe.size,
        reader: pipe.reader.saved(),
    });
    SavedService {
        open: service.open.clone(),
        pipe,
        group: service.group.as_ref().map(Group::name),
        notify: service.notify.as_ref().map(|it| it.saved(keeping)),
        dropped: service.dropped.clone(),
        number: service.number,
        main: service.main,
    }
}

fn resumed_service(
    saved: SavedService,
    inherited: &mut Inherited,
    kit: &Kit,
) -> io::Result<Service> {
    let pipe = saved
        .pipe
        .map(|pipe| resumed_pipe(pipe, &saved.open, inherited, kit));
    let notify = saved.notify.map(|it| Socket::resume(it, inherited));
    Ok(Service {
        pipe: pipe.transpose()?,
        group: saved.group.and_then(|name| group(kit, &name)),
        notify: notify.transpose()?,
        dropped: saved.dropped,
        number: saved.number,
        main: saved.main,
        open: saved.open,
    })
}

fn resumed_pipe(
    saved: SavedPipe,
    open: &Open,
    inherited: &mut Inherited,
    kit: &Kit,
) -> io::Result<Pipe> {
    let read = inherited.take(saved.read)?;
    let for_log = read.try_clone()?;
    let reader = kit
        .log
        .open_again(&open.service, log_spec(open), for_log, saved.reader);
    Ok(Pipe {
        read,
        write: inherited.take(saved.write)?,
        inode: saved.inode,
        size: saved.size,
        reader,
    })
}

fn saved_run<'a>(run: &'a Run, keeping: &mut Keeping<'a>) -> SavedRun {
    let output = run.output.as_ref().map(|output| {
        let tail = output.tail.iter().copied().collect();
        (keeping.keep(&output.pipe), Bytes(tail))
    });
    SavedRun {
        id: run.id,
        service: run.service.clone(),
        role: run.role,
        leader: run.leader,
        main: run.main,
        pidfd: keeping.keep(&run.pidfd),
        spawned_ms: run.spawned_ms,
        ready: run.ready.as_ref().map(|it| keeping.keep(it)),
        main_only: run.main_only,
        exit: run.exit,
        core: run.core,
        ended_ms: run.ended_ms,
        swept: run.swept,
        sweep: run.sweep,
        left: run.left.clone(),
        notified: run.notified.clone(),
        pipe: run.pipe,
        in_cgroup: run.in_cgroup,
        group: run.group.as_ref().map(Group::name),
        seen: run.seen.clone(),
        stop: run.stop,
        timed_out: run.timed_out,
        output,
    }
}

fn resumed_run(saved: SavedRun, inherited: &mut Inherited, kit: &Kit) -> io::Result<Run> {
    let output = saved.output.map(|(pipe, Bytes(tail))| {
        let pipe = inherited.take(pipe)?;
        let tail = VecDeque::from(tail);
        Ok::<_, io::Error>(Output { pipe, tail })
    });
    Ok(Run {
        output: output.transpose()?,
        pidfd: inherited.take(saved.pidfd)?,
        ready: inherited.take_any(saved.ready)?,
        group: saved.group.and_then(|name| group(kit, &name)),
        id: saved.id,
        service: saved.service,
        role: saved.role,
        leader: saved.leader,
        main: saved.main,
        spawned_ms: saved.spawned_ms,
        main_only: saved.main_only,
        exit: saved.exit,
        core: saved.core,
        ended_ms: saved.ended_ms,
        swept: saved.swept,
        sweep: saved.sweep,
        left: saved.left,
        notified: saved.notified,
        pipe: saved.pipe,
        in_cgroup: saved.in_cgroup,
        seen: saved.seen,
        stop: saved.stop,
        timed_out: saved.timed_out,
    })
}
