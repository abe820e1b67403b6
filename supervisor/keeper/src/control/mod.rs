//! The control process: how it is started, the link to it, and who follows it.
//!
//! Owner of every control process there is: the one in charge, one that is to take over
//! (`successor`), and those that have been killed and not been reaped. Invariants: at most one is
//! in charge, and requests of no other are carried out; a link stays open until its process has
//! been reaped, for to that a closed link means a dead keeper. Whether it is there is for
//! `liveness` to say, how far it can be counted on for `standing`: both are state without
//! descriptors.
//!
//! What its requests mean is not known here: they go to the keeper's loop.

mod liveness;
mod ping;
mod respawn;
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
    standing::Loss,
    successor::{Heard, is_gone},
};
use crate::{
    fact_queue::FactQueue,
    kit::Kit,
    link::{Link, LinkError},
    message::{Hello, Notice, Request},
    poller::Source,
    stderr_log::say,
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
    /// One that is to take over from it.
    successor: Option<Successor>,
    /// Those that have been killed for another and not been reaped.
    retired: Vec<Retired>,
    deaths: u32,
    liveness: Liveness,
    standing: Standing,
    /// The last read from the link left something.
    more: bool,
    /// The link is watched for writing too.
    writing: bool,
}

impl Control {
    /// None yet.
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

    /// The program of the one in charge, and where its words go: for other processes of the
    /// daemon's.
    pub(crate) fn program(&self) -> (RawFd, RawFd) {
        (self.binary.as_raw_fd(), self.stderr.as_raw_fd())
    }

    /// One is in charge, or is to be.
    pub(crate) const fn is_there(&self) -> bool {
        self.pid.is_some() || self.successor.is_some()
    }

    /// It has taken over, and said something at this moment or later.
    pub(crate) fn has_answered_since(&self, at_ms: u64) -> bool {
        self.standing.has_taken_over() && self.liveness.heard_since(at_ms)
    }

    /// What it is told of those before it.
    pub(crate) fn describe(&self, hello: &mut Hello) {
        hello.control_deaths = self.deaths;
        hello.went_back = self.standing.went_back;
    }

    /// Whoever listens is sent what it has not been told, as far as its link takes it.
    pub(crate) fn send_facts(&mut self, facts: &mut FactQueue) {
        while let Some(link) = self.listening()
            && link.pending() < LINK_BYTES_AHEAD
            && let Some(frame) = facts.next_unsent()
        {
            tell(link, &frame, Vec::new());
        }
    }

    /// The last turn has left something to send that the link would take.
    pub(crate) fn can_send_more(&self, facts: &FactQueue) -> bool {
        let successor = self.successor.as_ref().map(|it| &it.link);
        let link = successor.or(self.link.as_ref());
        link.is_some_and(|it| it.pending() < LINK_BYTES_AHEAD) && facts.has_unsent()
    }

    /// The link to whoever is to hear of facts.
    fn listening(&mut self) -> Option<&mut Link> {
        match &mut self.successor {
            Some(successor) => Some(&mut successor.link),
            None => self.link.as_mut(),
        }
    }

    /// Says something that is not kept; it is sent at the end of the turn.
    pub(crate) fn notice(&mut self, notice: &Notice, fds: Vec<OwnedFd>) {
        if let Some(link) = &mut self.link {
            tell(link, notice, fds);
        }
    }

    /// The last read from the link left something.
    pub(crate) fn has_more(&self) -> bool {
        self.more && self.link.is_some()
    }

    /// Takes in what the control process asks. A slow turn leaves the rest in the socket.
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

    /// Without a link a control process is of no use: it is ended, and its death brings the next.
    pub(crate) fn link_failed(&mut self, kit: &Kit, error: &LinkError) {
        let Some(link) = self.link.take() else {
            return;
        };
        kit.poller.unwatch(&link);
        self.more = false;
        let Some(pid) = self.pid else {
            return;
        };
        // One that has just ended closes its side too; reaping says how.
        if !matches!(error, LinkError::Eof) {
            say!("lost the control process (pid {pid}): {error}");
        }
        if !kit.is_shutting_down() {
            let _ = pidfd::kill(pid, libc::SIGKILL);
        }
    }

    /// Writes what waits, and asks to be told when more can be written.
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

    /// Tells it by closing the link that its last word has been heard.
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

/// Queues a notice. One that is not taken is dropped: the link is as good as before, and whoever
/// listens has done nothing wrong.
fn tell(link: &mut Link, notice: &Notice, fds: Vec<OwnedFd>) {
    if let Err(error) = link.queue(notice, fds) {
        say!("could not tell the control process: {error}");
    }
}

/// Puts what a new control process is told first into its link: these descriptors with the hello,
/// then pipes.
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
