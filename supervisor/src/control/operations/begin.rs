//! How an operation begins: requested, then accepted with its targets, or refused.
//!
//! Invariant: the keeper knows of an operation, by the list or by the operation in flight
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
    /// Follows an operation whose request arrives a second time: nothing is done again.
    pub(in crate::control) fn follow(&mut self, id: &str) -> Option<mpsc::Receiver<Progress>> {
        let operation = self.get(id)?;
        let (sender, receiver) = mpsc::channel(STREAM_LINES_MAX);
        operation.client = Some(sender);
        // The client hears once more that the operation is accepted, as far as the disk has it by
        // now.
        operation.accepted &= operation.finished;
        Some(receiver)
    }

    /// Begins an operation, which is reported and judged once [`Self::accept`] is called. `asked`:
    /// the line for the history.
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
            // The oldest operation may still be under way, but its outcome can no longer be
            // reported.
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
            // The history must not have what the keeper does not know.
            self.remember(cx);
        }
        receiver
    }

    /// Notes that the engine has accepted the operation: its targets, as they were before it, and
    /// the services whose holds it has set or lifted.
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
        // The keeper hears of the operation before the plan: a successor that continues with the
        // plan knows its operation, and a successor that need not continue knows that all is done.
        self.remember(cx);
    }

    /// Refuses the operation; nothing has changed.
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
