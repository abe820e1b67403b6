//! Leftovers of runs: processes that SIGKILL did not end, and children of the keeper that belong to
//! no run.
//!
//! The keeper reports both, checks the former now and then, and leaves the latter alone. Invariant:
//! no run starts beside leftovers of its service, so the first process of another run means that
//! none are left.

use std::collections::{BTreeMap, BTreeSet};

use engine::{RunId, ServiceId};
use keeper::message::{Left, Remaining, Stray};

use crate::control::{Context, text};

/// All leftovers.
#[derive(Debug, Default)]
pub(in crate::control) struct Leftovers {
    left: BTreeMap<ServiceId, Vec<Left>>,
    strays: Vec<Stray>,
}

impl Leftovers {
    /// The leftovers of a service, if any.
    pub(in crate::control) fn of(&self, id: ServiceId) -> Option<&[Left]> {
        self.left.get(&id).map(Vec::as_slice)
    }

    /// Processes that belong to no run, in words.
    pub(in crate::control) fn strays(&self) -> impl Iterator<Item = String> {
        self.strays.iter().map(text::stray)
    }

    /// The keeper has swept a run of this service, and this is left. How many processes that are.
    pub(in crate::control) fn swept(
        &mut self,
        cx: &Context,
        id: ServiceId,
        left: Vec<Left>,
    ) -> u32 {
        let count = u32::try_from(left.len()).unwrap_or(u32::MAX);
        if left.is_empty() {
            self.left.remove(&id);
        } else {
            let (service, what) = (cx.name(id), text::left(&left));
            tracing::error!(service, "processes would not go: {what}");
            self.left.insert(id, left);
        }
        count
    }

    /// The keeper has refused a start beside what is left. How many processes that are, as far as
    /// it is known.
    pub(in crate::control) fn count(&self, id: Option<ServiceId>) -> u32 {
        let left = id.and_then(|id| self.of(id));
        left.map_or(1, |left| u32::try_from(left.len()).unwrap_or(u32::MAX))
    }

    /// Forgets the leftovers of a service: they are gone, or the service has left the plan.
    pub(in crate::control) fn forget(&mut self, id: ServiceId) {
        self.left.remove(&id);
    }

    /// Restores the leftovers from runs of earlier keepers and control processes.
    pub(in crate::control) fn take_up(&mut self, id: ServiceId, left: &[Left]) {
        if !left.is_empty() {
            self.left.insert(id, left.to_vec());
        }
    }

    /// All that an earlier daemon has left. Returns the runs of which nothing is left any more,
    /// where a start was refused for it.
    pub(in crate::control) fn on_remaining(
        &mut self,
        cx: &mut Context,
        remaining: &[Remaining],
    ) -> Vec<RunId> {
        let mut remains = BTreeSet::new();
        for one in remaining {
            let id = cx.names.intern(&one.service);
            self.left.insert(id, one.left.clone());
            remains.insert(id);
        }
        let ids = cx.names.ids().values();
        let gone: Vec<(ServiceId, RunId)> = ids
            .filter(|id| !remains.contains(id))
            .filter_map(|id| Some((*id, cx.engine.unswept_run(*id)?)))
            // The keeper reports leftovers of its own runs separately.
            .filter(|(_, run)| cx.run(*run).is_none())
            .collect();
        for (id, _) in &gone {
            self.left.remove(id);
        }
        gone.into_iter().map(|(_, run)| run).collect()
    }

    /// All processes that are nobody's. New ones are told, and that some have ended.
    pub(in crate::control) fn on_strays(&mut self, cx: &mut Context, strays: Vec<Stray>) {
        let new = strays.iter().filter(|it| !self.strays.contains(it));
        let new: Vec<String> = new.map(text::stray).collect();
        for what in &new {
            cx.publish("", api::EventKind::Daemon, what, None);
        }
        if new.is_empty() && strays.len() < self.strays.len() {
            let what = "a process that had left its service has ended";
            cx.publish("", api::EventKind::Daemon, what, None);
        }
        self.strays = strays;
    }

    /// Logs the leftovers when the daemon ends.
    pub(in crate::control) fn log(&self, cx: &Context) {
        for (id, left) in &self.left {
            let (service, what) = (cx.name(*id), text::left(left));
            tracing::error!(service, "is not stopped: {what}");
        }
    }
}
