//! The control process: how it is started, and the link to it. Whether it is there is for `liveness`, what follows it for
//! `succession`.

use std::{
    ffi::OsString,
    fs::File,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::PathBuf,
};

use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socketpair},
};

use crate::{
    init,
    keeper::{Keeper, Source},
    link::{Link, LinkError},
    liveness::Liveness,
    message::{Hello, Notice, Request, VERSION},
    reexec::{Retired, Successor},
    say::say,
    signals, spawn,
    succession::Standing,
    sys::{
        caps::Wish,
        child::{Plan, Program},
        clone::Failure,
        pidfd,
    },
};

/// Processes of an earlier supervisor that are told of.
const LEFTOVERS_TOLD_MAX: usize = 4096;
/// Services in one [`Notice::Opened`]: a message carries 253 descriptors.
const OPENED_MAX: usize = 120;
/// Badness of the control process, where the keeper could lower its own.
const OOM_SCORE_ADJ: &str = "-500";
/// Its threads share one heap of the C library: a heap each costs more memory than the work that
/// they do at the same time is worth. What it starts gets an environment of its own.
const ONE_ARENA: &str = "MALLOC_ARENA_MAX=1";

/// The one control process, and what is needed for the next.
#[derive(Debug)]
pub(crate) struct Control {
    /// The binary that last took over: its path may have been replaced since.
    pub(crate) binary: File,
    /// Where the daemon's program was when it was started; another may be there by now.
    pub(crate) path: PathBuf,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) pid: Option<i32>,
    pub(crate) link: Option<Link>,
    /// One that is to take over from it.
    pub(crate) successor: Option<Successor>,
    /// Those that have been killed for another and not been reaped.
    pub(crate) retired: Vec<Retired>,
    pub(crate) deaths: u32,
    pub(crate) liveness: Liveness,
    pub(crate) standing: Standing,
    more: bool,
    writing: bool,
}

impl Control {
    /// None yet.
    pub(crate) fn new(binary: File, path: PathBuf, stdout: OwnedFd, stderr: OwnedFd) -> Self {
        Self {
            binary,
            path,
            stdout,
            stderr,
            pid: None,
            link: None,
            successor: None,
            retired: Vec::new(),
            deaths: 0,
            liveness: Liveness::new(),
            standing: Standing::new(),
            more: false,
            writing: false,
        }
    }

    /// Another begins in this place: whether its link has more to read, and is watched for writing.
    pub(crate) fn begins(&mut self, more: bool, writing: bool) {
        self.more = more;
        self.writing = writing;
        self.liveness.heard();
        self.standing.begins();
    }

    /// The link to whoever is to hear of facts.
    pub(crate) fn listening(&mut self) -> Option<&mut Link> {
        match &mut self.successor {
            Some(successor) => Some(&mut successor.link),
            None => self.link.as_mut(),
        }
    }

    /// The same, to be looked at.
    pub(crate) fn listener(&self) -> Option<&Link> {
        let successor = self.successor.as_ref().map(|it| &it.link);
        successor.or(self.link.as_ref())
    }

    /// It has taken over, and said something at this moment or later.
    pub(crate) fn has_answered_since(&self, at_ms: u64) -> bool {
        self.standing.has_taken_over() && self.liveness.heard_since(at_ms)
    }
}

impl Keeper {
    /// Starts the control process, unless there is one or all is ending.
    pub(crate) fn start_control(&mut self) {
        let other = self.control.pid.is_some() || self.control.successor.is_some();
        if other || self.ending.is_some() {
            return;
        }
        if let Err((stage, error)) = self.try_start_control() {
            say!("could not start the control process: {stage}: {error}");
            self.retry_control();
        }
    }

    fn try_start_control(&mut self) -> Result<(), Failure> {
        let binary = self.control.binary.try_clone();
        let binary = binary.map_err(|_| ("open", nix::errno::Errno::EMFILE))?;
        let (pid, mut link) = self.bear_control(&binary)?;
        let greeted = self.greet(&mut link);
        self.watch(&link, Source::Link);
        self.control.pid = Some(pid);
        self.control.link = Some(link);
        self.control.begins(false, false);
        self.catch_up.forget();
        if let Err(error) = greeted {
            self.link_failed(&error);
        }
        Ok(())
    }

    /// Starts this binary as a control process; returns its pid and our end of its link.
    pub(crate) fn bear_control(&mut self, binary: &File) -> Result<(i32, Link), Failure> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::Stream,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .map_err(|errno| ("socketpair", errno))?;
        let variables = std::env::vars_os();
        let variables = variables
            .filter(|(name, _)| !init::OWN_VARIABLES.iter().any(|own| name == own))
            .map(|(mut name, value)| {
                name.push("=");
                name.push(value);
                name
            });
        // First, so that what somebody has set comes later and holds.
        let mut variables = std::iter::once(OsString::from(ONE_ARENA)).chain(variables);
        let strings = |all: &mut dyn Iterator<Item = OsString>| {
            all.map(|one| spawn::c_string(one.into_vec()))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|errno| ("arguments", errno))
        };
        let badness = self.original.oom_score_adj.as_ref();
        let control = &self.control;
        let fds = [&theirs, &control.stdout, &control.stderr].map(AsRawFd::as_raw_fd);
        let plan = Plan {
            program: Program::Fd(binary.as_raw_fd()),
            argv: strings(&mut self.config.control_argv.iter().cloned())?,
            env: strings(&mut variables)?,
            cwd: None,
            rlimits: Vec::new(),
            umask: None,
            nice: None,
            io_priority: None,
            cpu_affinity: None,
            oom_score_adj: badness.map(|_| OOM_SCORE_ADJ.to_owned()),
            ids: None,
            capabilities: Wish::default(),
            no_new_privs: false,
            blocked: signals::blocked_in_control(),
            // 0, 1, 2, CONTROL_FD and LOCK_FDS.
            fds: [self.null.as_raw_fd(), fds[1], fds[2], fds[0]]
                .into_iter()
                .chain(self.locks.fds())
                .collect(),
            stdin: None,
            ready: None,
            record: None,
            cgroup_procs: None,
        };
        let born = self.cradle.spawn(&plan, None, self.null.as_raw_fd())?;
        drop(theirs);
        Ok((born.pid, Link::new(ours)))
    }

    /// Begins to tell a new control process all that it needs; the rest follows as the link takes it.
    pub(crate) fn greet(&mut self, link: &mut Link) -> Result<(), LinkError> {
        let records = self.records.iter().map(|(service, record)| Notice::Record {
            service: service.clone(),
            record: record.clone(),
        });
        let runs = self
            .runs
            .values()
            .map(|run| Notice::Run(Box::new(run.info())));
        self.facts.greet(records.chain(runs).collect());
        let hello = Hello {
            version: VERSION,
            keeper_pid: i32::try_from(std::process::id()).unwrap_or(0),
            started_ms: self.started_ms,
            control_deaths: self.control.deaths,
            next_run: self.next_run,
            went_back: self.control.standing.went_back,
            leftovers: self.leftovers.stopped(LEFTOVERS_TOLD_MAX),
            remaining: self.leftovers.remaining(),
            ..Hello::default()
        };
        let listener = self.listener.duplicate()?;
        tell(link, &Notice::Hello(Box::new(hello)), vec![listener]);
        let opened = self.services.values().filter(|it| it.pipe.is_some());
        let opened: Vec<String> = opened.map(|it| it.open.service.clone()).collect();
        self.unannounced.clear();
        for (notice, fds) in self.announcements(&opened) {
            tell(link, &notice, fds);
        }
        link.flush()?;
        Ok(())
    }

    /// Hands the ends of log pipes over, those of many services with one message.
    pub(crate) fn announce(&mut self) {
        let all = std::mem::take(&mut self.unannounced);
        for (notice, fds) in self.announcements(&all) {
            self.notice(&notice, fds);
        }
    }

    fn announcements(&self, all: &[String]) -> Vec<(Notice, Vec<OwnedFd>)> {
        let mut announcements = Vec::new();
        for some in all.chunks(OPENED_MAX) {
            let (mut services, mut fds) = (Vec::new(), Vec::new());
            for name in some {
                let service = self.services.get(name);
                let Some(pipe) = service.and_then(|service| service.pipe.as_ref()) else {
                    continue;
                };
                // Out of descriptors: control then has none of this pipe, which matters only if
                // we die.
                if let (Ok(read), Ok(write)) = (pipe.read.try_clone(), pipe.write.try_clone()) {
                    services.push(name.clone());
                    fds.extend([read, write]);
                }
            }
            if !services.is_empty() {
                announcements.push((Notice::Opened { services }, fds));
            }
        }
        announcements
    }

    /// Says something that is not kept; it is sent at the end of the turn.
    pub(crate) fn notice(&mut self, notice: &Notice, fds: Vec<OwnedFd>) {
        if let Some(link) = &mut self.control.link {
            tell(link, notice, fds);
        }
    }

    /// The last read from the link left something.
    pub(crate) fn link_has_more(&self) -> bool {
        self.control.more && self.control.link.is_some()
    }

    /// Takes in what the control process asks. A slow turn leaves the rest in the socket.
    pub(crate) fn read_link(&mut self) {
        let Some(link) = &mut self.control.link else {
            return;
        };
        match link.recv::<Request>() {
            Ok(frames) => {
                self.control.more = !link.drained();
                if !frames.is_empty() {
                    self.control.liveness.heard();
                    self.control.standing.heard();
                }
                self.inbox
                    .extend(frames.into_iter().map(|(request, _)| request));
            }
            Err(error) => self.link_failed(&error),
        }
    }

    /// Without a link a control process is of no use: it is ended, and its death brings the next.
    pub(crate) fn link_failed(&mut self, error: &LinkError) {
        let Some(link) = self.control.link.take() else {
            return;
        };
        self.unwatch(&link);
        self.control.more = false;
        let Some(pid) = self.control.pid else {
            return;
        };
        // One that has just ended closes its side too; reaping says how.
        if !matches!(error, LinkError::Eof) {
            say!("lost the control process (pid {pid}): {error}");
        }
        if self.ending.is_none() {
            let _ = pidfd::kill(pid, libc::SIGKILL);
        }
    }

    /// Writes what waits, and asks to be told when more can be written.
    pub(crate) fn flush_link(&mut self) {
        let Some(link) = &mut self.control.link else {
            return;
        };
        if let Err(error) = link.flush() {
            self.link_failed(&error.into());
            return;
        }
        let wants = link.wants_write();
        if wants != self.control.writing {
            self.control.writing = wants;
            if let Some(link) = &self.control.link {
                self.watch_link(link, wants);
            }
        }
    }
}

/// Queues a notice. One that is not taken is dropped: the link is as good as before, and whoever
/// listens has done nothing wrong.
pub(crate) fn tell(link: &mut Link, notice: &Notice, fds: Vec<OwnedFd>) {
    if let Err(error) = link.queue(notice, fds) {
        say!("could not tell the control process: {error}");
    }
}
