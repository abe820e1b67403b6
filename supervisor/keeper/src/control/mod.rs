//! The control process: its start, the link to it, and its successor.
//!
//! Owner of every control process: the one in charge, a successor that is about to take over
//! (`successor`), and killed ones that have not been reaped. Invariants: at most one is in charge,
//! and only its requests are carried out; a link stays open until its process has been reaped, for
//! a closed link means a dead keeper to that process. `liveness` decides whether the control
//! process responds, `standing` how far it can be relied on: both are state without descriptors.
//!
//! The meaning of requests is not known here: they go to the keeper's loop.

mod liveness;
mod ping;
mod respawn;
mod saved;
mod spawn;
mod standing;
mod successor;

use std::{
    fs::File,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    path::PathBuf,
};

use nix::libc;

use self::{
    liveness::Liveness,
    standing::Standing,
    successor::{Retired, Successor},
};
pub(crate) use self::{
    saved::SavedControl,
    standing::Loss,
    successor::{Heard, is_gone},
};
use crate::{
    fact_queue::FactQueue,
    kit::Kit,
    link::{Link, LinkError},
    message::{Hello, Notice, Request},
    poller::Source,
    stderr_log::error,
    sys::pidfd,
};

/// Facts wait in their queue while the link is this far behind.
const LINK_BYTES_AHEAD: usize = 256 << 10;

/// The one control process, and what is needed for the next.
#[derive(Debug)]
pub(crate) struct Control {
    /// The binary that last took over: its path may have been replaced since.
    binary: File,
    /// Where the daemon's program was when it was started; another may be there by now.
    path: PathBuf,
    stdout: OwnedFd,
    stderr: OwnedFd,
    pid: Option<i32>,
    link: Option<Link>,
    /// The control process that is about to take over.
    successor: Option<Successor>,
    /// Control processes that were killed in favour of another and have not been reaped.
    retired: Vec<Retired>,
    deaths: u32,
    liveness: Liveness,
    standing: Standing,
    /// Whether the last read left data in the link.
    more: bool,
    /// Whether the link is watched for writing too.
    writing: bool,
}

impl Control {
    /// Starts no control process yet.
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

    /// Pid of the control process in charge.
    pub(crate) const fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// Program and standard error of the control process in charge, for other processes of the
    /// daemon.
    pub(crate) fn program(&self) -> (RawFd, RawFd) {
        (self.binary.as_raw_fd(), self.stderr.as_raw_fd())
    }

    /// Whether a control process is in charge, or is about to be.
    pub(crate) const fn is_there(&self) -> bool {
        self.pid.is_some() || self.successor.is_some()
    }

    /// Whether the control process has taken over, and has sent a message at this moment or later.
    pub(crate) fn has_answered_since(&self, at_ms: u64) -> bool {
        self.standing.has_taken_over() && self.liveness.heard_since(at_ms)
    }

    /// Fills in what a new control process learns about its predecessors.
    pub(crate) fn describe(&self, hello: &mut Hello) {
        hello.control_deaths = self.deaths;
        hello.went_back = self.standing.went_back;
    }

    /// Sends unsent facts to the listening control process, as far as its link takes them.
    pub(crate) fn send_facts(&mut self, facts: &mut FactQueue) {
        while let Some(link) = self.listening()
            && link.pending() < LINK_BYTES_AHEAD
            && let Some(frame) = facts.next_unsent()
        {
            tell(link, &frame, Vec::new());
        }
    }

    /// Whether unsent facts remain that the link would take.
    pub(crate) fn can_send_more(&self, facts: &FactQueue) -> bool {
        let successor = self.successor.as_ref().map(|it| &it.link);
        let link = successor.or(self.link.as_ref());
        link.is_some_and(|it| it.pending() < LINK_BYTES_AHEAD) && facts.has_unsent()
    }

    /// The link to the control process that gets facts: the successor, if there is one.
    fn listening(&mut self) -> Option<&mut Link> {
        match &mut self.successor {
            Some(successor) => Some(&mut successor.link),
            None => self.link.as_mut(),
        }
    }

    /// Queues a notice that is not kept; it is sent at the end of the turn.
    pub(crate) fn notice(&mut self, notice: &Notice, fds: Vec<OwnedFd>) {
        if let Some(link) = &mut self.link {
            tell(link, notice, fds);
        }
    }

    /// Whether the last read left data in the link.
    pub(crate) fn has_more(&self) -> bool {
        self.more && self.link.is_some()
    }

    /// Reads requests of the control process. A slow turn leaves the rest in the socket.
    pub(crate) fn read(&mut self, kit: &Kit) -> Vec<Request> {
        let Some(link) = &mut self.link else {
            return Vec::new();
        };
        match link.recv::<Request>() {
            Ok(frames) => {
                self.more = !link.drained();
                if !frames.is_empty() {
                    self.liveness.heard();
                    self.standing.heard();
                }
                frames.into_iter().map(|(request, _)| request).collect()
            }
            Err(error) => {
                self.link_failed(kit, &error);
                Vec::new()
            }
        }
    }

    /// Kills a control process whose link has failed; its death leads to the next one.
    pub(crate) fn link_failed(&mut self, kit: &Kit, error: &LinkError) {
        let Some(link) = self.link.take() else {
            return;
        };
        kit.poller.unwatch(&link);
        self.more = false;
        let Some(pid) = self.pid else {
            return;
        };
        // A control process that has just ended closes its side too; reaping reports the reason.
        if !matches!(error, LinkError::Eof) {
            error!("lost the control process (pid {pid}): {error}");
        }
        if !kit.is_shutting_down() {
            let _ = pidfd::kill(pid, libc::SIGKILL);
        }
    }

    /// Writes pending data, and watches for writability if some is left.
    pub(crate) fn flush(&mut self, kit: &Kit) {
        let Some(link) = &mut self.link else {
            return;
        };
        if let Err(error) = link.flush() {
            self.link_failed(kit, &error.into());
            return;
        }
        let wants = link.wants_write();
        if wants != self.writing {
            self.writing = wants;
            kit.poller.watch_for(&*link, Source::Link, wants);
        }
    }

    /// Closes the link, which tells the control process that its last message has arrived.
    pub(crate) fn close_link(&mut self, kit: &Kit) {
        if let Some(mut link) = self.link.take() {
            let _ = link.flush();
            kit.poller.unwatch(&link);
        }
    }

    /// Kills the control process in charge, at the end of the daemon.
    pub(crate) fn kill(&self) {
        if let Some(pid) = self.pid {
            let _ = pidfd::kill(pid, libc::SIGKILL);
        }
    }
}

/// Queues a notice. A notice that the link does not take is dropped: the link still works, and the
/// receiver has done nothing wrong.
fn tell(link: &mut Link, notice: &Notice, fds: Vec<OwnedFd>) {
    if let Err(error) = link.queue(notice, fds) {
        error!("could not tell the control process: {error}");
    }
}

/// Queues the first messages to a new control process: the hello with these descriptors, then
/// pipes.
pub(crate) fn greet(
    link: &mut Link,
    hello: Hello,
    listener: OwnedFd,
    opened: Vec<(Notice, Vec<OwnedFd>)>,
) -> Result<(), LinkError> {
    tell(link, &Notice::Hello(Box::new(hello)), vec![listener]);
    for (notice, fds) in opened {
        tell(link, &notice, fds);
    }
    link.flush()?;
    Ok(())
}
