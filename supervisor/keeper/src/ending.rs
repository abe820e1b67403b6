//! How the keeper ends: because control says that all is stopped, or, when no control process takes
//! over after SIGTERM, after it has stopped all runs by itself, newest first.

use std::os::fd::AsFd;

use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{
    clock::now_ms,
    keeper::Keeper,
    message::{Role, RunId},
    say::say,
    sys::{pidfd, wait},
    timers::Timer,
};

/// For the control process to end by itself after `Quit`.
const LAST_MS: u16 = 1000;
/// Sweeps take this long at most (`sweep::GIVE_UP_MS` and a little).
const SWEEPS_MS: u64 = 6000;
/// Exit code of a keeper that had to do it alone.
const ALONE: u8 = 1;

/// All is ending.
#[derive(Debug)]
pub(crate) struct Ending {
    code: u8,
    /// Control has gone for good, so runs are asked first, one by one.
    alone: bool,
    /// The run being stopped, and when it is killed.
    stopping: Option<(RunId, u64)>,
    /// Since when the last sweeps are waited for.
    last_ms: Option<u64>,
}

impl Ending {
    /// Control says that all has been stopped.
    pub(crate) fn asked(code: u8) -> Self {
        Self {
            code,
            alone: false,
            stopping: None,
            last_ms: None,
        }
    }

    /// There is no control process to stop anything.
    pub(crate) fn alone() -> Self {
        Self {
            code: ALONE,
            alone: true,
            stopping: None,
            last_ms: None,
        }
    }
}

impl Keeper {
    /// Begins to end; the first reason counts.
    pub(crate) fn end(&mut self, ending: Ending) {
        if self.ending.is_some() {
            return;
        }
        let alone = ending.alone;
        self.ending = Some(ending);
        self.end_compressor();
        self.inbox.clear();
        self.give_up_successor("is not needed: all is ending");
        if alone {
            if let Some(pid) = self.control.pid {
                let _ = pidfd::kill(pid, libc::SIGKILL);
            }
        } else {
            // Closing our side tells the control process that its last word has been heard.
            if let Some(mut link) = self.control.link.take() {
                let _ = link.flush();
                self.unwatch(&link);
            }
            let left: Vec<RunId> = self.living();
            for run in left {
                say!("run {run} was not stopped; kills it");
                self.kill_tree(run);
            }
        }
        self.timers.add(now_ms(), Timer::Ending);
    }

    fn living(&self) -> Vec<RunId> {
        let runs = self.runs.values();
        let living = runs.filter(|run| run.lives() && !run.is_given_up());
        living.map(|run| run.id).collect()
    }

    /// Goes on with the end.
    pub(crate) fn ending_step(&mut self) {
        let now = now_ms();
        let Some(ending) = &mut self.ending else {
            return;
        };
        let Some((id, kill_at)) = ending.stopping else {
            return;
        };
        if now < kill_at {
            self.timers.add(kill_at, Timer::Ending);
            return;
        }
        ending.stopping = Some((id, u64::MAX));
        if self.runs.get(&id).is_some_and(|run| run.lives()) {
            say!("run {id} did not stop in time; kills it");
            self.kill_tree(id);
        }
    }

    /// The exit code, once all is done. Looked at after every turn.
    pub(crate) fn ended(&mut self) -> Option<u8> {
        let ending = self.ending.as_ref()?;
        let (code, alone) = (ending.code, ending.alone);
        if let Some((id, _)) = ending.stopping {
            let over = self.runs.get(&id).is_none_or(|run| run.is_over());
            if !over {
                return None;
            }
        }
        if alone && let Some(next) = self.living().into_iter().next_back() {
            self.stop_alone(next);
            return None;
        }
        if self.runs.values().all(|run| run.is_over()) {
            return Some(code);
        }
        let now = now_ms();
        let until = *self.ending.as_mut()?.last_ms.get_or_insert(now) + SWEEPS_MS;
        if now >= until {
            return Some(code);
        }
        self.timers.add(until, Timer::Ending);
        None
    }

    fn stop_alone(&mut self, id: RunId) {
        self.see_descendants(id);
        let Some(run) = self.runs.get(&id) else {
            return;
        };
        let mut kill_at = now_ms() + run.stop_timeout_ms;
        if run.role == Role::Helper {
            kill_at = u64::MAX;
            self.kill_tree(id);
        } else {
            say!("{}: stops run {id} (pid {})", run.service, run.main);
            let _ = pidfd::signal(&run.pidfd, run.stop_signal);
            let _ = pidfd::signal(&run.pidfd, libc::SIGCONT);
            self.timers.add(kill_at, Timer::Ending);
        }
        if let Some(ending) = &mut self.ending {
            ending.stopping = Some((id, kill_at));
        }
    }

    /// Leaves nothing behind and ends, while the control process ends by itself.
    pub(crate) fn close(self, code: u8) -> ! {
        let unswept = self.runs.values().filter(|run| !run.swept).count();
        if unswept > 0 {
            say!("ends with {unswept} runs of which something is left");
        } else {
            self.files.clear();
        }
        let _ = std::fs::remove_file(&self.config.control_socket);
        self.notify.remove();
        if let Some(groups) = &self.cgroups {
            groups.tear_down();
        }
        self.log.stop();
        if let Some(pid) = self.control.pid {
            if let Ok(control) = pidfd::open(pid) {
                let mut polled = [PollFd::new(control.as_fd(), PollFlags::POLLIN)];
                let _ = poll(&mut polled, PollTimeout::from(LAST_MS));
            }
            let _ = pidfd::kill(pid, libc::SIGKILL);
            // Gone in no time: reaped, so that its lock and group are free.
            let end = now_ms() + u64::from(LAST_MS);
            while matches!(wait::reap(pid), Ok(None)) && now_ms() < end {
                let _ = poll(&mut [], PollTimeout::from(1_u8));
            }
        }
        // Nothing is taken apart: the kernel does it all at once.
        std::process::exit(code.into())
    }
}
