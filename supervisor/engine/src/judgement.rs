//! Deadlines by which a run is judged for what it has not said or done.
//!
//! All that runs say and do comes by the keeper, which may be behind: stopped, swapped out, busy.
//! So such a deadline counts once everything has been taken in that had arrived by then, which is
//! what `heard` of [`crate::Event::Timeout`] says; whoever drives the engine asks the keeper when
//! [`Engine::judgement_due`]. A deadline that is noticed too late (see [`crate::patience`]) was
//! missed because we ourselves or the keeper did not run: what was asked of the run may have
//! reached it only just now, so it has its time once more.

use crate::{
    engine::Engine,
    ids::Moment,
    service::Service,
    state::{State, StopPhase},
    up::Up,
};

impl Service {
    /// The first deadline by which the run is judged.
    fn judged_at(&self) -> Option<Moment> {
        let watchdog = |up: &Up| up.watchdog.and_then(|it| it.by);
        let all = match &self.record.state {
            State::Starting {
                ready_by, ready_at, ..
            } => [*ready_by, *ready_at],
            State::Running { up, .. } => [watchdog(up), None],
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
            | State::Validating { .. }
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
    /// Something is due by which a run is judged: [`crate::Event::Timeout`] does so only if all is
    /// heard up to then.
    pub fn judgement_due(&self, now: Moment) -> bool {
        let runs = self.due(now).any(|id| {
            let node = self.nodes.get(&id);
            let at = node.and_then(|node| node.service.judged_at());
            at.is_some_and(|at| at <= now)
        });
        runs || self.shutdown_due(now)
    }
}
