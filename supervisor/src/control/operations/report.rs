//! What clients are told of their changes, and when: what is said to be stored has been seen to be on
//! the disk, or is said not to be. A disk that does not answer holds nobody up for ever
//! (`on_disk.rs`).

use api::{Outcome, Unstored};

use crate::control::{
    Control,
    on_disk::Durability,
    operations::{Kind, Operation, audit},
    record_keys::Key,
};

impl Control {
    /// What became of a change. It has ended once that is on the disk too, as far as can be.
    pub(in crate::control) fn outcome_of(&self, id: &str) -> Option<Outcome> {
        let change = self.operations.list.iter().find(|change| change.id == id)?;
        let unstored = self.unstored(change);
        let mut outcome = change.outcome(unstored.clone().unwrap_or_default());
        outcome.finished &= unstored.is_some() && change.is_told_whole();
        Some(outcome)
    }

    /// What of a change is on no disk; none: that will be known soon.
    pub(super) fn unstored(&self, change: &Operation) -> Option<Unstored> {
        let why = |standing| match standing {
            Durability::Stored => Some(None),
            Durability::Awaited => None,
            Durability::Unstored(why) => Some(Some(why)),
        };
        Some(Unstored {
            holds: why(self.holds.standing(&change.holds))?,
            history: why(self.audit.standing(&change.id))?,
        })
    }

    /// Tells the clients whose changes are on the disk, as far as can be, and sees what has already
    /// come to its end.
    pub(in crate::control) fn release_operations(&mut self) {
        let mut changes = std::mem::take(&mut self.operations.list);
        let waits = |it: &&mut Operation| !it.accepted && !it.finished && !it.targets_pending();
        for change in changes.iter_mut().filter(waits) {
            let Some(unstored) = self.unstored(change) else {
                continue;
            };
            change.accepted = true;
            self.operations.altered = true;
            let line = change.accepted_line(unstored);
            self.cx.answers.extend(change.progress(line));
            let all = change.awaited().keys().cloned().collect();
            self.evaluate(change, &all);
        }
        self.operations.list = changes;
    }

    /// What has ended goes to the history, and to who waits for it once that has it; the keeper hears
    /// what is new. Comes after all else that follows an input.
    pub(in crate::control) fn end_operations(&mut self) {
        self.record_endings();
        self.audit.write(&mut self.cx);
        let mut changes = std::mem::take(&mut self.operations.list);
        for change in changes.iter_mut().filter(|it| it.client.is_some()) {
            let whole = change.finished && change.is_told_whole();
            let over = whole || (change.accepted && !change.wait);
            if let Some(unstored) = self.unstored(change).filter(|_| over) {
                self.cx.answers.extend(change.end(unstored));
            }
        }
        self.operations.list = changes;
        if std::mem::take(&mut self.operations.altered) {
            self.remember_operations();
        }
        self.end_in_flight();
    }

    /// What has ended and is not on its way to the history yet goes there.
    fn record_endings(&mut self) {
        let ended = |it: &&mut Operation| it.finished && !it.ending && !it.recorded;
        let mut outcomes = Vec::new();
        for change in self.operations.list.iter_mut().filter(ended) {
            change.ending = true;
            // What a reconfiguration is about was not known when it was asked for.
            let name_services = change.kind == Kind::Reconfigure;
            outcomes.push((change.outcome(Unstored::default()), name_services));
        }
        self.operations.altered |= !outcomes.is_empty();
        for (outcome, name_services) in &outcomes {
            if let Some(gone_back) = &outcome.gone_back {
                let what = audit::gone_back(gone_back);
                tracing::warn!("reconfigure: {what}");
                self.cx.publish("", "change", &what, None);
            }
            self.audit.ended(&mut self.cx, outcome, *name_services);
        }
    }

    /// Lines were lost, nobody knows which: what the history may not have is said once more.
    pub(in crate::control) fn record_again(&mut self) {
        let mut asked = Vec::new();
        for change in &mut self.operations.list {
            change.ending &= change.recorded;
            asked.extend(change.asked.clone());
        }
        for line in asked {
            self.audit.add(line);
        }
    }

    pub(in crate::control) fn remember_operations(&mut self) {
        let record = serde_json::to_string(&self.operations.list).expect("changes are plain data");
        self.cx.remember(Key::Operations, record);
    }
}
