//! The one reaper. A main process is looked at first, then what is left of its group is killed, and only
//! then it is reaped: until that, nobody else can get its group's number.

use std::os::fd::AsRawFd;

use nix::{errno::Errno, libc};

use crate::{
    clock::now_ms,
    keeper::Keeper,
    message::{Exit, Fact, RunId},
    proc,
    say::say,
    succession::Loss,
    sys::{
        pidfd,
        wait::{self, Ended},
    },
};

/// Children reaped in one turn.
const REAPED_PER_TURN: usize = 64;
/// Read at once from a helper's output.
const OUTPUT_READ_BYTES: usize = 64 << 10;
/// Reads of a dead helper's output: its pipe holds no more.
const OUTPUT_READS_MAX: usize = 17;

impl Keeper {
    /// Reaps what has ended, bounded.
    pub(crate) fn reap(&mut self) {
        // Signals of several children melt into one, and to look for more takes the kernel a look at
        // every child: it comes after this one has been told.
        if let Some(pid) = self.ended_child.take()
            && let Ok(Some(ended)) = wait::peek(pid)
        {
            self.reap_more = true;
            let orphan = self.child_ended(ended);
            self.reaped_all(orphan);
            return;
        }
        let mut orphans = false;
        for _ in 0..REAPED_PER_TURN {
            match wait::peek_any() {
                Ok(Some(ended)) => orphans |= self.child_ended(ended),
                Ok(None) | Err(Errno::ECHILD) => {
                    self.reaped_all(orphans);
                    return;
                }
                Err(error) => {
                    say!("could not look for ended children: {error}");
                    return;
                }
            }
        }
        self.reap_more = true;
        self.reaped_all(orphans);
    }

    /// An orphan that has gone may be the last that a sweep was waiting for.
    fn reaped_all(&mut self, orphans: bool) {
        if orphans {
            self.dead_groups.retain(|group| !group.remove());
            let sweeping: Vec<RunId> = self.sweeping.iter().copied().collect();
            for run in sweeping {
                self.sweep_step(run);
            }
        }
    }

    /// True if it was no main process.
    fn child_ended(&mut self, ended: Ended) -> bool {
        let Ended { pid, exit, core } = ended;
        if self.other_control_ended(pid, exit) {
            let _ = wait::reap(pid);
            return false;
        }
        if self.control.pid == Some(pid) {
            let _ = wait::reap(pid);
            self.lose_control(pid, Loss::Died(exit));
            return false;
        }
        if let Some(run) = self.by_pid.get(&pid).copied() {
            self.main_ended(run, pid, exit, core);
            return false;
        }
        if self.compressor_ended(pid, exit) {
            return false;
        }
        let _ = wait::reap(pid);
        self.stray_ended(pid);
        true
    }

    /// The main process of a run has ended: kill its group, reap it, report it, sweep.
    fn main_ended(&mut self, id: RunId, pid: i32, exit: Exit, core: bool) {
        self.by_pid.remove(&pid);
        let Some(run) = self.runs.get_mut(&id) else {
            let _ = wait::reap(pid);
            return;
        };
        // With another main process than the leader, the group may be long gone, and its number
        // somebody else's: the sweep finds what is left.
        if run.leader == pid {
            // Also what is in a cgroup: it may have left that.
            let _ = pidfd::kill(-pid, libc::SIGKILL);
        } else {
            let _ = self.epoll.delete(&run.pidfd);
        }
        let at_ms = now_ms();
        // Its last word may be that it is ready.
        self.read_ready(id);
        self.read_tail(id);
        if let Some(run) = self.runs.get_mut(&id) {
            run.exit = Some(exit);
            run.core = core;
            run.ended_ms = at_ms;
            if let Some(ready) = run.ready.take() {
                self.unwatch(ready);
            }
        }
        let _ = wait::reap(pid);
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        let output = run.output.take();
        let (timed_out, text) = (
            run.timed_out,
            output.map(|mut output| {
                let bytes = output.tail.make_contiguous();
                let _ = self.epoll.delete(&output.pipe);
                String::from_utf8_lossy(bytes).into_owned()
            }),
        );
        self.push(Fact::Exited {
            run: id,
            exit,
            core,
            at_ms,
            timed_out,
            output: text.unwrap_or_default(),
        });
        self.begin_sweep(id);
    }

    /// A main process named by MAINPID= has ended. If it is our child by now, `reap` does the rest;
    /// else its own parent gets the status, and we see what the kernel shows.
    pub(crate) fn adopted_main_ended(&mut self, id: RunId) {
        let Some(run) = self.runs.get(&id).filter(|run| run.lives()) else {
            return;
        };
        let pid = run.main;
        match wait::peek(pid) {
            Ok(Some(ended)) => self.main_ended(id, pid, ended.exit, ended.core),
            Ok(None) => {}
            Err(_) => {
                let exit = proc::exit_of_zombie(pid).unwrap_or(Exit::Code(0));
                self.main_ended(id, pid, exit, false);
            }
        }
    }

    /// Takes in some output of a helper.
    pub(crate) fn read_output(&mut self, id: RunId) {
        let Some(output) = self.runs.get_mut(&id).and_then(|run| run.output.as_mut()) else {
            return;
        };
        let mut buffer = vec![0; OUTPUT_READ_BYTES];
        match nix::unistd::read(&output.pipe, &mut buffer) {
            Ok(0) | Err(Errno::EIO) => {
                let _ = self.epoll.delete(&output.pipe);
            }
            Ok(count) => output.extend(&buffer[..count]),
            Err(_) => {}
        }
    }

    /// What a helper that has ended left in its pipe.
    fn read_tail(&mut self, id: RunId) {
        let Some(output) = self.runs.get_mut(&id).and_then(|run| run.output.as_mut()) else {
            return;
        };
        let mut buffer = vec![0; OUTPUT_READ_BYTES];
        for _ in 0..OUTPUT_READS_MAX {
            match nix::unistd::read(&output.pipe, &mut buffer) {
                Ok(0) | Err(Errno::EAGAIN) => return,
                Ok(count) => output.extend(&buffer[..count]),
                Err(Errno::EINTR) => {}
                Err(error) => {
                    let fd = output.pipe.as_raw_fd();
                    say!("could not read a helper's output (descriptor {fd}): {error}");
                    return;
                }
            }
        }
    }

    /// A helper has run too long: it and its tree are killed; `Exited` says why.
    pub(crate) fn helper_timed_out(&mut self, id: RunId) {
        if let Some(run) = self.runs.get_mut(&id).filter(|run| run.lives()) {
            run.timed_out = true;
            self.kill_tree(id);
        }
    }
}
