//! Rotated log files are compressed by another process of our own binary, `supervisor compress`: some
//! time after a rotation, one service after the other, at the lowest priority. So neither the log
//! thread nor this process spends time or memory on it, and it needs no control process.
//!
//! A service is looked at once for all its rotations of a [`DELAY_MS`]; nothing wakes us between.

use std::{
    collections::{BTreeSet, VecDeque},
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::Path,
};

use nix::{errno::Errno, libc};

use crate::{
    clock::now_ms,
    keeper::Keeper,
    message::Exit,
    say::say,
    spawn::c_string,
    sys::{
        caps::Wish,
        child::{Plan, Program},
        clone::Failure,
        pidfd, wait,
    },
    timers::Timer,
};

/// From the rotation of a file until it is compressed.
const DELAY_MS: u64 = 60_000;
/// The variable that says otherwise, in milliseconds.
const DELAY_VARIABLE: &str = "MATTERVISOR_COMPRESS_DELAY_MS";
/// The last of all.
const NICE: i32 = 19;
/// Class idle, as `ioprio_set(2)` takes it.
const IO_PRIORITY: u16 = 3 << 13;

/// What is compressed, and what is next.
#[derive(Debug)]
pub(crate) struct Compressor {
    delay_ms: u64,
    /// Services whose turn will come, each once.
    queue: VecDeque<String>,
    running: Option<(i32, String)>,
    /// Services whose last try failed, so that it is told once.
    failed: BTreeSet<String>,
}

impl Compressor {
    /// The process that compresses.
    pub(crate) fn is(&self, pid: i32) -> bool {
        self.running.as_ref().is_some_and(|(it, _)| *it == pid)
    }

    pub(crate) fn from_environment() -> Self {
        let delay = std::env::var(DELAY_VARIABLE);
        Self {
            delay_ms: delay
                .ok()
                .and_then(|ms| ms.parse().ok())
                .unwrap_or(DELAY_MS),
            queue: VecDeque::new(),
            running: None,
            failed: BTreeSet::new(),
        }
    }
}

impl Keeper {
    /// The log thread has rotated a file, the first for a while.
    pub(crate) fn logs_rotated(&mut self) {
        self.log.rotations_heard();
        self.compress_later();
    }

    fn compress_later(&mut self) {
        let at = now_ms() + self.compressor.delay_ms;
        self.timers.add(at, Timer::Compress);
    }

    /// The files that were rotated first are old enough.
    pub(crate) fn compress_due(&mut self) {
        let since = now_ms().saturating_sub(self.compressor.delay_ms);
        let (services, more) = self.log.take_rotated(since);
        if more {
            self.compress_later();
        }
        for service in services {
            if !self.compressor.queue.contains(&service) {
                self.compressor.queue.push_back(service);
            }
        }
        self.compress_next();
    }

    fn compress_next(&mut self) {
        while self.compressor.running.is_none()
            && self.ending.is_none()
            && let Some(name) = self.compressor.queue.pop_front()
        {
            let Some(service) = self.services.get(&name).filter(|it| it.open.log_compress) else {
                continue;
            };
            match self.start_compressor(&service.open.log_dir) {
                Ok(pid) => self.compressor.running = Some((pid, name)),
                Err((stage, errno)) => self.compression_failed(&name, &format!("{stage}: {errno}")),
            }
        }
    }

    fn start_compressor(&self, dir: &Path) -> Result<i32, Failure> {
        let rotated_for = self.compressor.delay_ms.to_string();
        let format = if self.config.log_json { "json" } else { "text" };
        let mut argv = vec![
            b"supervisor".to_vec(),
            b"--log-format".to_vec(),
            format.into(),
            b"--root".to_vec(),
            self.config.root.as_os_str().as_bytes().to_vec(),
            b"compress".to_vec(),
            b"--rotated-for-ms".to_vec(),
            rotated_for.into(),
            b"--".to_vec(),
        ];
        argv.push(dir.as_os_str().as_bytes().to_vec());
        let argv = argv.into_iter().map(c_string).collect::<Result<_, _>>();
        let (null, stderr) = (self.null.as_raw_fd(), self.control.stderr.as_raw_fd());
        let plan = Plan {
            program: Program::Fd(self.control.binary.as_raw_fd()),
            argv: argv.map_err(|errno| ("arguments", errno))?,
            env: Vec::new(),
            cwd: None,
            rlimits: Vec::new(),
            umask: None,
            nice: Some(NICE),
            io_priority: Some(IO_PRIORITY),
            cpu_affinity: None,
            oom_score_adj: self.original.oom_score_adj.clone(),
            ids: None,
            capabilities: Wish::default(),
            no_new_privs: true,
            blocked: 0,
            fds: vec![null, null, stderr],
            stdin: None,
            ready: None,
            record: None,
            cgroup_procs: None,
        };
        Ok(self.cradle.spawn(&plan, None, null)?.pid)
    }

    /// True if it was this child that has ended.
    pub(crate) fn compressor_ended(&mut self, pid: i32, exit: Exit) -> bool {
        let ours = self.compressor.running.take_if(|(it, _)| *it == pid);
        let Some((_, service)) = ours else {
            return false;
        };
        let _ = wait::reap(pid);
        match exit {
            Exit::Code(0) => {
                self.compressor.failed.remove(&service);
            }
            Exit::Code(code) => {
                let why = Errno::from_raw(code).desc().to_lowercase();
                self.compression_failed(&service, &why);
            }
            Exit::Signal(_) => {
                // Once more, for the cause may have been somebody's mistake.
                if !self.compressor.failed.contains(&service) {
                    self.log.rotated(&service);
                }
                self.compression_failed(&service, &exit.to_string());
            }
        }
        self.compress_next();
        true
    }

    fn compression_failed(&mut self, service: &str, why: &str) {
        if self.compressor.failed.insert(service.to_owned()) {
            say!("{service}: could not compress rotated log files: {why}");
            let text = format!("rotated files could not be compressed and stay as they are: {why}");
            self.log.mark(service, &text);
        }
    }

    /// All is ending: what it has not finished is done after the next rotation.
    pub(crate) fn end_compressor(&mut self) {
        self.compressor.queue.clear();
        if let Some((pid, _)) = &self.compressor.running {
            let _ = pidfd::kill(*pid, libc::SIGKILL);
        }
    }
}
