//! Whether the control process responds: the keeper asks, and replaces a silent control process.
//!
//! There is no ticker. The keeper asks only while something waits for the control process: a fact
//! that it has not taken in, a client that has come, its own start, a requested end, or an init
//! with a watchdog. Then the first question comes after [`ASK_MS`] of silence (or after an interval
//! of init's watchdog, if that is shorter), and the next after each [`ASK_MS`]; any message counts
//! as an answer. A control process that has left [`MISSED_MAX`] questions unanswered, or has not
//! taken over within [`TAKE_OVER_MS`], is killed and another is started.
//!
//! A client counts once it connects: the listening socket is watched for one event, and again after
//! an answer. So a control process that hangs while nothing waits for it goes unnoticed, and harms
//! nobody.

use std::time::Duration;

use crate::clock::now_ms;

/// From one question to the next, and from the last message to the first question, in milliseconds.
pub(super) const ASK_MS: u64 = 5_000;
/// Questions that may stay unanswered: a busy machine is slow.
pub(super) const MISSED_MAX: u32 = 3;
/// Time to load the state; a slow disk or a slow name service may need much of it.
pub(super) const TAKE_OVER_MS: u64 = 60_000;

/// Messages that the present control process owes the keeper.
#[derive(Debug)]
pub(super) struct Liveness {
    /// When the control process last sent a message, or began.
    heard_at: u64,
    /// Questions since `heard_at`.
    unanswered: u32,
    /// Whether an answer is awaited, for a client, for init or for the keeper.
    is_wanted: bool,
    /// Whether the listening socket has to be watched again.
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

    /// Notes a message of the control process, or the start of another one in its place.
    pub(super) fn heard(&mut self) {
        self.heard_at = now_ms();
        self.unanswered = 0;
        self.rearm |= std::mem::take(&mut self.is_wanted);
    }

    /// Notes that the listening socket has been replaced.
    pub(super) const fn listener_changed(&mut self) {
        self.rearm = true;
    }

    /// Whether the control process has sent a message at this moment or later.
    pub(super) const fn heard_since(&self, at_ms: u64) -> bool {
        self.heard_at >= at_ms
    }

    /// Notes that a client, init or the keeper awaits a sign of life.
    pub(super) const fn wants_to_know(&mut self) {
        self.is_wanted = true;
    }

    /// Whether an answer of the control process is awaited.
    pub(super) const fn waits_for_an_answer(&self) -> bool {
        self.is_wanted || self.unanswered > 0
    }

    /// True, once: the listening socket is to be watched.
    pub(super) fn take_rearm(&mut self) -> bool {
        std::mem::take(&mut self.rearm)
    }

    /// When the timer has to come, after `patience_ms`. `None`: the timer is set already.
    pub(super) fn time(&mut self, patience_ms: u64) -> Option<u64> {
        let is_timed = std::mem::replace(&mut self.is_timed, true);
        (!is_timed).then(|| now_ms() + patience_ms)
    }

    /// Decides, when the timer has come, about a control process that owes an answer.
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

    /// Notes that the timer has come.
    pub(super) const fn timer_came(&mut self) {
        self.is_timed = false;
    }

    /// Notes that the timer is set.
    pub(super) const fn timer_set(&mut self) {
        self.is_timed = true;
    }
}

/// What to do with a control process that owes an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before this moment.
    Later(u64),
    /// Ask, and decide again at this moment.
    Ask(u64),
    /// Give up: the control process has not taken over in time.
    NotTakenOver,
    /// Give up: the control process has left all questions unanswered for so long.
    Silent(Duration),
}
