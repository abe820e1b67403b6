//! Compresses rotated log files in another process of the same binary, `mattervisord compress`:
//! some time after a rotation, one service after the other, at the lowest priority. So neither the
//! log thread nor the main thread spends time or memory on compression, and no control process is
//! needed.
//!
//! One look at a service covers all its rotations of a [`DELAY_MS`]; nothing wakes the keeper
//! between.

use std::{
    collections::{BTreeSet, VecDeque},
    os::{
        fd::{AsRawFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use nix::{errno::Errno, libc};
use serde::{Deserialize, Serialize};

use crate::{
    clock::now_ms,
    exit_text::exit_text,
    journal,
    kit::Kit,
    message::{Exit, SpawnStage},
    runs::Runs,
    stderr_log::error,
    sys::{
        child::{ChildSpec, Program, SpawnError, c_string},
        pidfd,
    },
    timers::Timer,
};

/// Time from the rotation of a file to its compression.
const DELAY_MS: u64 = 60_000;
/// Environment variable that overrides the delay, in milliseconds.
const DELAY_VARIABLE: &str = "MATTERVISOR_COMPRESS_DELAY_MS";
/// Nice value of the compressor: the lowest priority.
const NICE: i32 = 19;
/// Class idle, as `ioprio_set(2)` takes it.
const IO_PRIORITY: u16 = 3 << 13;

/// The runs whose logs are compressed, and the program and standard error of the compressor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whose<'a> {
    pub(crate) runs: &'a Runs,
    pub(crate) program: (RawFd, RawFd),
}

impl<'a> Whose<'a> {
    fn log_dir(self, service: &str) -> Option<&'a Path> {
        self.runs.compressed_log_dir(service)
    }
}

/// The present compression, and the services that follow.
#[derive(Debug)]
pub(crate) struct Compressor {
    delay_ms: u64,
    /// Services whose files are to be compressed, each once.
    queue: VecDeque<String>,
    running: Option<(i32, String)>,
    /// Services whose last compression failed: a failure is reported once.
    failed: BTreeSet<String>,
}

/// The same for the next image of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedCompressor {
    queue: VecDeque<String>,
    running: Option<(i32, String)>,
    failed: BTreeSet<String>,
}

impl Compressor {
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

    /// For the next image of this process.
    pub(crate) fn saved(&self) -> SavedCompressor {
        SavedCompressor {
            queue: self.queue.clone(),
            running: self.running.clone(),
            failed: self.failed.clone(),
        }
    }

    /// As an earlier image of this process had it.
    pub(crate) fn resume(saved: SavedCompressor) -> Self {
        Self {
            queue: saved.queue,
            running: saved.running,
            failed: saved.failed,
            ..Self::from_environment()
        }
    }

    /// Schedules a look after the first rotation in a while.
    pub(crate) fn logs_rotated(&mut self, kit: &mut Kit) {
        kit.log.rotations_heard();
        self.look_later(kit);
    }

    fn look_later(&mut self, kit: &mut Kit) {
        let at = now_ms() + self.delay_ms;
        kit.timers.add(at, Timer::Compress);
    }

    /// Queues the services whose first rotations are old enough.
    pub(crate) fn due(&mut self, kit: &mut Kit, whose: Whose<'_>) {
        let since = now_ms().saturating_sub(self.delay_ms);
        let (services, more) = kit.log.take_rotated(since);
        if more {
            self.look_later(kit);
        }
        for service in services {
            if !self.queue.contains(&service) {
                self.queue.push_back(service);
            }
        }
        self.next(kit, whose);
    }

    fn next(&mut self, kit: &mut Kit, whose: Whose<'_>) {
        while self.running.is_none()
            && !kit.is_shutting_down()
            && let Some(name) = self.queue.pop_front()
        {
            let Some(dir) = whose.log_dir(&name) else {
                continue;
            };
            match self.start(kit, dir, whose.program) {
                Ok(pid) => self.running = Some((pid, name)),
                Err((stage, errno)) => self.has_failed(kit, &name, &format!("{stage}: {errno}")),
            }
        }
    }

    fn start(&self, kit: &mut Kit, dir: &Path, program: (RawFd, RawFd)) -> Result<i32, SpawnError> {
        let rotated_for = self.delay_ms.to_string();
        let format = if kit.config.log_json { "json" } else { "text" };
        let mut argv = vec![
            b"supervisor".to_vec(),
            b"--log-format".to_vec(),
            format.into(),
            b"--root".to_vec(),
            kit.config.root.as_os_str().as_bytes().to_vec(),
            b"compress".to_vec(),
            b"--rotated-for-ms".to_vec(),
            rotated_for.into(),
            b"--".to_vec(),
        ];
        argv.push(dir.as_os_str().as_bytes().to_vec());
        let argv = argv.into_iter().map(c_string).collect::<Result<_, _>>();
        let (null, (program, stderr)) = (kit.null.as_raw_fd(), program);
        let journal = journal::variable().map(|it| c_string(it.into_bytes()));
        let env: Result<_, _> = journal.into_iter().collect();
        let plan = ChildSpec {
            argv: argv.map_err(|errno| (SpawnStage::Arguments, errno))?,
            env: env.map_err(|errno| (SpawnStage::Arguments, errno))?,
            nice: Some(NICE),
            io_priority: Some(IO_PRIORITY),
            oom_score_adj: kit.original.oom_score_adj.clone(),
            no_new_privs: true,
            fds: vec![null, null, stderr],
            ..ChildSpec::plain(Program::Fd(program))
        };
        kit.make_own(&plan)
    }

    /// Whether this process is the compressor.
    pub(crate) fn is(&self, pid: i32) -> bool {
        self.running.as_ref().is_some_and(|(it, _)| *it == pid)
    }

    /// Handles the end of the compressor.
    pub(crate) fn ended(&mut self, kit: &mut Kit, exit: Exit, whose: Whose<'_>) {
        let Some((_, service)) = self.running.take() else {
            return;
        };
        match exit {
            Exit::Code(0) => {
                self.failed.remove(&service);
            }
            Exit::Code(code) => {
                let why = Errno::from_raw(code).desc().to_lowercase();
                self.has_failed(kit, &service, &why);
            }
            Exit::Signal(_) => {
                // Tried once more: an administrator may have killed the compressor by mistake.
                if !self.failed.contains(&service) {
                    kit.log.rotated(&service);
                }
                self.has_failed(kit, &service, &exit_text(exit));
            }
        }
        self.next(kit, whose);
    }

    fn has_failed(&mut self, kit: &Kit, service: &str, why: &str) {
        if self.failed.insert(service.to_owned()) {
            error!("{service}: could not compress rotated log files: {why}");
            let text = format!("rotated files could not be compressed and stay as they are: {why}");
            kit.log.mark(service, &text);
        }
    }

    /// Ends with the daemon: files that are not compressed yet follow after the next rotation.
    pub(crate) fn end(&mut self) {
        self.queue.clear();
        if let Some((pid, _)) = &self.running {
            let _ = pidfd::kill(*pid, libc::SIGKILL);
        }
    }
}
