//! Spawns a run: first everything is prepared; then the process is cloned, writes its own record
//! and executes its program before the keeper handles the next request. So no run ever executes
//! without a record.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::CString,
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::PathBuf,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
    sys::stat::fstat,
    unistd::{Gid, Uid, fchown, pipe2},
};

use super::{
    Runs, description,
    limits::rlimits,
    ready,
    run::{Output, Run},
};
use crate::{
    cgroup::Group,
    clock::now_ms,
    cookie::cookie,
    kit::Kit,
    message::{Fact, Role, Spawn, SpawnStage},
    original::Original,
    poller::Source,
    record::{self, Record},
    sys::{
        caps,
        child::{ChildSpec, CpuSet, Ids, Program, SpawnError, c_string},
        spawn::Spawned,
    },
    timers::Timer,
};

/// Standard output and error of a child.
struct Streams {
    /// Pipe of a helper; a main run writes to its service's pipe.
    write: Option<OwnedFd>,
    inode: u64,
    /// Output of a helper.
    output: Option<Output>,
}

impl Runs {
    /// Starts a run; an error names the stage that failed.
    pub(crate) fn spawn(&mut self, kit: &mut Kit, spawn: &Spawn) -> Result<(), SpawnError> {
        self.next_run = self.next_run.max(spawn.run + 1);
        self.may_spawn(kit, spawn)?;
        let mut streams = self
            .streams(kit, spawn)
            .map_err(|errno| (SpawnStage::Pipe, errno))?;
        let notify = spawn
            .notify
            .then(|| self.notify_socket(kit, &spawn.service));
        let notify = notify
            .transpose()
            .map_err(|errno| (SpawnStage::Notify, errno))?;
        let mut plan = plan(spawn, &kit.original, notify.as_deref())?;
        let output = streams.write_end(self, &spawn.service);
        let output = output.map_err(|errno| (SpawnStage::Pipe, errno))?;
        plan.fds = vec![kit.null.as_raw_fd(), output.as_raw_fd(), output.as_raw_fd()];
        let ready = ready::pipe(spawn)?;
        plan.ready = ready
            .as_ref()
            .map(|(_, write, number)| (write.as_raw_fd(), *number));
        let helper_group = helper_group(kit, spawn);
        let child = self.spawn_child(kit, spawn, plan, &streams, helper_group.as_ref());
        let child = match (child, helper_group) {
            (Ok(child), group) => (child, group),
            (Err(failure), group) => {
                // The failed child has not been reaped: the group is empty only after that.
                self.dead_groups.extend(group);
                return Err(failure);
            }
        };
        self.take_in(kit, spawn, child, streams, ready.map(|(read, ..)| read));
        Ok(())
    }

    fn may_spawn(&mut self, kit: &mut Kit, spawn: &Spawn) -> Result<(), SpawnError> {
        if kit.is_shutting_down() {
            return Err((SpawnStage::Shutdown, Errno::ESHUTDOWN));
        }
        if self.all.contains_key(&spawn.run) {
            return Err((SpawnStage::RunNumber, Errno::EEXIST));
        }
        // A helper has output and group of its own: validators run before the first start.
        if spawn.role == Role::Main && !self.services.contains_key(&spawn.service) {
            return Err((SpawnStage::Unopened, Errno::ENOENT));
        }
        if spawn.role == Role::Main && !self.is_swept(kit, &spawn.service) {
            return Err((SpawnStage::Unswept, Errno::EBUSY));
        }
        if spawn.role == Role::Main && !self.leftovers.are_gone(&spawn.service, &kit.files) {
            return Err((SpawnStage::Leftovers, Errno::EBUSY));
        }
        Ok(())
    }

    /// The process itself, with its record, in its group.
    fn spawn_child(
        &self,
        kit: &Kit,
        spawn: &Spawn,
        mut plan: ChildSpec,
        streams: &Streams,
        helper_group: Option<&Group>,
    ) -> Result<Spawned, SpawnError> {
        let group = match spawn.role {
            Role::Main => self.services[&spawn.service].group.as_ref(),
            Role::Helper => helper_group,
        };
        plan.cgroup_procs = group.and_then(Group::procs);
        let variable = c_string(cookie(spawn.run).into_bytes());
        plan.env
            .push(variable.map_err(|errno| (SpawnStage::Arguments, errno))?);
        let record = Record {
            version: record::VERSION,
            run: spawn.run,
            service: spawn.service.clone(),
            role: spawn.role,
            pid: 0,
            start: 0,
            boot_id: kit.boot_id.clone(),
            cgroup: group.map(|group| group.dir().to_owned()),
            pipe: streams.inode,
            cookie: cookie(spawn.run),
            stop: spawn.stop,
            gap_told: false,
        };
        let errno = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        let note = kit.files.note(&record);
        plan.record = Some(note.map_err(|error| (SpawnStage::Record, errno(error)))?);
        let child = kit.make_run(&plan, group.map(AsFd::as_fd));
        if child.is_err() {
            kit.files.remove(spawn.run);
        }
        child
    }

    fn streams(&mut self, kit: &mut Kit, spawn: &Spawn) -> Result<Streams, Errno> {
        if spawn.role == Role::Main {
            self.make_pipe(kit, &spawn.service)?;
            let pipe = self.services[&spawn.service].pipe.as_ref();
            return Ok(Streams {
                write: None,
                inode: pipe.ok_or(Errno::EPIPE)?.inode,
                output: None,
            });
        }
        let (pipe, write) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        if let Some(ids) = &spawn.ids {
            let _ = fchown(
                &pipe,
                Some(Uid::from_raw(ids.uid)),
                Some(Gid::from_raw(ids.gid)),
            );
        }
        let inode = fstat(&pipe)?.st_ino;
        let tail = VecDeque::new();
        Ok(Streams {
            write: Some(write),
            inode,
            output: Some(Output { pipe, tail }),
        })
    }

    fn take_in(
        &mut self,
        kit: &mut Kit,
        spawn: &Spawn,
        (child, group): (Spawned, Option<Group>),
        streams: Streams,
        ready: Option<OwnedFd>,
    ) {
        let now = now_ms();
        if let Some(ready) = &ready {
            kit.poller.watch(ready, Source::Ready(spawn.run));
        }
        if let Some(output) = &streams.output {
            kit.poller.watch(&output.pipe, Source::Output(spawn.run));
        }
        if let Some(timeout) = spawn.timeout_ms {
            kit.timers.add(now + timeout, Timer::Helper(spawn.run));
        }
        if spawn.role == Role::Main
            && let Some(service) = self.services.get_mut(&spawn.service)
        {
            service.main = Some(spawn.run);
        }
        self.by_pid.insert(child.pid, spawn.run);
        let run = Run {
            id: spawn.run,
            service: spawn.service.clone(),
            role: spawn.role,
            leader: child.pid,
            main: child.pid,
            pidfd: child.pidfd,
            spawned_ms: now,
            ready,
            main_only: spawn.notify_main_only,
            exit: None,
            core: false,
            ended_ms: 0,
            swept: false,
            sweep: None,
            left: Vec::new(),
            notified: BTreeMap::default(),
            pipe: streams.inode,
            in_cgroup: child.in_cgroup,
            group,
            seen: Vec::new(),
            stop: spawn.stop,
            timed_out: false,
            output: streams.output,
        };
        self.all.insert(spawn.run, Box::new(run));
        kit.facts.push(Fact::Spawned {
            run: spawn.run,
            pid: child.pid,
            at_ms: now,
        });
    }
}

/// A group of its own for a helper, where there are groups.
fn helper_group(kit: &Kit, spawn: &Spawn) -> Option<Group> {
    let groups = kit.cgroups.as_ref()?;
    let wanted = spawn.role == Role::Helper;
    wanted.then(|| groups.helper(spawn.run).ok()).flatten()
}

impl Streams {
    /// Output of the child: an open file description of its own, so that flags that the child sets
    /// affect neither the next run nor the keeper.
    fn write_end(&mut self, runs: &Runs, service: &str) -> Result<OwnedFd, Errno> {
        if let Some(write) = self.write.take() {
            return Ok(write);
        }
        let pipe = runs.services.get(service).and_then(|it| it.pipe.as_ref());
        description::of_pipe(pipe.ok_or(Errno::EPIPE)?)
    }
}

fn plan(spawn: &Spawn, original: &Original, notify: Option<&str>) -> Result<ChildSpec, SpawnError> {
    let text = |text: &str| {
        c_string(text.as_bytes().to_vec()).map_err(|errno| (SpawnStage::Arguments, errno))
    };
    let argv = spawn
        .argv
        .iter()
        .map(|one| text(one))
        .collect::<Result<Vec<_>, _>>()?;
    let program = argv
        .first()
        .ok_or((SpawnStage::Arguments, Errno::EINVAL))?
        .clone();
    let notify = notify.map(|name| format!("NOTIFY_SOCKET={name}"));
    let env = spawn
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let env = env
        .chain(notify)
        .map(|one| text(&one))
        .collect::<Result<Vec<_>, _>>()?;
    // An ordinary user may name its own ids; the calls themselves are refused to it.
    let ids = spawn.ids.as_ref().filter(|ids| {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        uid.is_root() || ids.uid != uid.as_raw() || ids.gid != gid.as_raw()
    });
    Ok(ChildSpec {
        program: Program::Path(program),
        argv,
        env,
        cwd: path(Some(&spawn.cwd), SpawnStage::Chdir)?,
        rlimits: rlimits(spawn, original)?,
        umask: Some(spawn.umask),
        nice: spawn.nice,
        io_priority: spawn.io_priority,
        cpu_affinity: spawn.cpu_affinity.as_deref().map(cpus).transpose()?,
        oom_score_adj: spawn
            .oom_score_adj
            .map(|score| score.to_string())
            .or_else(|| original.oom_score_adj.clone()),
        ids: ids.map(|ids| Ids {
            uid: ids.uid,
            gid: ids.gid,
            groups: ids.groups.clone(),
        }),
        capabilities: capabilities(spawn)?,
        no_new_privs: spawn.no_new_privs,
        blocked: 0,
        fds: Vec::new(),
        stdin: path(spawn.stdin.as_ref(), SpawnStage::Stdin)?,
        ready: None,
        record: None,
        cgroup_procs: None,
    })
}

fn path(path: Option<&PathBuf>, stage: SpawnStage) -> Result<Option<CString>, SpawnError> {
    let path = path.map(|path| c_string(path.clone().into_os_string().into_vec()));
    path.transpose().map_err(|errno| (stage, errno))
}

fn capabilities(spawn: &Spawn) -> Result<caps::Wish, SpawnError> {
    let set = |names: &Option<Vec<String>>| {
        let set = names.as_deref().map(caps::parse);
        set.map(|set| set.ok_or((SpawnStage::Capabilities, Errno::EINVAL)))
            .transpose()
    };
    Ok(caps::Wish {
        only: set(&spawn.capabilities)?,
        bounding: set(&spawn.capability_bounding_set)?,
        ambient: set(&spawn.ambient_capabilities)?.unwrap_or(0),
    })
}

fn cpus(numbers: &[u32]) -> Result<Box<CpuSet>, SpawnError> {
    let mut set = Box::new([0; _]);
    for number in numbers {
        let word = usize::try_from(number / u64::BITS).unwrap_or(usize::MAX);
        let word = set
            .get_mut(word)
            .ok_or((SpawnStage::CpuAffinity, Errno::EINVAL))?;
        *word |= 1 << (number % u64::BITS);
    }
    Ok(set)
}
