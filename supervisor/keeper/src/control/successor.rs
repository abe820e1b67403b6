//! `ctl reexec`: a new control process is started beside the old one, from the path that the daemon
//! was started by. Once it has loaded the state and says so, it is the control process and the old
//! one is ended; if it has not within [`PATIENCE_MS`], or ends, the old one goes on. What becomes of a new
//! program that takes over and does not work all the same is in `succession`.
//!
//! The old one asks nothing between [`Request::Reexec`] and the
//! answer, so what it has asked is done and its records are whole. Facts go to the new one
//! meanwhile, and what nobody has acknowledged goes to whoever is in charge afterwards.

use std::fs::File;

use nix::libc;

use crate::{
    clock::now_ms,
    keeper::{Keeper, Source},
    link::{Link, LinkError},
    message::{Exit, Notice, Request},
    say::say,
    sys::pidfd,
    timers::Timer,
};

/// A new control process has this long to take over.
const PATIENCE_MS: u64 = 5_000;

/// A control process that is to take over from another.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) pid: i32,
    pub(crate) link: Link,
    binary: File,
    writing: bool,
    give_up_at: u64,
    /// How far the old one had been sent facts.
    sent_before: u64,
}

/// A control process that has been killed and not been reaped. Its link stays open until then: to
/// it, a closed link means a dead keeper.
#[derive(Debug)]
pub(crate) struct Retired {
    pub(crate) pid: i32,
    _link: Option<Link>,
}

impl Retired {
    /// It has been killed.
    pub(crate) const fn new(pid: i32, link: Option<Link>) -> Self {
        Self { pid, _link: link }
    }
}

impl Keeper {
    /// Starts a control process beside the one that asks for it.
    pub(crate) fn reexec(&mut self) {
        if self.control.successor.is_some() || self.ending.is_some() {
            self.not_replaced("another is being started already, or all is ending".to_owned());
            return;
        }
        let path = self.control.path.display().to_string();
        let binary = match File::open(&self.control.path) {
            Ok(binary) => binary,
            Err(error) => {
                self.not_replaced(format!("cannot open {path}: {error}"));
                return;
            }
        };
        // The old one may go on, and then has all pipes too.
        self.announce();
        match self.bear_control(&binary) {
            Ok((pid, mut link)) => {
                let sent_before = self.facts.sent();
                // That is said of the one before, and of whoever follows that.
                let went_back = std::mem::take(&mut self.control.standing.went_back);
                let greeted = self.greet(&mut link);
                self.control.standing.went_back = went_back;
                self.watch(&link, Source::Successor);
                let give_up_at = now_ms() + PATIENCE_MS;
                self.timers.add(give_up_at, Timer::Successor);
                self.control.successor = Some(Successor {
                    pid,
                    link,
                    binary,
                    writing: false,
                    give_up_at,
                    sent_before,
                });
                if let Err(error) = greeted
                    && !is_gone(&error)
                {
                    self.give_up_successor(&format!("could not be told the state: {error}"));
                }
            }
            Err((stage, error)) => {
                self.not_replaced(format!("cannot start {path}: {stage}: {error}"));
            }
        }
    }

    fn not_replaced(&mut self, why: String) {
        say!("no other control process takes over: {why}");
        self.notice(&Notice::NotReplaced { why }, Vec::new());
    }

    /// The new one will not do: it is ended, and the old one goes on; or, should that have died
    /// meanwhile, another of its kind.
    pub(crate) fn give_up_successor(&mut self, why: &str) {
        let Some(successor) = self.control.successor.take() else {
            return;
        };
        self.facts.resume(successor.sent_before);
        self.retire(successor.pid, Some(successor.link));
        self.not_replaced(format!("the new one {why}"));
        self.start_control();
    }

    /// The deadline of a successor, or of an earlier one.
    pub(crate) fn successor_due(&mut self) {
        let due = self.control.successor.as_ref().map(|it| it.give_up_at);
        if due.is_some_and(|at| at <= now_ms()) {
            let seconds = PATIENCE_MS / 1000;
            self.give_up_successor(&format!("did not take over within {seconds} s"));
        }
    }

    /// The new one says something: the first word is that it takes over.
    pub(crate) fn read_successor(&mut self) {
        let Some(successor) = &mut self.control.successor else {
            return;
        };
        match successor.link.recv::<Request>() {
            Ok(frames) if frames.is_empty() => {}
            Ok(frames) => {
                let requests: Vec<Request> = frames.into_iter().map(|(it, _)| it).collect();
                if requests.first() == Some(&Request::TookOver) {
                    self.succeed(requests);
                } else {
                    self.give_up_successor("asks for something before it takes over");
                }
            }
            // Its death says more, and comes at once.
            Err(LinkError::Eof) => {
                if let Some(successor) = &self.control.successor {
                    self.unwatch(&successor.link);
                }
            }
            Err(error) => self.give_up_successor(&format!("cannot be understood: {error}")),
        }
    }

    /// The new one is in charge from here on.
    fn succeed(&mut self, requests: Vec<Request>) {
        let Some(successor) = self.control.successor.take() else {
            return;
        };
        let old = self.control.pid.replace(successor.pid);
        let old_link = self.control.link.take();
        if let Some(link) = &old_link {
            self.unwatch(link);
        }
        if let Some(old) = old {
            self.retire(old, old_link);
        }
        say!(
            "the control process (pid {}) takes over from pid {}",
            successor.pid,
            old.unwrap_or(0)
        );
        self.watch_link(&successor.link, successor.writing);
        let more = !successor.link.drained();
        self.control.link = Some(successor.link);
        let old = std::mem::replace(&mut self.control.binary, successor.binary);
        self.control.begins(more, successor.writing);
        self.catch_up.forget();
        self.control.standing.succeeds(old);
        self.inbox.extend(requests);
    }

    /// Kills a control process that is not needed any more.
    fn retire(&mut self, pid: i32, link: Option<Link>) {
        let _ = pidfd::kill(pid, libc::SIGKILL);
        if let Some(link) = &link {
            self.unwatch(link);
        }
        self.control.retired.push(Retired::new(pid, link));
    }

    /// True: it was one beside the control process.
    pub(crate) fn other_control_ended(&mut self, pid: i32, exit: Exit) -> bool {
        if self.control.successor.as_ref().map(|it| it.pid) == Some(pid) {
            // It may have taken over with its last word.
            self.read_successor();
            if self.control.pid == Some(pid) {
                return false;
            }
            self.give_up_successor(&format!("ended before it took over ({exit})"));
        }
        let before = self.control.retired.len();
        self.control.retired.retain(|it| it.pid != pid);
        self.control.retired.len() < before
    }

    /// Writes what waits for a successor.
    pub(crate) fn flush_successor(&mut self) {
        let Some(successor) = &mut self.control.successor else {
            return;
        };
        if let Err(error) = successor.link.flush().map_err(LinkError::Io) {
            if is_gone(&error) {
                return;
            }
            self.give_up_successor(&format!("does not listen: {error}"));
            return;
        }
        let wants = successor.link.wants_write();
        if wants != std::mem::replace(&mut successor.writing, wants)
            && let Some(successor) = &self.control.successor
        {
            self.watch_for(&successor.link, Source::Successor, wants);
        }
    }
}

/// It has ended; how it did comes with its status, and says more.
fn is_gone(error: &LinkError) -> bool {
    matches!(error, LinkError::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
}
