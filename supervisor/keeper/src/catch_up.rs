//! What has arrived is taken in before anybody is judged by the clock: by our own timers, and by
//! the control process, which asks for it with [`Request::Sync`](crate::message::Request::Sync)
//! before it judges a run by its silence.
//!
//! After a stop of ours (SIGSTOP, a machine that swaps) requests, exits and notifications lie there
//! together with timers that are due. All of it has been taken in once a turn begins with nothing
//! to do. Then timers are heard, and the control process is answered behind the facts that came of
//! it.
//!
//! Limits: timers are put off for [`PUT_OFF_MAX`] turns at most, however much still arrives. So
//! many turns take in all that lay there in the first: each ready descriptor is served in turn, and
//! no socket's queue is longer. A message that a thread takes away (`notify::socket`) hides what
//! lies behind it: the loop waits for that once, for [`ASIDE_MS`].

use crate::{
    clock::now_ms,
    kit::Kit,
    runs::Runs,
    timers::{Timer, Timers},
};

/// Turns in which something is due and put off.
const PUT_OFF_MAX: u32 = 32;
/// Time for a thread that takes a message away, in milliseconds: closing a descriptor takes none,
/// unless it hangs.
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
    /// The control process names its question by this moment.
    at_ms: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not everything has been taken in.
    Gathering,
    /// A thread takes a message away.
    Aside,
    /// All that had arrived is among the facts.
    Gathered,
}

impl CatchUp {
    /// The control process asks; its last question counts.
    pub(crate) fn ask(&mut self, at_ms: u64) {
        let stage = Stage::Gathering;
        self.sync = Some(Sync { at_ms, stage });
    }

    /// The control process that asked has gone: nobody is answered.
    pub(crate) fn forget(&mut self) {
        self.sync = None;
    }

    /// The next turn is to begin at once.
    pub(crate) fn is_pressing(&self) -> bool {
        self.sync.is_some_and(|it| it.stage == Stage::Gathering)
    }

    /// The time for threads that take messages away is over.
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

    /// Goes on with the question of the control process, once all facts of this turn are known.
    /// Some: the name of the question that is answered now.
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
