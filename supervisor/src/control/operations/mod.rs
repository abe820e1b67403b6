//! Operations that clients asked for: their progress, and how each ended.
//!
//! An operation carries an id made by its client. The keeper remembers the list, so a client whose
//! connection broke when the control process died learns the outcome from the next one. A request
//! that arrives again is not done again: what a control process is about to do is remembered before
//! it is done (`in_flight.rs`). What a client is told of an operation has been seen to be on the
//! disk, or is said not to be (`report.rs`).
//!
//! [`Operations`] owns the list; `routing.rs` lends it what it reads. Limit: [`OPERATIONS_MAX`].

pub(in crate::control) mod admission;
pub(in crate::control) mod audit;
mod causes;
mod going_back;
mod in_flight;
mod job;
mod operation;
mod outcome;
mod report;
pub(in crate::control) mod result;
mod routing;
mod target;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use api::{ErrorReply, KeptPlan, Progress};
use engine::{Moment, ServiceId};
use tokio::sync::mpsc;

use audit::AuditLog;
use in_flight::InFlight;
use operation::Operation;

pub(super) use going_back::{GoingBack, Way};
pub(super) use outcome::Look;
pub(super) use target::{Kind, Target, targets};

use report::Disk;

use crate::{
    ask::STREAM_LINES_MAX,
    control::{Context, api::answers::Answer, holds::Holds},
    history::Line,
};

/// Operations that are remembered, the unfinished ones included.
const OPERATIONS_MAX: usize = 64;

/// All operations that are remembered, oldest first.
#[derive(Debug, Default)]
pub(super) struct Operations {
    list: VecDeque<Operation>,
    /// The keeper has to hear of the list.
    altered: bool,
    /// The keeper has heard of an operation that is in flight.
    in_flight: bool,
}

/// Why an operation is not done that an earlier control process had not come to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lost {
    /// Its configuration was not applied.
    NotApplied,
    /// Its job was not begun.
    NotBegun,
}

impl Operations {
    /// Takes back what an earlier control process remembered: the list, and what was in flight
    /// unless that was refused.
    pub(super) fn restore(
        &mut self,
        record: Option<&String>,
        in_flight: Option<&String>,
        refused: impl Fn(&str) -> bool,
    ) {
        // What cannot be read is lost: a client then hears that nobody knows its operation.
        let list = record.and_then(|record| serde_json::from_str(record).ok());
        self.list = list.unwrap_or_default();
        let in_flight = in_flight.and_then(|it| serde_json::from_str::<InFlight>(it).ok());
        self.in_flight = in_flight.is_some();
        if let Some(cut) = in_flight.filter(|it| self.get(&it.id).is_none() && !refused(&it.id)) {
            let _ = self.make_room();
            self.list.push_back(cut.cut_short());
        }
    }

    /// After an earlier control process: says in the history what that may not have written, and
    /// forgets what is not done. `lost`: whether and why an operation whose targets are not known
    /// yet is not.
    pub(super) fn resume(
        &mut self,
        cx: &mut Context,
        audit: &mut AuditLog,
        lost: impl Fn(&str, Kind) -> Option<Lost>,
    ) {
        for line in self.list.iter().filter_map(|it| it.asked.clone()) {
            audit.add(line);
        }
        let pending = self.list.iter().filter(|it| it.targets_pending());
        let not_done: Vec<(String, Lost)> = pending
            .filter_map(|it| Some((it.id.clone(), lost(&it.id, it.kind)?)))
            .collect();
        for (id, lost) in not_done {
            let why = match lost {
                Lost::NotApplied => "the control process died before it was applied",
                Lost::NotBegun => "the control process died before it was begun",
            };
            let asked = self.get(&id).and_then(|it| it.asked.take());
            audit.refused(cx, &id, asked, why);
            self.list.retain(|it| it.id != id);
        }
        self.altered = true;
    }

    /// Makes room for one more: the oldest that is over gives way, or the oldest of all.
    fn make_room(&mut self) -> Option<Operation> {
        if self.list.len() < OPERATIONS_MAX {
            return None;
        }
        let over = self.list.iter().position(|it| it.finished);
        self.list.remove(over.unwrap_or(0))
    }

    /// A reconfiguration that had not come to its plan when its control process died. One at a time
    /// is under way.
    pub(super) fn pending_reconfigure(&self) -> Option<String> {
        let mut list = self.list.iter();
        let pending = list.find(|it| it.kind == Kind::Reconfigure && it.targets_pending());
        pending.map(|it| it.id.clone())
    }

    /// When some are to be looked at again.
    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        let open = self.list.iter().filter(|it| !it.finished);
        open.filter_map(|it| it.look_at).min()
    }

    /// How far an operation is, for its client if that is there.
    pub(super) fn progress(&mut self, id: &str, line: Progress) -> Option<Answer> {
        self.get(id)?.progress(line)
    }

    fn get(&mut self, id: &str) -> Option<&mut Operation> {
        self.list.iter_mut().find(|it| it.id == id)
    }

    /// A request that arrives a second time is not done again: its client follows the first.
    pub(super) fn follow(&mut self, id: &str) -> Option<mpsc::Receiver<Progress>> {
        let operation = self.get(id)?;
        let (sender, receiver) = mpsc::channel(STREAM_LINES_MAX);
        operation.client = Some(sender);
        // The client is told once more that it is accepted, as far as that is on the disk by now.
        operation.accepted &= operation.finished;
        Some(receiver)
    }

    /// Begins an operation; it is told and judged once [`Self::accept`] is called. `asked`: the
    /// line for the history.
    pub(super) fn begin(
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
            // It may still be under way, but nobody can be told of it any more.
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
    pub(super) fn accept(
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

    /// The same for a reconfiguration, which may have a plan to go back to.
    pub(super) fn accept_reconfigure(
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
        // Before the plan is remembered: a successor that goes on with the plan knows whose it is,
        // and one that need not knows that this is done.
        self.remember(cx);
    }

    /// The operation cannot be done; nothing has changed.
    pub(super) fn refuse(
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

#[cfg(test)]
mod tests;
