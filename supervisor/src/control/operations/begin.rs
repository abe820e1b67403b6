//! How an operation begins: asked for, then accepted with its targets, or refused.
//!
//! Invariant: the keeper knows of an operation, by the list or by what is in flight
//! (`in_flight.rs`), before the history has its line.

use std::collections::{BTreeMap, BTreeSet};

use api::{ErrorReply, KeptPlan, Progress};
use engine::ServiceId;
use tokio::sync::mpsc;

use crate::{
    ask::STREAM_LINES_MAX,
    control::{
        Context,
        holds::Holds,
        operations::{
            audit::AuditLog,
            list::{OPERATIONS_MAX, Operations},
            operation::Operation,
            report::Disk,
            target::{Kind, Target},
        },
    },
    history::Line,
};

impl Operations {
    /// A request that arrives a second time is not done again: its client follows the first.
    pub(in crate::control) fn follow(&mut self, id: &str) -> Option<mpsc::Receiver<Progress>> {
        let operation = self.get(id)?;
        let (sender, receiver) = mpsc::channel(STREAM_LINES_MAX);
        operation.client = Some(sender);
        // The client is told once more that it is accepted, as far as that is on the disk by now.
        operation.accepted &= operation.finished;
        Some(receiver)
    }

    /// Begins an operation; it is told and judged once [`Self::accept`] is called. `asked`: the
    /// line for the history.
    pub(in crate::control) fn begin(
        &mut self,
        cx: &mut Context,
        holds: &Holds,
        audit: &mut AuditLog,
        kind: Kind,
        wait: bool,
        asked: Line,
    ) -> mpsc::Receiver<Progress> {
        let (sender, receiver) = mpsc::channel(STREAM_LINES_MAX);
        if let Some(mut oldest) = self.make_room() {
            // The oldest may still be under way, but nobody can be told of that any more.
            let disk = Disk { holds, audit };
            let unstored = disk.unstored(cx, &oldest).unwrap_or_default();
            cx.answer(oldest.end(cx, unstored));
            if !oldest.finished {
                let asked = oldest.asked.take();
                audit.lost_sight_of(cx, &oldest.id, asked, OPERATIONS_MAX);
            }
        }
        audit.add(asked.clone());
        let id = asked.id.clone();
        self.list.push_back(Operation {
            client: Some(sender),
            wait,
            began: cx.now.moment,
            ..Operation::new(&id, kind, Some(asked))
        });
        self.altered = true;
        if !self.in_flight {
            // Nobody is to find in the history what the keeper does not know.
            self.remember(cx);
        }
        receiver
    }

    /// The engine has taken the operation: these are its targets, as they were before it, and
    /// services whose holds it has taken or lifted.
    pub(in crate::control) fn accept(
        &mut self,
        id: &str,
        targets: BTreeMap<ServiceId, Target>,
        holds: BTreeSet<ServiceId>,
        notes: Vec<String>,
    ) {
        let Some(operation) = self.get(id) else {
            return;
        };
        operation.targets = targets;
        operation.holds = holds;
        operation.notes = notes;
        operation.begun = true;
        self.altered = true;
    }

    /// [`Self::accept`] for a reconfiguration, which may have a plan to go back to.
    pub(in crate::control) fn accept_reconfigure(
        &mut self,
        cx: &mut Context,
        id: &str,
        targets: BTreeMap<ServiceId, Target>,
        notes: Vec<String>,
        rollback: Option<KeptPlan>,
    ) {
        if let Some(operation) = self.get(id) {
            operation.rollback = rollback;
        }
        self.accept(id, targets, BTreeSet::new(), notes);
        // The keeper hears of the operation before it hears of the plan: a successor that goes on
        // with the plan knows whose that is, and one that need not knows that all is done.
        self.remember(cx);
    }

    /// The operation cannot be done; nothing has changed.
    pub(in crate::control) fn refuse(
        &mut self,
        cx: &mut Context,
        audit: &mut AuditLog,
        id: &str,
        error: &ErrorReply,
    ) {
        if let Some(operation) = self.get(id) {
            let asked = operation.asked.take();
            let refused = operation.progress(Progress::Refused(error.clone()));
            cx.answer(refused);
            audit.refused(cx, id, asked, &error.message);
        }
        self.list.retain(|it| it.id != id);
        self.altered = true;
    }
}
