//! The shutdown: all services go down in reverse order; runs that remain at the deadline are
//! killed, and processes that SIGKILL does not end are given up after a grace time.

use alloc::vec::Vec;

use crate::{
    effect::Effect,
    engine::Engine,
    event::Accepted,
    ids::{Moment, ServiceId},
    input::Input,
    patience::Known,
};

/// How long after the last SIGKILL of a shutdown the engine still waits for the kernel.
pub(crate) const SHUTDOWN_GRACE_MS: u64 = 10_000;

/// How far the shutdown has come.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    /// When the remaining runs are killed; after that, when the engine stops waiting.
    pub(crate) deadline: Moment,
    /// Time from the last change of the deadline to the deadline, in milliseconds.
    pub(crate) patience_ms: u64,
    pub(crate) phase: ShutdownPhase,
}

/// What the shutdown waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShutdownPhase {
    /// Services end as asked, in reverse order.
    Stopping,
    /// The kernel ends the runs that were sent SIGKILL.
    Killing,
    /// Nothing more: `ShutdownComplete` has been queued.
    Done,
}

impl Engine {
    /// Begins the shutdown. A second command with an earlier deadline shortens it.
    pub(crate) fn shut_down(&mut self, now: Moment, deadline_ms: u64) -> Accepted {
        let deadline = now.after(deadline_ms);
        if let Some(shutdown) = &mut self.shutdown {
            if shutdown.phase == ShutdownPhase::Stopping && deadline < shutdown.deadline {
                shutdown.deadline = deadline;
                shutdown.patience_ms = deadline_ms;
            }
            return Accepted::default();
        }
        self.shutdown = Some(Shutdown {
            deadline,
            patience_ms: deadline_ms,
            phase: ShutdownPhase::Stopping,
        });
        self.moved.extend(self.nodes.keys().copied());
        let live = self
            .nodes
            .iter()
            .filter(|(_, node)| node.live)
            .map(|(id, _)| *id);
        Accepted {
            affected: live.collect(),
            ..Accepted::default()
        }
    }

    /// Whether the deadline of the shutdown has passed.
    pub(crate) fn shutdown_due(&self, now: Moment) -> bool {
        let shutdown = self
            .shutdown
            .as_ref()
            .filter(|it| it.phase != ShutdownPhase::Done);
        shutdown.is_some_and(|it| it.deadline <= now)
    }

    /// Kills the remaining runs once the time is over; after the grace time, stops waiting.
    pub(crate) fn press_shutdown(&mut self, now: Moment) {
        let heard = self.heard;
        let Some(shutdown) = self
            .shutdown
            .as_mut()
            .filter(|it| it.phase != ShutdownPhase::Done)
        else {
            return;
        };
        let patience_ms = shutdown.patience_ms;
        if !(Known { now, heard }).is_over(&mut shutdown.deadline, patience_ms) {
            return;
        }
        if shutdown.phase == ShutdownPhase::Killing {
            shutdown.phase = ShutdownPhase::Done;
            self.effects
                .push_back(Effect::ShutdownComplete { clean: false });
            return;
        }
        shutdown.phase = ShutdownPhase::Killing;
        shutdown.patience_ms = SHUTDOWN_GRACE_MS;
        shutdown.deadline = now.after(SHUTDOWN_GRACE_MS);
        let live: Vec<ServiceId> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.live)
            .map(|(id, _)| *id)
            .collect();
        for id in live {
            self.step(now, id, Input::KillNow);
        }
    }

    /// Completes the shutdown once no service has a process any more.
    pub(crate) fn end_shutdown(&mut self) {
        let Some(shutdown) = &mut self.shutdown else {
            return;
        };
        if shutdown.phase == ShutdownPhase::Done || self.live > 0 || !self.restored.is_empty() {
            return;
        }
        shutdown.phase = ShutdownPhase::Done;
        let clean = !self
            .nodes
            .values()
            .any(|node| node.service.record.leftovers.is_some());
        self.effects.push_back(Effect::ShutdownComplete { clean });
    }
}
