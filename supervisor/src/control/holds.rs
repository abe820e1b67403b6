//! Holds: which services administrators have stopped, in memory and on their way to the disk.
//!
//! Invariant: a hold counts as done once it is on the disk: a client that sets or lifts a hold
//! hears "done" after that, or hears that the write failed. A failed write is repeated until it
//! works (`on_disk.rs`), and once more before the daemon ends.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Hold, Moment, ServiceId};

use crate::{
    control::{
        Context, Task,
        on_disk::{Durability, News, OnDisk},
        record_keys::Key,
    },
    store::{self, StoredHold},
};

/// Holds by service, including services that the current plan does not have.
type ByService = BTreeMap<String, StoredHold>;

/// All holds.
#[derive(Debug)]
pub(super) struct Holds {
    boot_id: String,
    disk: OnDisk<ByService>,
}

impl Holds {
    /// `stored`: the holds on the disk that still count.
    pub(super) fn new(boot_id: &str, stored: ByService) -> Self {
        Self {
            boot_id: boot_id.to_owned(),
            disk: OnDisk::new(stored.clone(), Some(stored)),
        }
    }

    /// The hold of a service that may not be in the plan.
    pub(super) fn of(&self, service: &str) -> Option<&Hold> {
        self.disk.wanted().get(service).map(|it| &it.hold)
    }

    /// Whether the holds of these services are on the disk.
    pub(super) fn standing<'a>(&self, services: impl IntoIterator<Item = &'a str>) -> Durability {
        let (wanted, services) = (self.disk.wanted(), services.into_iter());
        let services: Vec<&str> = services.collect();
        let same = |there: &ByService| {
            services
                .iter()
                .all(|name| there.get(*name) == wanted.get(*name))
        };
        if self.disk.is_so(same) {
            Durability::Stored
        } else {
            self.disk.standing()
        }
    }

    /// Whether a write is under way that will settle some holds.
    pub(super) fn are_awaited(&self) -> bool {
        self.disk.standing() == Durability::Awaited
    }

    /// The present trouble with the disk, if any.
    pub(super) fn warning(&self) -> Option<String> {
        let Durability::Unstored(why) = self.disk.standing() else {
            return None;
        };
        let (wanted, seen) = (self.disk.wanted(), self.disk.seen());
        let differs = |name: &&String| seen.is_none_or(|it| it.get(*name) != wanted.get(*name));
        let names = wanted
            .keys()
            .chain(seen.into_iter().flat_map(|it| it.keys()));
        let mut names: Vec<&str> = names.filter(differs).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        Some(format!(
            "stops and starts of {} will not survive a restart of the supervisor: {why}",
            names.join(", ")
        ))
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        self.disk.poll_timeout()
    }

    pub(super) fn timeout(&mut self, now: Moment) {
        self.disk.timeout(now);
    }

    /// Before the end, and when somebody has cleared the state directory: retries unwritten holds
    /// at once, and writes the others once more, since their file may have been removed.
    pub(super) fn write_again(&mut self) {
        if !self.disk.wanted().is_empty() || self.disk.standing() != Durability::Stored {
            self.disk.doubt();
        }
    }
}

impl Holds {
    /// Takes in the hold, or its absence, of a service of the plan.
    pub(super) fn note(&mut self, cx: &mut Context, id: ServiceId, hold: Option<Hold>) {
        let Some(service) = cx.service(id) else {
            return;
        };
        let name = service.name.clone();
        let over_reboot = service.restart.policy == plan::Policy::UnlessStopped;
        let stored = hold.map(|hold| StoredHold { hold, over_reboot });
        if self.disk.wanted().get(&name) == stored.as_ref() {
            return;
        }
        self.disk.change(|all| match stored {
            Some(stored) => drop(all.insert(name, stored)),
            None => drop(all.remove(&name)),
        });
        // The keeper drops a service's record when the service leaves the plan, and the disk may be
        // cleared.
        let all = serde_json::to_string(self.disk.wanted());
        cx.remember(Key::Holds, all.expect("holds are plain data"));
    }

    /// Restores the holds of an earlier control process that may be on no disk.
    pub(super) fn restore(&mut self, records: &BTreeMap<String, String>) {
        let Some(record) = Key::Holds.of(records) else {
            return;
        };
        match serde_json::from_str::<ByService>(record) {
            Ok(all) => {
                let seen = self.disk.seen().cloned();
                self.disk = OnDisk::new(all, seen);
            }
            Err(error) => {
                let why = text::json_place(&error);
                tracing::error!("cannot read who stopped what, takes what is stored: {why}");
            }
        }
    }

    /// Takes in the holds of the services that an input has touched.
    pub(super) fn note_touched(&mut self, cx: &mut Context, touched: &BTreeSet<ServiceId>) {
        for id in touched {
            if let Some(view) = cx.engine.view(*id) {
                self.note(cx, *id, view.hold);
            }
        }
    }

    /// Takes in all holds: the earlier control process counts, not what it left on the disk.
    pub(super) fn note_all(&mut self, cx: &mut Context) {
        let ids: Vec<ServiceId> = cx.names.ids().values().copied().collect();
        for id in ids {
            if let Some(view) = cx.engine.view(id) {
                self.note(cx, id, view.hold);
            }
        }
    }

    /// Stores the holds if a write is due.
    pub(super) fn store(&mut self, cx: &mut Context) {
        if let Some(services) = self.disk.due(cx.now.moment) {
            let boot_id = self.boot_id.clone();
            cx.queue_task(Task::StoreHolds {
                holds: store::Holds { boot_id, services },
            });
        }
    }

    pub(super) fn stored(&mut self, cx: &Context, result: Result<(), String>) {
        let error = result.clone().err().unwrap_or_default();
        match self.disk.written(cx.now.moment, result) {
            News::Fails => tracing::error!("cannot store who stopped what, tries again: {error}"),
            News::Works => tracing::info!("who stopped what is stored again"),
            News::None => {}
        }
    }
}
