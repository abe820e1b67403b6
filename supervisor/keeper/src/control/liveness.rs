//! Whether the control process is there: it is asked, and replaced if it stays silent.
//!
//! There is no ticker. Something has to wait for a word of it: a fact that it has not taken in, a
//! client that has come, its own beginning, an end that is asked for, or an init that has a
//! watchdog. Then it is asked once it has been silent for [`ASK_MS`] (or for an interval of init's
//! watchdog, if that is shorter), and again after each [`ASK_MS`]; any word of it is an answer. One
//! that has left [`MISSED_MAX`] questions unanswered, or has not taken over within
//! [`TAKE_OVER_MS`], is killed and another is started.
//!
//! A client counts once it connects: the listening socket is watched for one event, and again after
//! an answer. So one that hangs while nobody wants anything of it is not noticed, and costs nobody
//! anything.

use std::time::Duration;

use crate::clock::now_ms;

/// From one question to the next, and from the last message to the first question, in milliseconds.
pub(super) const ASK_MS: u64 = 5_000;
/// Questions that may stay unanswered: a busy machine is slow.
pub(super) const MISSED_MAX: u32 = 3;
/// To load the state, which may take a slow disk and a slow name service some time.
pub(super) const TAKE_OVER_MS: u64 = 60_000;

/// What the present control process owes the keeper.
#[derive(Debug)]
pub(super) struct Liveness {
    /// When it last said anything, or began.
    heard_at: u64,
    /// Questions since then.
    unanswered: u32,
    /// Somebody wants to know: a client has come, init has asked, or we have.
    is_wanted: bool,
    /// The listening socket is to be watched again.
    rearm: bool,
    /// `Timer::Liveness` is set.
    is_timed: bool,
}

impl Liveness {
    /// A control process that owes nothing yet.
    pub(super) fn new() -> Self {
        Self {
            heard_at: now_ms(),
            unanswered: 0,
            is_wanted: false,
            rearm: true,
            is_timed: false,
        }
    }

    /// It has said something, or another has begun in its place.
    pub(super) fn heard(&mut self) {
        self.heard_at = now_ms();
        self.unanswered = 0;
        self.rearm |= std::mem::take(&mut self.is_wanted);
    }

    /// The listening socket is another now.
    pub(super) const fn listener_changed(&mut self) {
        self.rearm = true;
    }

    /// It has said something at this moment or later.
    pub(super) const fn heard_since(&self, at_ms: u64) -> bool {
        self.heard_at >= at_ms
    }

    /// Somebody wants to know whether it is there: a client has come, init has asked, or we have.
    pub(super) const fn wants_to_know(&mut self) {
        self.is_wanted = true;
    }

    /// Somebody waits for an answer of it.
    pub(super) const fn waits_for_an_answer(&self) -> bool {
        self.is_wanted || self.unanswered > 0
    }

    /// True, once: the listening socket is to be watched.
    pub(super) fn take_rearm(&mut self) -> bool {
        std::mem::take(&mut self.rearm)
    }

    /// The one timer is not set: when it is to come, after so much patience.
    pub(super) fn time(&mut self, patience_ms: u64) -> Option<u64> {
        let is_timed = std::mem::replace(&mut self.is_timed, true);
        (!is_timed).then(|| now_ms() + patience_ms)
    }

    /// The timer has come for one that owes a word: what is to be done now.
    pub(super) fn due(&mut self, has_taken_over: bool, patience_ms: u64, take_over_ms: u64) -> Due {
        let (now, heard_at) = (now_ms(), self.heard_at);
        let next = |limit| {
            let at = heard_at + limit;
            (now < at).then_some(at)
        };
        if !has_taken_over {
            return next(take_over_ms).map_or(Due::NotTakenOver, Due::Later);
        }
        if let Some(at) = next(patience_ms) {
            return Due::Later(at);
        }
        if self.unanswered >= MISSED_MAX {
            return Due::Silent(Duration::from_millis(now - heard_at));
        }
        self.unanswered += 1;
        Due::Ask(now + patience_ms)
    }

    /// The timer has come: it is not set any more.
    pub(super) const fn timer_came(&mut self) {
        self.is_timed = false;
    }

    /// The timer is set for this moment.
    pub(super) const fn timer_set(&mut self) {
        self.is_timed = true;
    }
}

/// What is to be done with a control process that owes a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before this moment.
    Later(u64),
    /// It is to be asked, and looked at again at this moment.
    Ask(u64),
    /// It has been given up: it has not taken over in time.
    NotTakenOver,
    /// It has been given up: it has left all questions unanswered for so long.
    Silent(Duration),
}
