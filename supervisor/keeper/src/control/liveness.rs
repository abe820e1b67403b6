//! Whether the control process is there: it is asked, and replaced if it stays silent.
//!
//! There is no ticker. Something has to wait for a word of it: a fact that it has not taken in, a client that has
//! come, its own beginning, an end that is asked for, or an init that has a watchdog. Then it is asked once it has
//! been silent for [`ASK_MS`] (or for an interval of init's watchdog, if that is shorter), and again after each
//! [`ASK_MS`]; any word of it is an answer. One that has left [`MISSED_MAX`] questions unanswered, or has not taken
//! over within [`TAKE_OVER_MS`], is killed and another is started.
//!
//! A client counts once it connects: the listening socket is watched for one event, and again after an answer. So
//! one that hangs while nobody wants anything of it is not noticed, and costs nobody anything.

use nix::{
    errno::Errno,
    sys::epoll::{EpollEvent, EpollFlags},
};

use crate::{
    clock::now_ms,
    keeper::{Keeper, Source},
    message::Notice,
    say::say,
    succession::Loss,
    timers::Timer,
};

/// From one question to the next, and from the last word to the first.
const ASK_MS: u64 = 5_000;
/// Questions that may stay unanswered: a busy machine is slow.
const MISSED_MAX: u32 = 3;
/// To load the state, which may take a slow disk and a slow name service some time.
const TAKE_OVER_MS: u64 = 60_000;

/// What the present control process owes us.
#[derive(Debug)]
pub(crate) struct Liveness {
    /// When it last said anything, or began.
    heard_at: u64,
    /// Questions since.
    unanswered: u32,
    /// Somebody wants to know: a client has come, init has asked, or we have.
    is_wanted: bool,
    /// The listening socket is to be watched again.
    rearm: bool,
    /// [`Timer::Liveness`] is set.
    is_timed: bool,
}

impl Liveness {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            heard_at: now_ms(),
            unanswered: 0,
            is_wanted: false,
            rearm: true,
            is_timed: false,
        }
    }

    /// It has said something, or another has begun in its place.
    pub(crate) fn heard(&mut self) {
        self.heard_at = now_ms();
        self.unanswered = 0;
        self.rearm |= std::mem::take(&mut self.is_wanted);
    }

    /// The listening socket is another now.
    pub(crate) const fn listener_changed(&mut self) {
        self.rearm = true;
    }

    /// It has said something at this moment or later.
    pub(crate) const fn heard_since(&self, at_ms: u64) -> bool {
        self.heard_at >= at_ms
    }
}

impl Keeper {
    /// Asks out of turn: that this one is not answered does not count by itself.
    pub(crate) fn ask_whether_there(&mut self) {
        self.control.liveness.is_wanted = true;
        self.notice(&Notice::AreYouThere, Vec::new());
    }

    /// Somebody waits for a word of the control process. Looked at after every turn.
    pub(crate) fn expect_word(&mut self) {
        let liveness = &mut self.control.liveness;
        if std::mem::take(&mut liveness.rearm) {
            self.watch_clients();
        }
        if self.owes_a_word() && !self.control.liveness.is_timed {
            self.time_liveness(now_ms() + self.patience_ms());
        }
    }

    fn time_liveness(&mut self, at: u64) {
        self.control.liveness.is_timed = true;
        self.timers.add(at, Timer::Liveness);
    }

    fn owes_a_word(&self) -> bool {
        let control = &self.control;
        let lives = control.pid.is_some() && self.ending.is_none();
        let wanted = control.liveness.is_wanted || control.liveness.unanswered > 0;
        let waits = wanted || !self.facts.is_empty() || self.term.is_some();
        lives && (waits || !control.standing.has_taken_over())
    }

    /// From the last word to the first question.
    fn patience_ms(&self) -> u64 {
        self.init.watchdog_ms().unwrap_or(ASK_MS).min(ASK_MS)
    }

    /// It may be time to ask, or to give it up.
    pub(crate) fn liveness_due(&mut self) {
        self.control.liveness.is_timed = false;
        let Some(pid) = self.control.pid.filter(|_| self.owes_a_word()) else {
            return;
        };
        let (now, heard_at) = (now_ms(), self.control.liveness.heard_at);
        if !self.control.standing.has_taken_over() {
            let limit = self.take_over_ms();
            if now < heard_at + limit {
                return self.time_liveness(heard_at + limit);
            }
            say!("the control process (pid {pid}) has not taken over in time; kills it");
            return self.lose_control(pid, Loss::Silent);
        }
        let next = heard_at + self.patience_ms();
        if now < next {
            return self.time_liveness(next);
        }
        if self.control.liveness.unanswered >= MISSED_MAX {
            let silent = std::time::Duration::from_millis(now - heard_at);
            say!(
                "the control process (pid {pid}) has not answered {MISSED_MAX} questions in {silent:?}; kills it"
            );
            return self.lose_control(pid, Loss::Silent);
        }
        self.control.liveness.unanswered += 1;
        self.ask_whether_there();
        self.time_liveness(now + self.patience_ms());
    }

    fn take_over_ms(&self) -> u64 {
        match self.term {
            None => TAKE_OVER_MS,
            Some(_) => crate::ending::DESERTED_MS,
        }
    }

    /// Tells init that we live, and wants the control process to say the same.
    pub(crate) fn watchdog(&mut self) {
        let Some(interval) = self.init.watchdog_ms() else {
            return;
        };
        self.init.tell("WATCHDOG=1");
        self.timers.add(now_ms() + interval, Timer::Watchdog);
        self.control.liveness.is_wanted = true;
    }

    /// A client has connected; whether it is being served shows soon.
    pub(crate) fn client_came(&mut self) {
        self.control.liveness.is_wanted = true;
    }

    /// For one event.
    fn watch_clients(&self) {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
        let mut event = EpollEvent::new(flags, Source::Client.token());
        let watched = match self.epoll.modify(&self.listener, &mut event) {
            Err(Errno::ENOENT) => self.epoll.add(&self.listener, event),
            known => known,
        };
        if let Err(error) = watched {
            say!("could not watch the control socket: {error}");
        }
    }
}
