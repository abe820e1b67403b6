//! Takeover of the operations of the previous control process.

use crate::control::{
    Context,
    operations::{audit::AuditLog, in_flight::InFlight, list::Operations, target::Kind},
};

/// Why an operation of an earlier control process is not done.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) enum Lost {
    /// The configuration was not applied.
    NotApplied,
    /// The job was not begun.
    NotBegun,
}

impl Operations {
    /// Restores what an earlier control process remembered: the list, and the operation in flight
    /// unless it was refused.
    pub(in crate::control) fn restore(
        &mut self,
        record: Option<&String>,
        in_flight: Option<&String>,
        refused: impl Fn(&str) -> bool,
    ) {
        // An unreadable record is lost: its clients hear that their operation is unknown.
        let list = record.and_then(|record| serde_json::from_str(record).ok());
        self.list = list.unwrap_or_default();
        let in_flight = in_flight.and_then(|it| serde_json::from_str::<InFlight>(it).ok());
        self.in_flight = in_flight.is_some();
        if let Some(cut) = in_flight.filter(|it| self.get(&it.id).is_none() && !refused(&it.id)) {
            let _ = self.make_room();
            self.list.push_back(cut.cut_short());
        }
    }

    /// Adds to the history what an earlier control process may not have written, and forgets
    /// operations that are not done. `lost`: whether and why an operation without known targets is
    /// not done.
    pub(in crate::control) fn resume(
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

    /// The reconfiguration whose control process died before its plan was applied: at most one is
    /// under way.
    pub(in crate::control) fn pending_reconfigure(&self) -> Option<String> {
        let mut list = self.list.iter();
        let pending = list.find(|it| it.kind == Kind::Reconfigure && it.targets_pending());
        pending.map(|it| it.id.clone())
    }
}
