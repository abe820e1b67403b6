//! What has arrived is taken in before anybody is judged by the clock: by our own timers, and by the control process,
//! which asks for it with [`Request::Sync`](crate::message::Request::Sync) before it judges a run by its silence.
//!
//! After a stop of ours (SIGSTOP, a machine that swaps) requests, exits and notifications lie there together with
//! timers that are due. All of it has been taken in once a turn begins with nothing to do. Then timers are heard, and
//! the control process is answered behind the facts that came of it.
//!
//! Limits: who is never done is not waited for longer than [`PUT_OFF_MAX`] turns. So many take in all that lay there
//! at the first: each descriptor that is ready comes in its turn, and no socket's queue is longer. A message that is
//! taken away by a thread (`notify::socket`) hides what lies behind it: that is waited for once, for [`ASIDE_MS`].

use crate::{
    clock::now_ms,
    kit::Kit,
    runs::Runs,
    timers::{Timer, Timers},
};

/// Turns in which something is due and put off.
const PUT_OFF_MAX: u32 = 32;
/// For threads that take messages away: closing a descriptor takes no time, unless it hangs.
const ASIDE_MS: u64 = 100;

/// What waits for all to be taken in.
#[derive(Debug, Default)]
pub(crate) struct CatchUp {
    put_off: u32,
    sync: Option<Sync>,
}

/// A question of the control process.
#[derive(Clone, Copy, Debug)]
struct Sync {
    /// The name that it has given it.
    at_ms: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not everything has been taken in.
    Gathering,
    /// A thread takes a message away.
    Aside,
    /// What came of it is among the facts.
    Gathered,
}

impl CatchUp {
    /// The control process asks; its last question counts.
    pub(crate) fn ask(&mut self, at_ms: u64) {
        let stage = Stage::Gathering;
        self.sync = Some(Sync { at_ms, stage });
    }

    /// Whoever has asked is not there any more.
    pub(crate) fn forget(&mut self) {
        self.sync = None;
    }

    /// The next turn is to begin at once.
    pub(crate) fn is_pressing(&self) -> bool {
        self.sync.is_some_and(|it| it.stage == Stage::Gathering)
    }

    /// Threads have had their time.
    pub(crate) fn aside_due(&mut self) {
        if let Some(sync) = &mut self.sync
            && sync.stage == Stage::Aside
        {
            sync.stage = Stage::Gathered;
        }
    }

    /// The clock may be heard in this turn, which began with nothing to do or not.
    pub(crate) fn has_caught_up(&mut self, timers: &Timers, idle: bool) -> bool {
        let is_due = timers.wait_ms(now_ms()) == Some(0);
        if idle || !(is_due || self.is_pressing()) || self.put_off >= PUT_OFF_MAX {
            self.put_off = 0;
            return true;
        }
        self.put_off += 1;
        false
    }

    /// Goes on with the question of the control process, once all facts of this turn are known. Some: the name of
    /// the question that is answered now.
    pub(crate) fn step(&mut self, kit: &mut Kit, caught_up: bool, runs: &Runs) -> Option<u64> {
        let mut sync = self.sync?;
        if sync.stage == Stage::Gathering && caught_up {
            sync.stage = if runs.some_socket_is_busy() {
                kit.timers.add(now_ms() + ASIDE_MS, Timer::Aside);
                Stage::Aside
            } else {
                Stage::Gathered
            };
        }
        let answered = sync.stage == Stage::Gathered && !kit.facts.has_unsent();
        self.sync = (!answered).then_some(sync);
        answered.then_some(sync.at_ms)
    }
}
