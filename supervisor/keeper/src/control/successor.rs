//! `ctl reexec`: a new control process is started beside the old one, from the path that the daemon
//! was started by. Once it has loaded the state and says so, it is the control process and the old
//! one is ended; if it has not within [`PATIENCE_MS`], or ends, the old one goes on. What becomes
//! of a new program that takes over and does not work all the same is in `standing`.
//!
//! The old one asks nothing between [`Request::Reexec`] and the
//! answer, so what it has asked is done and its records are whole. Facts go to the new one
//! meanwhile, and what nobody has acknowledged goes to whoever is in charge afterwards.

use std::{
    fs::File,
    os::fd::{OwnedFd, RawFd},
};

use nix::libc;

use super::{Control, tell};
use crate::{
    clock::now_ms,
    kit::Kit,
    link::{Link, LinkError},
    message::{Hello, Notice, Request},
    poller::Source,
    stderr_log::{error, say},
    sys::pidfd,
    timers::Timer,
};

/// A new control process has this long to take over.
const PATIENCE_MS: u64 = 5_000;

/// A control process that is to take over from another.
#[derive(Debug)]
pub(super) struct Successor {
    pid: i32,
    pub(super) link: Link,
    binary: File,
    writing: bool,
    give_up_at: u64,
    /// How far the old one had been sent facts.
    sent_before: u64,
}

/// A control process that has been killed and not been reaped. Its link stays open until then: to
/// it, a closed link means a dead keeper.
#[derive(Debug)]
pub(super) struct Retired {
    pub(super) pid: i32,
    pub(super) link: Option<Link>,
}

impl Retired {
    /// A control process that has just been killed.
    pub(super) const fn new(pid: i32, link: Option<Link>) -> Self {
        Self { pid, link }
    }
}

/// Message of a successor.
#[derive(Debug)]
pub(crate) enum Heard {
    /// No message that decides yet.
    Nothing,
    /// The successor has taken over, and sends these requests.
    TookOver(Vec<Request>),
    /// The successor failed; why.
    Unfit(String),
}

/// A successor that was started and has not been sent anything.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: i32,
    pub(crate) link: Link,
    binary: File,
    /// How far the one in charge had been sent facts.
    sent_before: u64,
}

impl Control {
    /// A successor is on its way.
    pub(crate) const fn has_successor(&self) -> bool {
        self.successor.is_some()
    }

    /// Starts the program that is installed now, beside the one in charge; if not, why.
    pub(crate) fn start_successor(
        &mut self,
        kit: &mut Kit,
        locks: &[RawFd],
    ) -> Result<Started, String> {
        let path = self.path.display().to_string();
        let binary = File::open(&self.path);
        let binary = binary.map_err(|error| format!("cannot open {path}: {error}"))?;
        let made = self.make(kit, &binary, locks);
        let (pid, link) =
            made.map_err(|(stage, error)| format!("cannot start {path}: {stage}: {error}"))?;
        Ok(Started {
            pid,
            link,
            binary,
            sent_before: kit.facts.sent(),
        })
    }

    /// Fills in what a successor learns about its predecessors. `went_back` is false: a successor
    /// is the first of the program that is installed now.
    pub(crate) fn describe_to_successor(&self, hello: &mut Hello) {
        self.describe(hello);
        hello.went_back = false;
    }

    /// Watches the link of the successor, and sets its deadline.
    pub(crate) fn await_successor(&mut self, kit: &mut Kit, started: Started) {
        kit.poller.watch(&started.link, Source::Successor);
        let give_up_at = now_ms() + PATIENCE_MS;
        kit.timers.add(give_up_at, Timer::Successor);
        self.successor = Some(Successor {
            pid: started.pid,
            link: started.link,
            binary: started.binary,
            writing: false,
            give_up_at,
            sent_before: started.sent_before,
        });
    }

    /// Reports to the control process in charge that it stays so.
    pub(crate) fn not_replaced(&mut self, why: String) {
        error!("no other control process takes over: {why}");
        self.notice(&Notice::NotReplaced { why }, Vec::new());
    }

    /// Ends the new control process; the old one continues. False: there is no new one.
    pub(crate) fn drop_successor(&mut self, kit: &mut Kit, why: &str) -> bool {
        let Some(successor) = self.successor.take() else {
            return false;
        };
        kit.facts.resume(successor.sent_before);
        self.retire(kit, successor.pid, Some(successor.link));
        self.not_replaced(format!("the new one {why}"));
        true
    }

    /// Checks the deadline of a successor; the timer may be that of an earlier one. Some: the
    /// successor is late.
    pub(crate) fn successor_due(&self) -> Option<String> {
        let due = self.successor.as_ref().map(|it| it.give_up_at);
        let seconds = PATIENCE_MS / 1000;
        due.is_some_and(|at| at <= now_ms())
            .then(|| format!("did not take over within {seconds} s"))
    }

    /// Reads messages of the successor: the first has to be that it takes over.
    pub(crate) fn read_successor(&mut self, kit: &Kit) -> Heard {
        let Some(successor) = &mut self.successor else {
            return Heard::Nothing;
        };
        match successor.link.recv::<Request>() {
            Ok(frames) if frames.is_empty() => Heard::Nothing,
            Ok(frames) => {
                let requests: Vec<Request> = frames.into_iter().map(|(it, _)| it).collect();
                if requests.first() == Some(&Request::TookOver) {
                    Heard::TookOver(requests)
                } else {
                    Heard::Unfit("asks for something before it takes over".to_owned())
                }
            }
            // The exit of the successor has the reason, and follows at once.
            Err(LinkError::Eof) => {
                kit.poller.unwatch(&successor.link);
                Heard::Nothing
            }
            Err(error) => Heard::Unfit(format!("cannot be understood: {error}")),
        }
    }

    /// Puts the new control process in charge.
    pub(crate) fn succeed(&mut self, kit: &mut Kit) {
        let Some(successor) = self.successor.take() else {
            return;
        };
        let old = self.pid.replace(successor.pid);
        let old_link = self.link.take();
        if let Some(link) = &old_link {
            kit.poller.unwatch(link);
        }
        if let Some(old) = old {
            self.retire(kit, old, old_link);
        }
        say!(
            "the control process (pid {}) takes over from pid {}",
            successor.pid,
            old.unwrap_or(0)
        );
        let writing = successor.writing;
        kit.poller.watch_for(&successor.link, Source::Link, writing);
        let more = !successor.link.drained();
        self.link = Some(successor.link);
        let old = std::mem::replace(&mut self.binary, successor.binary);
        self.begins(more, writing);
        self.standing.succeeds(old);
    }

    /// Kills a control process that is no longer needed.
    fn retire(&mut self, kit: &Kit, pid: i32, link: Option<Link>) {
        let _ = pidfd::kill(pid, libc::SIGKILL);
        if let Some(link) = &link {
            kit.poller.unwatch(link);
        }
        self.retired.push(Retired::new(pid, link));
    }

    /// Whether this process is the successor.
    pub(crate) fn is_successor(&self, pid: i32) -> bool {
        self.successor.as_ref().map(|it| it.pid) == Some(pid)
    }

    /// Forgets a reaped control process. True: it was one that had been killed for another.
    pub(crate) fn retired_ended(&mut self, pid: i32) -> bool {
        let before = self.retired.len();
        self.retired.retain(|it| it.pid != pid);
        self.retired.len() < before
    }

    /// Sends the successor the notices that the control process in charge gets.
    pub(crate) fn notice_to_successor(&mut self, notice: &Notice, fds: Vec<OwnedFd>) {
        if let Some(successor) = &mut self.successor {
            tell(&mut successor.link, notice, fds);
        }
    }

    /// Writes pending data to a successor. Some: the successor does not read.
    pub(crate) fn flush_successor(&mut self, kit: &Kit) -> Option<String> {
        let successor = self.successor.as_mut()?;
        if let Err(error) = successor.link.flush().map_err(LinkError::Io) {
            return (!is_gone(&error)).then(|| format!("does not listen: {error}"));
        }
        let wants = successor.link.wants_write();
        if wants != std::mem::replace(&mut successor.writing, wants) {
            kit.poller
                .watch_for(&successor.link, Source::Successor, wants);
        }
        None
    }
}

/// Whether the peer has ended; its exit status has the reason.
pub(crate) fn is_gone(error: &LinkError) -> bool {
    matches!(error, LinkError::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
}
