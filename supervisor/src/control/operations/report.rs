//! Reports to clients on their operations. Invariant: a report of something stored comes after it
//! was seen on the disk, or says that it is not stored. A disk that does not answer delays no
//! client for ever (`on_disk.rs`).

use std::collections::{BTreeMap, BTreeSet};

use api::{EventKind, Outcome, Progress, ServiceState, Unstored};
use engine::ServiceId;

use crate::control::{
    Context,
    holds::Holds,
    on_disk::Durability,
    operations::{
        audit::{self, AuditLog, Written},
        list::Operations,
        operation::Operation,
        target::Kind,
    },
    record_keys::Key,
};

/// The holds and the lines of operations, which know whether they are on the disk.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) struct Disk<'a> {
    pub(in crate::control) holds: &'a Holds,
    pub(in crate::control) audit: &'a AuditLog,
}

impl Disk<'_> {
    /// The part of an operation that is on no disk; none: that will be known soon.
    pub(super) fn unstored(self, cx: &Context, operation: &Operation) -> Option<Unstored> {
        let why = |standing| match standing {
            Durability::Stored => Some(None),
            Durability::Awaited => None,
            Durability::Unstored(why) => Some(Some(why)),
        };
        let holds = operation.holds.iter().map(|id| cx.name(*id));
        Some(Unstored {
            holds: why(self.holds.standing(holds))?,
            history: why(self.audit.standing(&operation.id))?,
        })
    }
}

impl Operations {
    /// The outcome of an operation, which has ended once its end is on the disk, as far as
    /// possible.
    pub(in crate::control) fn outcome_of(
        &self,
        cx: &Context,
        disk: Disk<'_>,
        id: &str,
    ) -> Option<Outcome> {
        let operation = self.list.iter().find(|it| it.id == id)?;
        let unstored = disk.unstored(cx, operation);
        let mut outcome = operation.outcome(cx, unstored.clone().unwrap_or_default());
        outcome.finished &= unstored.is_some() && operation.is_told_whole();
        Some(outcome)
    }

    /// Tells clients that their operations are accepted, once on the disk as far as possible.
    /// Returns their ids: some may have ended already.
    pub(in crate::control) fn release(&mut self, cx: &mut Context, disk: Disk<'_>) -> Vec<String> {
        let mut released = Vec::new();
        for operation in &mut self.list {
            if operation.accepted || operation.finished || operation.targets_pending() {
                continue;
            }
            let Some(unstored) = disk.unstored(cx, operation) else {
                continue;
            };
            operation.accepted = true;
            self.altered = true;
            let line = operation.accepted_line(cx, unstored);
            cx.answer(operation.progress(line));
            released.push(operation.id.clone());
        }
        released
    }

    /// The members of these services that clients hear of.
    pub(in crate::control) fn awaited(&self, touched: &BTreeSet<ServiceId>) -> BTreeSet<ServiceId> {
        let open = self.list.iter().filter(|it| it.is_open());
        let awaited = open.flat_map(|it| it.awaited_targets().keys());
        awaited.filter(|id| touched.contains(id)).copied().collect()
    }

    /// Tells waiting clients the state of services, and why, in words.
    pub(in crate::control) fn say_states(
        &mut self,
        cx: &mut Context,
        states: &BTreeMap<ServiceId, (ServiceState, String)>,
    ) {
        for operation in self.list.iter_mut().filter(|it| it.is_open()) {
            for (id, (state, detail)) in states {
                if !operation.awaited().contains_key(id) {
                    continue;
                }
                let line = Progress::State {
                    service: cx.name(*id).to_owned(),
                    state: *state,
                    detail: detail.clone(),
                };
                cx.answer(operation.progress(line));
            }
        }
    }

    /// Has ended operations written to the history. Comes after all else that follows an input.
    pub(in crate::control) fn record_ends(&mut self, cx: &mut Context, audit: &mut AuditLog) {
        let ended = |it: &&mut Operation| it.finished && !it.ending && !it.recorded;
        let mut outcomes = Vec::new();
        for operation in self.list.iter_mut().filter(ended) {
            operation.ending = true;
            // The services of a reconfiguration were not known at its request.
            let name_services = operation.kind == Kind::Reconfigure;
            outcomes.push((operation.outcome(cx, Unstored::default()), name_services));
        }
        self.altered |= !outcomes.is_empty();
        for (outcome, name_services) in &outcomes {
            if let Some(gone_back) = &outcome.gone_back {
                let what = audit::gone_back(gone_back);
                tracing::warn!("reconfigure: {what}");
                cx.publish("", EventKind::Change, &what, None);
            }
            audit.ended(cx, outcome, *name_services);
        }
        audit.write(cx);
    }

    /// Tells clients that their operations have ended, once the history has the end; tells the
    /// keeper of changes.
    pub(in crate::control) fn end(&mut self, cx: &mut Context, disk: Disk<'_>) {
        for operation in self.list.iter_mut().filter(|it| it.client.is_some()) {
            let whole = operation.finished && operation.is_told_whole();
            let over = whole || (operation.accepted && !operation.wait);
            if let Some(unstored) = disk.unstored(cx, operation).filter(|_| over) {
                cx.answer(operation.end(cx, unstored));
            }
        }
        if std::mem::take(&mut self.altered) {
            self.remember(cx);
        }
        self.end_in_flight(cx);
    }

    /// Takes the result of a write: the history has lines, or has lost some.
    pub(in crate::control) fn on_written(&mut self, audit: &mut AuditLog, written: Written) {
        match written {
            Written::Of(operations) => {
                for id in operations {
                    self.is_recorded(&id);
                }
            }
            Written::SomeLost => {
                self.record_again(audit);
                audit.record_kept();
            }
            Written::Nothing => {}
        }
    }

    /// Notes that the history has all lines of an operation so far.
    fn is_recorded(&mut self, id: &str) {
        if let Some(operation) = self.get(id) {
            operation.asked = None;
            operation.recorded |= operation.ending;
            self.altered = true;
        }
    }

    /// Adds lines once more that the history may lack, after an unknown part was lost.
    fn record_again(&mut self, audit: &mut AuditLog) {
        for operation in &mut self.list {
            operation.ending &= operation.recorded;
            if let Some(line) = operation.asked.clone() {
                audit.add(line);
            }
        }
    }

    /// The keeper holds the list, for the next control process.
    pub(in crate::control) fn remember(&self, cx: &mut Context) {
        let record = serde_json::to_string(&self.list).expect("operations are plain data");
        cx.remember(Key::Operations, record);
    }
}
