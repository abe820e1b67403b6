//! Starting a run: everything is prepared, the child is born, its record written, its gate opened.
//! The outcome of exec comes later, over the status socket; nobody waits for it.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::CString,
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
    sys::{
        socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair},
        stat::fstat,
    },
    unistd::{Gid, Uid, fchown, pipe2},
};

use crate::{
    cgroup::Group,
    clock::now_ms,
    keeper::{Keeper, Original, Source},
    limits::rlimits,
    message::{Fact, Role, RunId, Spawn},
    notify::Socket,
    proc,
    record::Record,
    run::{Output, Run},
    sys::{
        caps,
        child::{self, Ids, Plan, Program, REPORT_BYTES},
        clone::{self, Born},
        pidfd,
    },
    timers::Timer,
};

/// What could not be done, and its errno.
pub(crate) type Failure = (&'static str, Errno);

/// Standard output and error of a child.
struct Streams {
    write: OwnedFd,
    inode: u64,
    /// Of a helper.
    output: Option<Output>,
}

impl Keeper {
    /// Starts a run, or says why not.
    pub(crate) fn spawn(&mut self, spawn: &Spawn) {
        self.next_run = self.next_run.max(spawn.run + 1);
        if let Err((stage, errno)) = self.try_spawn(spawn) {
            self.failed(spawn.run, stage, errno as i32);
        }
    }

    fn failed(&mut self, run: RunId, stage: &str, errno: i32) {
        self.push(Fact::Failed {
            run,
            stage: stage.to_owned(),
            errno,
        });
    }

    fn try_spawn(&mut self, spawn: &Spawn) -> Result<(), Failure> {
        if self.ending.is_some() {
            return Err(("ending", Errno::ESHUTDOWN));
        }
        if self.runs.contains_key(&spawn.run) {
            return Err(("run-number", Errno::EEXIST));
        }
        // A helper has output and group of its own: validators run before the first start.
        if spawn.role == Role::Main && !self.services.contains_key(&spawn.service) {
            return Err(("unopened", Errno::ENOENT));
        }
        if spawn.role == Role::Main && !self.is_swept(&spawn.service) {
            return Err(("unswept", Errno::EBUSY));
        }
        let streams = self.streams(spawn).map_err(|errno| ("pipe", errno))?;
        let notify = self
            .notify_socket(spawn)
            .map_err(|errno| ("notify", errno))?;
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags)
            .map_err(|errno| ("socketpair", errno))?;
        let mut plan = plan(spawn, &self.original, notify.as_deref())?;
        let output = streams.write.as_raw_fd();
        plan.fds = vec![self.null.as_raw_fd(), output, output];
        plan.status = theirs.as_raw_fd();
        let helper_group = self.helper_group(spawn);
        let group = match spawn.role {
            Role::Main => self.services[&spawn.service].group.as_ref(),
            Role::Helper => helper_group.as_ref(),
        };
        if group.is_none() {
            let cookie = c_string(crate::sweep::cookie(spawn.run).into_bytes());
            plan.env.push(cookie.map_err(|errno| ("arguments", errno))?);
        }
        let born = clone::spawn(&plan, group.map(AsFd::as_fd)).map_err(|errno| ("fork", errno))?;
        let in_cgroup = born.in_cgroup || group.is_some_and(|group| group.take(born.pid).is_ok());
        let group = group.filter(|_| in_cgroup);
        if let Err(errno) = self.write_record(spawn, &born, group, streams.inode) {
            // Still at its gate, which never opens; it is reaped like any other child.
            let _ = pidfd::signal(&born.pidfd, libc::SIGKILL);
            return Err(("record", errno));
        }
        drop(theirs);
        let _ = send(ours.as_raw_fd(), b"!", MsgFlags::MSG_NOSIGNAL);
        let helper_group = helper_group.filter(|_| in_cgroup);
        self.take_in(spawn, born, streams, ours, (in_cgroup, helper_group));
        Ok(())
    }

    fn helper_group(&self, spawn: &Spawn) -> Option<Group> {
        let groups = self.cgroups.as_ref()?;
        let wanted = spawn.role == Role::Helper;
        wanted.then(|| groups.helper(spawn.run).ok()).flatten()
    }

    fn streams(&mut self, spawn: &Spawn) -> Result<Streams, Errno> {
        if spawn.role == Role::Main {
            self.make_pipe(&spawn.service)?;
            let pipe = self.services[&spawn.service]
                .pipe
                .as_ref()
                .ok_or(Errno::EPIPE)?;
            return Ok(Streams {
                write: pipe.write.try_clone().map_err(|_| Errno::EMFILE)?,
                inode: pipe.inode,
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
            write,
            inode,
            output: Some(Output { pipe, tail }),
        })
    }

    /// Name of the service's notify socket, made with the first run that wants one.
    fn notify_socket(&mut self, spawn: &Spawn) -> Result<Option<String>, Errno> {
        if !spawn.notify {
            return Ok(None);
        }
        let service = self.services.get_mut(&spawn.service).ok_or(Errno::ENOENT)?;
        if let Some(socket) = &service.notify {
            return Ok(Some(socket.name().to_owned()));
        }
        let socket = Socket::open(&spawn.service)?;
        let name = socket.name().to_owned();
        let number = service.number;
        service.notify = Some(socket);
        if let Some(socket) = &self.services[&spawn.service].notify {
            self.watch(socket.as_fd(), Source::Notify(number));
        }
        Ok(Some(name))
    }

    fn write_record(
        &self,
        spawn: &Spawn,
        born: &Born,
        group: Option<&Group>,
        pipe: u64,
    ) -> Result<(), Errno> {
        let record = Record {
            run: spawn.run,
            service: spawn.service.clone(),
            role: spawn.role,
            pid: born.pid,
            start: proc::stat(born.pid)
                .ok_or_else(|| proc::why_no_stat(born.pid))?
                .start,
            boot_id: self.boot_id.clone(),
            cgroup: group.map(|group| group.dir().to_owned()),
            pipe,
            stop_signal: spawn.stop_signal,
            stop_timeout_ms: spawn.stop_timeout_ms,
        };
        let errno = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        self.files.write(&record).map_err(errno)
    }

    fn take_in(
        &mut self,
        spawn: &Spawn,
        born: Born,
        streams: Streams,
        status: OwnedFd,
        (in_cgroup, group): (bool, Option<Group>),
    ) {
        let now = now_ms();
        self.watch(&status, Source::Status(spawn.run));
        if let Some(output) = &streams.output {
            self.watch(&output.pipe, Source::Output(spawn.run));
        }
        if let Some(timeout) = spawn.timeout_ms {
            self.timers.add(now + timeout, Timer::Helper(spawn.run));
        }
        if spawn.role == Role::Main
            && let Some(service) = self.services.get_mut(&spawn.service)
        {
            service.main = Some(spawn.run);
        }
        self.by_pid.insert(born.pid, spawn.run);
        let run = Run {
            id: spawn.run,
            service: spawn.service.clone(),
            role: spawn.role,
            leader: born.pid,
            main: born.pid,
            pidfd: born.pidfd,
            spawned_ms: now,
            status: Some(status),
            exit: None,
            swept: false,
            sweep: None,
            notified: BTreeMap::default(),
            pipe: streams.inode,
            in_cgroup,
            group,
            seen: Vec::new(),
            stop_signal: spawn.stop_signal,
            stop_timeout_ms: spawn.stop_timeout_ms,
            timed_out: false,
            output: streams.output,
        };
        self.runs.insert(spawn.run, run);
    }

    /// The status socket has something to say, or has closed with a successful exec.
    pub(crate) fn read_status(&mut self, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        let Some(status) = run.status.take() else {
            return;
        };
        let pid = run.leader;
        self.unwatch(&status);
        let Some((stage, errno)) = report(&status) else {
            let at_ms = now_ms();
            self.push(Fact::Spawned {
                run: id,
                pid,
                at_ms,
            });
            return;
        };
        self.failed(id, stage, errno);
        self.drop_run(id);
    }

    /// A run that never was: what is left of its process is reaped like any other child.
    fn drop_run(&mut self, id: RunId) {
        let Some(run) = self.runs.remove(&id) else {
            return;
        };
        self.by_pid.remove(&run.leader);
        self.files.remove(id);
        if let Some(output) = &run.output {
            self.unwatch(&output.pipe);
        }
        // The child is about to end, or has: the group can be empty only then.
        let _ = pidfd::signal(&run.pidfd, libc::SIGKILL);
        if let Some(group) = run.group {
            self.dead_groups.push(group);
        }
        if let Some(service) = self.services.get_mut(&run.service)
            && service.main == Some(id)
        {
            service.main = None;
        }
    }
}

/// What a child has reported: stage and errno; nothing if exec has closed the socket.
pub(crate) fn report(status: impl AsFd) -> Option<(&'static str, i32)> {
    let mut report = [0; REPORT_BYTES];
    let flags = MsgFlags::MSG_DONTWAIT;
    let read = recv(status.as_fd().as_raw_fd(), &mut report, flags).ok()?;
    (read == REPORT_BYTES).then(|| child::decode(report))
}

/// A string for the kernel.
pub(crate) fn c_string(bytes: Vec<u8>) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

fn plan(spawn: &Spawn, original: &Original, notify: Option<&str>) -> Result<Plan, Failure> {
    let text =
        |text: &str| c_string(text.as_bytes().to_vec()).map_err(|errno| ("arguments", errno));
    let argv = spawn
        .argv
        .iter()
        .map(|one| text(one))
        .collect::<Result<Vec<_>, _>>()?;
    let program = argv.first().ok_or(("arguments", Errno::EINVAL))?.clone();
    let notify = notify.map(|name| format!("NOTIFY_SOCKET={name}"));
    let env = spawn
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let env = env
        .chain(notify)
        .map(|one| text(&one))
        .collect::<Result<Vec<_>, _>>()?;
    let cwd = c_string(spawn.cwd.clone().into_os_string().into_vec());
    let names = spawn.capabilities.as_deref();
    let capabilities = match names.map(caps::parse) {
        Some(None) => return Err(("capabilities", Errno::EINVAL)),
        Some(known) => known,
        None => None,
    };
    // An ordinary user may name its own ids; the calls themselves are refused to it.
    let ids = spawn.ids.as_ref().filter(|ids| {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        uid.is_root() || ids.uid != uid.as_raw() || ids.gid != gid.as_raw()
    });
    Ok(Plan {
        program: Program::Path(program),
        argv,
        env,
        cwd: Some(cwd.map_err(|errno| ("chdir", errno))?),
        rlimits: rlimits(spawn, original)?,
        umask: Some(spawn.umask),
        nice: spawn.nice,
        oom_score_adj: spawn
            .oom_score_adj
            .map(|score| score.to_string())
            .or_else(|| original.oom_score_adj.clone()),
        ids: ids.map(|ids| Ids {
            uid: ids.uid,
            gid: ids.gid,
            groups: ids.groups.clone(),
        }),
        capabilities,
        no_new_privs: spawn.no_new_privs,
        blocked: 0,
        fds: Vec::new(),
        status: -1,
    })
}
