//! Readiness by a descriptor: a run writes a newline to it, or closes it and so says that it never
//! will.

use std::os::fd::{OwnedFd, RawFd};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};

use super::Runs;
use crate::{
    kit::Kit,
    message::{Fact, READY_FD, READY_FD_CLOSED, RunId, Spawn, SpawnStage},
    sys::child::SpawnError,
};

/// Below are standard input, output and error.
const READY_FD_MIN: RawFd = 3;
/// As high as the descriptors of a process may go by default.
const READY_FD_MAX: RawFd = 1023;
/// Read at once from a pipe for readiness: one byte is all that is needed.
const READY_READ_BYTES: usize = 64;

impl Runs {
    /// Reads the pipe of a run that may have written its newline or closed its end.
    pub(crate) fn read_ready(&mut self, kit: &mut Kit, id: RunId) {
        let mut buffer = [0; READY_READ_BYTES];
        let Some(run) = self.all.get_mut(&id).filter(|run| run.lives()) else {
            return;
        };
        let Some(ready) = &run.ready else {
            return;
        };
        match nix::unistd::read(ready, &mut buffer) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // Bytes behind the newline are read too: the writer must meet neither a broken nor a
            // full pipe.
            Ok(count @ 1..) => {
                let newline = buffer[..count].contains(&b'\n');
                if newline && !run.notified.contains_key(READY_FD) {
                    run.notified.insert(READY_FD.to_owned(), String::new());
                    kit.facts.push(Fact::Notified {
                        run: id,
                        key: READY_FD.to_owned(),
                        value: String::new(),
                    });
                }
            }
            Ok(0) | Err(_) => self.ready_closed(kit, id),
        }
    }

    /// Handles a pipe without writers. If the run lives and has not reported readiness, a fact says
    /// that no report can come.
    fn ready_closed(&mut self, kit: &mut Kit, id: RunId) {
        let Some(run) = self.all.get_mut(&id) else {
            return;
        };
        let ready = run.ready.take();
        // A process that ends closes the pipe too; then its exit is the report.
        let lives = proc::stat(run.main).is_some_and(|stat| !stat.exiting && stat.state != b'Z');
        if lives && !run.notified.contains_key(READY_FD) {
            let value = READY_FD_CLOSED.to_owned();
            run.notified.insert(READY_FD.to_owned(), value.clone());
            kit.facts.push(Fact::Notified {
                run: id,
                key: READY_FD.to_owned(),
                value,
            });
        }
        if let Some(ready) = ready {
            kit.poller.unwatch(ready);
        }
    }
}

/// A pipe for readiness: both ends, and the number of the write end in the run.
pub(super) fn pipe(spawn: &Spawn) -> Result<Option<(OwnedFd, OwnedFd, RawFd)>, SpawnError> {
    let Some(number) = spawn.ready_fd else {
        return Ok(None);
    };
    if !(READY_FD_MIN..=READY_FD_MAX).contains(&number) {
        return Err((SpawnStage::ReadyFd, Errno::EBADF));
    }
    let pipe = pipe2(OFlag::O_CLOEXEC).and_then(|(read, write)| {
        fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok((read, write, number))
    });
    pipe.map(Some).map_err(|errno| (SpawnStage::ReadyFd, errno))
}
