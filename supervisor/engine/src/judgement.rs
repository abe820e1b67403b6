//! Deadlines by which a run is judged for what it has not said or done.
//!
//! All that runs say and do comes through the keeper, which may lag: stopped, swapped out, busy. So
//! such a deadline counts only once the engine has taken in everything that had arrived by then,
//! which is what `heard` of [`crate::Event::Timeout`] says; the driver of the engine asks the
//! keeper when [`Engine::judgement_due`]. The engine may notice a deadline too late (see
//! [`crate::patience`]) because the engine or the keeper did not run: the run may have received the
//! request only just now, so the run gets its full time once more.

use crate::{
    engine::Engine,
    ids::Moment,
    service::Service,
    state::{State, StopPhase},
    up::Up,
};

impl Service {
    /// The first deadline that judges the run.
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
    /// Whether a deadline that judges a run is due: [`crate::Event::Timeout`] judges only if
    /// everything up to the deadline is heard.
    pub fn judgement_due(&self, now: Moment) -> bool {
        let runs = self.due(now).any(|id| {
            let node = self.nodes.get(&id);
            let at = node.and_then(|node| node.service.judged_at());
            at.is_some_and(|at| at <= now)
        });
        runs || self.shutdown_due(now)
    }
}
