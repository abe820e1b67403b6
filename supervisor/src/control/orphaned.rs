//! When the keeper dies: the control process stops what runs, in order, and ends.
//!
//! It holds a pidfd of every main process and duplicates of every log pipe, so that nothing it
//! signals can be another process, and nobody dies of SIGPIPE meanwhile. A log thread of its own
//! drains the pipes after a marked gap.

use std::{collections::BTreeMap, os::fd::OwnedFd, time::Duration};

use keeper::{
    log,
    message::{Fact, Hello, Notice, Role},
    orphan,
};
use nix::sys::signal::Signal;

use super::{Control, spawn::log_dir};

/// After SIGKILL a process is gone, unless the kernel holds it.
const KILLED_WAIT: Duration = Duration::from_secs(5);

/// What is needed to stop everything without a keeper.
#[derive(Debug, Default)]
pub(super) struct Belongings {
    /// Main processes by run.
    mains: BTreeMap<u64, Main>,
    /// Read and write end of each service's log pipe.
    pipes: BTreeMap<String, Vec<OwnedFd>>,
}

#[derive(Debug)]
struct Main {
    pid: i32,
    pidfd: OwnedFd,
}

impl Belongings {
    /// Main processes that an earlier control process started: their pidfds went with it. As long
    /// as the keeper lives, it has not reaped them unseen, so the pids still mean them.
    pub(super) fn adopt(&mut self, hello: &Hello) {
        let living = hello
            .runs
            .iter()
            .filter(|it| it.role == Role::Main && it.exit.is_none());
        for info in living {
            if let Ok(pidfd) = orphan::open(info.pid) {
                self.mains.insert(
                    info.run,
                    Main {
                        pid: info.pid,
                        pidfd,
                    },
                );
            }
        }
    }

    /// Keeps the descriptors that came with a notice.
    pub(super) fn note(&mut self, notice: &Notice, mut fds: Vec<OwnedFd>) {
        match notice {
            Notice::Opened { service } => drop(self.pipes.insert(service.clone(), fds)),
            Notice::Fact(numbered) => match numbered.fact {
                Fact::Spawned { run, pid, .. } => {
                    if let Some(pidfd) = fds.pop() {
                        self.mains.insert(run, Main { pid, pidfd });
                    }
                }
                Fact::Swept { run, .. } => drop(self.mains.remove(&run)),
                _ => {}
            },
            Notice::Hello(_) | Notice::Stats { .. } | Notice::AreYouThere => {}
        }
    }

    /// Stops every service in reverse start order, one after the other.
    pub(super) fn stop_everything(mut self, control: &Control) {
        tracing::error!("the keeper is gone; stopping every service in order");
        let logs = self.drain_logs(control);
        for (service, stop) in control.stop_order() {
            let Some(run) = control.main_run_of(&service) else {
                continue;
            };
            let Some(main) = self.mains.remove(&run.0) else {
                continue;
            };
            let limit = Duration::from_millis(stop.timeout_ms);
            if !stop_one(&main, stop.signal, limit) {
                tracing::error!(service, pid = main.pid, "would not go");
            }
            if let Some(pipe) = self.pipes.get(&service).and_then(|ends| ends.first()) {
                let killed = orphan::kill_remaining(main.pid, pipe);
                tracing::info!(service, killed, "stopped");
            }
        }
        self.pipes.clear();
        if let Some(logs) = logs {
            logs.stop();
        }
    }

    fn drain_logs(&self, control: &Control) -> Option<log::Handle> {
        let logs = log::LogThread::start().inspect_err(|error| {
            tracing::error!("cannot go on writing logs: {error}");
        });
        let logs = logs.ok()?;
        for (service, ends) in &self.pipes {
            let Some(read_end) = ends.first().and_then(|end| end.try_clone().ok()) else {
                continue;
            };
            let Some(planned) = control.plan.services.get(service) else {
                continue;
            };
            let spec = log::Spec {
                dir: log_dir(&control.plan.paths, service),
                size_bytes: planned.log.size_bytes,
                keep: planned.log.keep,
                age_ms: planned.log.age_ms,
                // There is no keeper that would.
                compress: false,
                forward: planned.log.forward.map(super::convert::forward),
            };
            logs.open(service, spec, read_end);
            logs.mark(service, "the keeper has died; lines may be missing here");
        }
        Some(logs)
    }
}

/// True: it is gone.
fn stop_one(main: &Main, signal: i32, limit: Duration) -> bool {
    let gone = |limit| orphan::wait(&main.pidfd, limit).unwrap_or(false);
    let send = |signal| orphan::signal(&main.pidfd, signal).unwrap_or(false);
    if !send(signal) {
        return true;
    }
    send(Signal::SIGCONT as i32);
    if gone(limit) {
        return true;
    }
    send(Signal::SIGKILL as i32);
    gone(KILLED_WAIT)
}
