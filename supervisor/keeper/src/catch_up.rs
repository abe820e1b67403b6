//! Everything that has arrived is taken in before a deadline counts: before the keeper's own
//! timers, and before the control process judges a run by its silence. The control process asks for
//! this with [`Request::Sync`](crate::message::Request::Sync).
//!
//! After a stop of the keeper (SIGSTOP, a machine that swaps), requests, exits and notifications
//! wait together with timers that are due. All of them have been taken in once a turn begins with
//! nothing to do. Then timers are handled, and the control process is answered behind the resulting
//! facts.
//!
//! Limits: timers are put off for [`PUT_OFF_MAX`] turns at most, however much still arrives. So
//! many turns take in everything that waited in the first: each ready descriptor is served in turn,
//! and no socket's queue is longer. A message that a thread takes away (`notify::socket`) hides the
//! messages behind it: the loop waits for that thread once, for [`ASIDE_MS`].

use crate::{
    clock::now_ms,
    kit::Kit,
    runs::Runs,
    timers::{Timer, Timers},
};

/// Most turns for which timers that are due are put off.
const PUT_OFF_MAX: u32 = 32;
/// Time for a thread that takes a message away, in milliseconds: closing a descriptor takes none,
/// unless it hangs.
const ASIDE_MS: u64 = 100;

/// Count of put-off turns, and the question of the control process that waits.
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

    /// The question of the control process that waits.
    pub(crate) fn asked(&self) -> Option<u64> {
        self.sync.map(|it| it.at_ms)
    }

    /// Drops the question: the control process that asked has gone.
    pub(crate) fn forget(&mut self) {
        self.sync = None;
    }

    /// Whether the next turn has to begin at once.
    pub(crate) fn is_pressing(&self) -> bool {
        self.sync.is_some_and(|it| it.stage == Stage::Gathering)
    }

    /// Ends the wait for threads that take messages away.
    pub(crate) fn aside_due(&mut self) {
        if let Some(sync) = &mut self.sync
            && sync.stage == Stage::Aside
        {
            sync.stage = Stage::Gathered;
        }
    }

    /// Whether timers may be handled in this turn. `idle`: the turn began with nothing to do.
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
