//! The death of the keeper: the control process stops all services, in order, and ends.
//!
//! The handles of the runs name every main process, so that no signal reaches another process.
//! Duplicates of every log pipe stay open, so that no service dies of SIGPIPE meanwhile. A log
//! thread of this process drains the pipes after a marked gap.

use std::{collections::BTreeMap, os::fd::OwnedFd, time::Duration};

use keeper::{
    keeper_lost::{self, Heir},
    log,
    message::{Fact, Hello, Notice, Role},
};
use nix::sys::signal::Signal;

use crate::control::{Control, runs::spawn::log_dir};

/// Longest wait after SIGKILL, unless the kernel holds the process.
const KILLED_WAIT: Duration = Duration::from_secs(5);

/// Longest wait for the last thread of a killed keeper, which may be writing to a disk.
const KEEPER_WAIT: Duration = Duration::from_secs(2);

/// Key of a notification that names another main process.
const MAIN_PID: &str = "MAINPID";

/// The handles that a stop of everything without a keeper needs.
#[derive(Debug, Default)]
pub(in crate::control) struct RunHandles {
    /// Main processes, by run, that have no record: named by another one with `MAINPID=`.
    mains: BTreeMap<u64, Main>,
    /// Read and write end of each service's log pipe.
    pipes: BTreeMap<String, Vec<OwnedFd>>,
    /// The mark that identifies the keeper's processes.
    mark: Option<String>,
    /// Pidfd of the keeper: readable once its last thread has ended.
    keeper: Option<OwnedFd>,
}

#[derive(Debug)]
struct Main {
    pid: i32,
    pidfd: OwnedFd,
}

impl RunHandles {
    /// Main processes that were named to an earlier control process: their pidfds went with it. As
    /// long as the keeper lives, it has not reaped them unseen, so the pids still mean them.
    pub(in crate::control) fn adopt(&mut self, hello: &Hello) {
        self.mark = keeper_lost::mark(hello.keeper_pid);
        self.keeper = keeper_lost::open(hello.keeper_pid).ok();
        let living = hello
            .runs
            .iter()
            .filter(|it| it.role == Role::Main && it.exit.is_none());
        for info in living.filter(|it| it.notified.contains_key(MAIN_PID)) {
            self.keep(info.run, info.pid);
        }
    }

    /// The link ends before the last thread of a killed keeper does. Its log thread may still be
    /// writing lines that come before all that we read from the pipe. The control loop has ended,
    /// so waiting holds up nobody.
    fn await_keepers_end(&self) {
        let ended = self
            .keeper
            .as_ref()
            .is_none_or(|keeper| keeper_lost::wait(keeper, KEEPER_WAIT).unwrap_or(true));
        if !ended {
            tracing::warn!("the keeper has not ended yet; the order of lines in logs may be wrong");
        }
    }

    fn keep(&mut self, run: u64, pid: i32) {
        if let Ok(pidfd) = keeper_lost::open(pid) {
            self.mains.insert(run, Main { pid, pidfd });
        }
    }

    /// Keeps what a notice brings.
    pub(in crate::control) fn note(&mut self, notice: &Notice, fds: Vec<OwnedFd>) {
        match notice {
            Notice::Opened { services } => {
                // Fewer, if this process has no numbers left: whose they are is not known then.
                if fds.len() == 2 * services.len() {
                    let mut fds = fds.into_iter();
                    for service in services {
                        let ends = fds.by_ref().take(2).collect();
                        self.pipes.insert(service.clone(), ends);
                    }
                }
            }
            Notice::Fact(numbered) => match &numbered.fact {
                Fact::Notified { run, key, value } if key == MAIN_PID => {
                    if let Ok(pid) = value.parse() {
                        self.keep(*run, pid);
                    }
                }
                Fact::Swept { run, .. } => drop(self.mains.remove(run)),
                _ => {}
            },
            Notice::Hello(_)
            | Notice::Record { .. }
            | Notice::Run(_)
            | Notice::HelloEnd
            | Notice::AreYouThere
            | Notice::Synced { .. }
            | Notice::Remaining { .. }
            | Notice::MadeAgain { .. }
            | Notice::NotReplaced { .. }
            | Notice::KeeperReplaced { .. }
            | Notice::KeeperNotReplaced { .. }
            | Notice::Strays { .. }
            | Notice::Log { .. }
            | Notice::Stats { .. } => {}
        }
    }

    /// Stops every service in reverse start order, one after the other, and then kills whatever is
    /// left of any run, also of those whose main process had gone before.
    pub(in crate::control) fn stop_everything(mut self, control: &Control) {
        tracing::error!("the keeper is gone; stopping every service in order");
        let run_dir = &control.cx.plan.paths.run_dir;
        let mark = self.mark.take();
        let heir = match Heir::become_heir(run_dir, mark.as_deref()) {
            Ok(Some(heir)) => Some(heir),
            Ok(None) => return tracing::info!("another control process has done it"),
            Err(error) => {
                tracing::error!("cannot see whether another control process does it: {error}");
                None
            }
        };
        self.await_keepers_end();
        let logs = self.drain_logs(control);
        let remains = keeper_lost::Remains {
            run_dir,
            mark: mark.as_deref(),
        };
        for (service, stop) in control.stop_order() {
            let Some(run) = control.cx.main_run_of(&service) else {
                continue;
            };
            let by_record = || {
                let (pid, pidfd) = keeper_lost::first_process(run_dir, run.0)?;
                Some(Main { pid, pidfd })
            };
            let Some(main) = self.mains.remove(&run.0).or_else(by_record) else {
                continue;
            };
            if !stop_one(&main, stop) {
                tracing::error!(service, pid = main.pid, "would not go");
            }
            let left = remains.end_run(run.0, KILLED_WAIT);
            if left.is_empty() {
                tracing::info!(service, "stopped");
            } else {
                tracing::error!(service, ?left, "processes would not go");
            }
        }
        let left = remains.end_all(KILLED_WAIT);
        if !left.is_empty() {
            tracing::error!(?left, "ends though processes of services would not go");
        }
        self.pipes.clear();
        if let Some(logs) = logs {
            logs.stop();
            // To the end, after its own mark: no other is missing.
            for service in control.cx.plan.services.keys() {
                let run = control.cx.main_run_of(service);
                let _ = run.map(|run| keeper_lost::gap_is_told(run_dir, run.0));
            }
        }
        if let (Some(mut heir), Some(mark)) = (heir, mark) {
            let _ = heir
                .done(&mark)
                .inspect_err(|error| tracing::error!("cannot write that all is done: {error}"));
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
            let Some(planned) = control.cx.plan.services.get(service) else {
                continue;
            };
            let spec = log::Spec {
                dir: log_dir(&control.cx.plan.paths, service),
                size_bytes: planned.log.size_bytes,
                keep: planned.log.keep,
                age_ms: planned.log.age_ms,
                // There is no keeper that would.
                compress: false,
                forward: planned
                    .log
                    .forward
                    .map(crate::control::runs::convert::forward),
            };
            // What the keeper had read and not written is missing before what is left in the pipe.
            logs.take_over(service, spec, read_end, log::KEEPER_DIED);
        }
        Some(logs)
    }
}

/// Stops one main process. True: the process is gone.
fn stop_one(main: &Main, stop: plan::Stop) -> bool {
    let gone = |limit| keeper_lost::wait(&main.pidfd, limit).unwrap_or(false);
    let send = |signal| keeper_lost::signal(&main.pidfd, signal).unwrap_or(false);
    let ms = Duration::from_millis;
    let first = stop.escalation.map_or(stop.timeout_ms, |it| it.after_ms);
    let second = stop
        .escalation
        .map(|it| (it.signal, stop.timeout_ms.saturating_sub(first)));
    let steps = [Some((stop.signal, first)), second];
    for (signal, limit_ms) in steps.into_iter().flatten() {
        // No process is left to receive the signal.
        if !send(signal) {
            return true;
        }
        send(Signal::SIGCONT as i32);
        if gone(ms(limit_ms)) {
            return true;
        }
    }
    send(Signal::SIGKILL as i32);
    gone(KILLED_WAIT)
}
