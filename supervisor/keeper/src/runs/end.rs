//! The end of a main process. The order matters: first the exit is looked at, then the rest of its
//! group is killed, and only then the process is reaped, for until that its group number cannot be
//! reused. Then the end is reported, and the run swept.
//!
//! A helper's output ends with it: the rest of its pipe goes into the fact of its end.

use std::os::fd::AsRawFd;

use nix::{errno::Errno, libc};

use super::Runs;
use crate::{
    clock::now_ms,
    kit::Kit,
    message::{Exit, Fact, RunId},
    stderr_log::error,
    sys::{pidfd, wait},
};

/// Size of one read of a helper's output.
const OUTPUT_READ_BYTES: usize = 64 << 10;
/// Most reads of a dead helper's output: its pipe holds no more.
const OUTPUT_READS_MAX: usize = 17;

impl Runs {
    /// The main process of a run has ended: kill its group, reap it, report it, sweep.
    pub(crate) fn main_ended(
        &mut self,
        kit: &mut Kit,
        id: RunId,
        pid: i32,
        exit: Exit,
        core: bool,
    ) {
        self.by_pid.remove(&pid);
        let Some(run) = self.all.get_mut(&id) else {
            let _ = wait::reap(pid);
            return;
        };
        // With another main process than the leader, the group may be long gone, and its number
        // somebody else's: the sweep finds what is left.
        if run.leader == pid {
            // Even with a cgroup: processes of the group may have left the cgroup.
            let _ = pidfd::kill(-pid, libc::SIGKILL);
        } else {
            kit.poller.unwatch(&run.pidfd);
        }
        let at_ms = now_ms();
        // The last message of a run may be that it is ready.
        self.read_ready(kit, id);
        self.read_tail(id);
        if let Some(run) = self.all.get_mut(&id) {
            run.exit = Some(exit);
            run.core = core;
            run.ended_ms = at_ms;
            if let Some(ready) = run.ready.take() {
                kit.poller.unwatch(ready);
            }
        }
        let _ = wait::reap(pid);
        let Some(run) = self.all.get_mut(&id) else {
            return;
        };
        let output = run.output.take();
        let (timed_out, text) = (
            run.timed_out,
            output.map(|mut output| {
                let bytes = output.tail.make_contiguous();
                kit.poller.unwatch(&output.pipe);
                String::from_utf8_lossy(bytes).into_owned()
            }),
        );
        kit.facts.push(Fact::Exited {
            run: id,
            exit,
            core,
            at_ms,
            timed_out,
            output: text.unwrap_or_default(),
        });
        self.begin_sweep(kit, id);
    }

    /// A main process named by MAINPID= has ended. If it is our child by now, `reap` does the rest;
    /// else its own parent gets the status, and we see what the kernel shows.
    pub(crate) fn adopted_main_ended(&mut self, kit: &mut Kit, id: RunId) {
        let Some(run) = self.all.get(&id).filter(|run| run.lives()) else {
            return;
        };
        let pid = run.main;
        match wait::peek(pid) {
            Ok(Some(ended)) => self.main_ended(kit, id, pid, ended.exit, ended.core),
            Ok(None) => {}
            Err(_) => {
                let exit = proc::wait_status(pid).map_or(Exit::Code(0), exit_of);
                self.main_ended(kit, id, pid, exit, false);
            }
        }
    }

    /// Reads some output of a helper.
    pub(crate) fn read_output(&mut self, kit: &mut Kit, id: RunId) {
        let Some(output) = self.all.get_mut(&id).and_then(|run| run.output.as_mut()) else {
            return;
        };
        let mut buffer = vec![0; OUTPUT_READ_BYTES];
        match nix::unistd::read(&output.pipe, &mut buffer) {
            Ok(0) | Err(Errno::EIO) => {
                kit.poller.unwatch(&output.pipe);
            }
            Ok(count) => output.extend(&buffer[..count]),
            Err(_) => {}
        }
    }

    /// Reads the rest of an ended helper's pipe.
    fn read_tail(&mut self, id: RunId) {
        let Some(output) = self.all.get_mut(&id).and_then(|run| run.output.as_mut()) else {
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
                    error!("could not read a helper's output (descriptor {fd}): {error}");
                    return;
                }
            }
        }
    }

    /// Kills a helper that has run too long, and its tree; `Exited` reports the reason.
    pub(crate) fn helper_timed_out(&mut self, kit: &mut Kit, id: RunId) {
        if let Some(run) = self.all.get_mut(&id).filter(|run| run.lives()) {
            run.timed_out = true;
            self.kill_tree(kit, id);
        }
    }
}

/// How a process of this wait status ended.
fn exit_of(status: i32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code(status >> 8 & 0xff),
        signal => Exit::Signal(signal),
    }
}
