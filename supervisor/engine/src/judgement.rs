//! Deadlines by which a run is judged for what it has not said or done.
//!
//! All that runs say and do comes by the keeper, which may be behind: stopped, swapped out, busy. So such a
//! deadline counts once everything has been taken in that had arrived by then, which is what `heard` of
//! [`crate::Event::Timeout`] says; whoever drives the engine asks the keeper when [`Engine::judgement_due`]. A
//! deadline that is noticed more than [`LATE_MS`] late was missed because we ourselves or the keeper did not run:
//! what was asked of the run may have reached it only just now, so it has its time once more.

use crate::{
    engine::Engine,
    ids::Moment,
    machine::World,
    service::Service,
    state::{State, StopPhase, Up},
};

/// Nobody who runs notices a deadline this late.
const LATE_MS: u64 = 1_000;

/// Up to when what runs have said is known, and what time it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) now: Moment,
    pub(crate) heard: Moment,
}

impl Known {
    /// Whether the patience that lasts until `by` is over. If that is noticed too late, it begins once more.
    pub(crate) fn is_over(self, by: &mut Moment, patience_ms: u64) -> bool {
        if *by > self.heard {
            return false;
        }
        if self.now.since(*by) <= LATE_MS {
            return true;
        }
        *by = self.now.after(patience_ms);
        false
    }
}

impl World<'_> {
    /// As [`Known::is_over`].
    pub(crate) fn is_over(&self, by: &mut Moment, patience_ms: u64) -> bool {
        let (now, heard) = (self.now, self.heard);
        Known { now, heard }.is_over(by, patience_ms)
    }
}

impl Service {
    /// The first moment at which its run is judged.
    fn judged_at(&self) -> Option<Moment> {
        let watchdog = |up: &Up| up.watchdog.and_then(|it| it.by);
        let all = match &self.rec.state {
            State::Starting {
                ready_by, ready_at, ..
            } => [*ready_by, *ready_at],
            State::Running { up } => [watchdog(up), None],
            State::Reloading { up, until, .. } => [watchdog(up), *until],
            State::Stopping {
                phase:
                    StopPhase::Asked {
                        escalate_at,
                        kill_at,
                        ..
                    },
                ..
            } => [*escalate_at, Some(*kill_at)],
            State::Stopping {
                phase: StopPhase::Killed { give_up_at, .. },
                ..
            } => [Some(*give_up_at), None],
            State::Stopped
            | State::Waiting { .. }
            | State::Spawning { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Failed { .. }
            | State::Completed => [None; 2],
        };
        all.into_iter().flatten().min()
    }
}

impl Engine {
    /// Something is due by which a run is judged: [`crate::Event::Timeout`] does so only if all is heard up to then.
    pub fn judgement_due(&self, now: Moment) -> bool {
        let runs = self.due(now).any(|id| {
            let node = self.nodes.get(&id);
            let at = node.and_then(|node| node.service.judged_at());
            at.is_some_and(|at| at <= now)
        });
        runs || self.shutdown_due(now)
    }
}
