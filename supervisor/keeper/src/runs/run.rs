//! A run and a service, as the keeper knows them.

use std::{
    collections::{BTreeMap, VecDeque},
    os::fd::OwnedFd,
};

use serde::{Deserialize, Serialize};

use super::notify::{Dropped, Socket};
use crate::{
    cgroup::Group,
    log::PipeReader,
    message::{Exit, Left, OUTPUT_BYTES_MAX, Open, Role, RunId, RunInfo, Stop},
};

/// Longest extension of its stop that a run is granted, in milliseconds.
const EXTENDED_MS_MAX: u64 = 300_000;

/// One spawned process, and everything that belongs to its run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) service: String,
    pub(crate) role: Role,
    /// The spawned process: leader of session and group, which have its pid as their number.
    pub(crate) leader: i32,
    /// The main process: the leader, until MAINPID= says otherwise.
    pub(crate) main: i32,
    /// Pidfd of the main process. Polled only if that is not the leader.
    pub(crate) pidfd: OwnedFd,
    pub(crate) spawned_ms: u64,
    /// Read end of the pipe for readiness; `None` once all writers have closed it.
    pub(crate) ready: Option<OwnedFd>,
    /// Whether only its main process is heard on the notify socket.
    pub(crate) main_only: bool,
    pub(crate) exit: Option<Exit>,
    pub(crate) core: bool,
    /// When it ended, once it has.
    pub(crate) ended_ms: u64,
    pub(crate) swept: bool,
    /// A sweep that goes on.
    pub(crate) sweep: Option<Sweep>,
    /// Processes that SIGKILL has not ended, as last reported.
    pub(crate) left: Vec<Left>,
    pub(crate) notified: BTreeMap<String, String>,
    /// Inode of the pipe that is its standard output and error.
    pub(crate) pipe: u64,
    /// Whether it was spawned in its service's cgroup, which root can leave.
    pub(crate) in_cgroup: bool,
    /// The cgroup of a helper; a main run is in the cgroup of its service.
    pub(crate) group: Option<Group>,
    /// Descendants outside its cgroup, seen when it was last asked to stop: pid and start time.
    pub(crate) seen: Vec<(i32, u64)>,
    pub(crate) stop: Stop,
    pub(crate) timed_out: bool,
    pub(crate) output: Option<Output>,
}

/// A sweep that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the unit is part of each name")]
pub(crate) struct Sweep {
    /// When the processes that are left are told; from then on they are looked at now and then.
    pub(crate) until_ms: u64,
    /// From one look to the next.
    pub(crate) pause_ms: u64,
    /// When the next look is due.
    pub(crate) next_ms: u64,
}

/// Output of a helper: its last bytes.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) pipe: OwnedFd,
    pub(crate) tail: VecDeque<u8>,
}

impl Output {
    /// Takes more output in.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.tail.extend(bytes);
        let over = self.tail.len().saturating_sub(OUTPUT_BYTES_MAX);
        self.tail.drain(..over);
    }
}

impl Run {
    /// For `Hello`.
    pub(crate) fn info(&self) -> RunInfo {
        RunInfo {
            run: self.id,
            service: self.service.clone(),
            role: self.role,
            pid: self.main,
            spawned_ms: self.spawned_ms,
            exit: self.exit,
            core: self.core,
            swept: self.swept,
            left: self.left.clone(),
            notified: self.notified.clone(),
        }
    }

    /// Longest time of its stop: the configured time, or a longer one that the run has asked for.
    pub(crate) fn stop_time_ms(&self) -> u64 {
        let asked = self.notified.get("EXTEND_TIMEOUT_USEC");
        let asked = asked.and_then(|usec| usec.parse::<u64>().ok()).unwrap_or(0);
        self.stop
            .timeout_ms
            .max((asked / 1000).min(EXTENDED_MS_MAX))
    }

    /// Whether its process lives, or its end has not been handled yet.
    pub(crate) fn lives(&self) -> bool {
        self.exit.is_none()
    }

    /// Whether processes of the run have survived SIGKILL, and that has been reported.
    pub(crate) fn is_given_up(&self) -> bool {
        !self.left.is_empty()
    }

    /// Whether the keeper has nothing more to wait for in this run.
    pub(crate) fn is_over(&self) -> bool {
        self.is_given_up() || !self.lives() && self.sweep.is_none()
    }
}

/// Everything that outlives the runs of a service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) open: Open,
    pub(crate) pipe: Option<Pipe>,
    pub(crate) group: Option<Group>,
    pub(crate) notify: Option<Socket>,
    /// Messages on the notify socket that were dropped.
    pub(crate) dropped: Dropped,
    /// Its number among event sources.
    pub(crate) number: u64,
    /// The last main run, until that is swept and acknowledged.
    pub(crate) main: Option<RunId>,
}

/// The log pipe: both ends are held, so that it neither breaks nor ends.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) read: OwnedFd,
    pub(crate) write: OwnedFd,
    pub(crate) inode: u64,
    /// Bytes that it took when it was made.
    pub(crate) size: i32,
    /// Shared with the log thread, which reads it.
    pub(crate) reader: PipeReader,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_helpers_output_the_end_is_kept() {
        let (pipe, _write) = nix::unistd::pipe().unwrap();
        let mut output = Output {
            pipe,
            tail: VecDeque::new(),
        };
        output.extend(&vec![b'a'; OUTPUT_BYTES_MAX]);
        output.extend(b"end");
        assert_eq!(output.tail.len(), OUTPUT_BYTES_MAX);
        assert!(
            output
                .tail
                .iter()
                .rev()
                .eq(b"dne".iter().chain(&vec![b'a'; OUTPUT_BYTES_MAX - 3]))
        );
    }
}
