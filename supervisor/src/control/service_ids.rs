//! Ids of services. The engine and all that is in memory know services by id; the plan, the disk,
//! the keeper and clients know them by name.
//!
//! Invariant: an id stands for one name for as long as the daemon lives. The keeper holds the list,
//! and hears of new ids before any record that may have them (`context.rs`); a control process that
//! takes over restores the list before it gives out an id.

use std::collections::BTreeMap;

use engine::ServiceId;

/// Gives out one id for each name, and none twice.
#[derive(Debug, Default)]
pub(crate) struct Names {
    list: Vec<String>,
    ids: BTreeMap<String, ServiceId>,
    /// How many of the names the keeper knows.
    remembered: usize,
}

impl Names {
    /// The id of a name; a name without an id gets a new id.
    pub(crate) fn intern(&mut self, name: &str) -> ServiceId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let number = u32::try_from(self.list.len()).expect("fewer than 2^32 services");
        let id = ServiceId(number);
        self.list.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// Restores the ids that an earlier control process gave out. Call before any other method.
    pub(super) fn restore(&mut self, record: Option<&String>) {
        let names = record.and_then(|it| serde_json::from_str::<Vec<String>>(it).ok());
        for name in names.unwrap_or_default() {
            self.intern(&name);
        }
        self.remembered = self.list.len();
    }

    /// The list, if the keeper lacks a part of it; the list then counts as known to the keeper.
    pub(super) fn take_unremembered(&mut self) -> Option<String> {
        let known = std::mem::replace(&mut self.remembered, self.list.len());
        let record = || serde_json::to_string(&self.list).expect("names are plain data");
        (known < self.list.len()).then(record)
    }

    /// The id of a name, if the name has an id.
    pub(crate) fn id(&self, name: &str) -> Option<ServiceId> {
        self.ids.get(name).copied()
    }

    /// The name of an id.
    pub(crate) fn name(&self, id: ServiceId) -> Option<&str> {
        self.list.get(id.0 as usize).map(String::as_str)
    }

    /// All ids by name, including those of services that have left the plan.
    pub(crate) const fn ids(&self) -> &BTreeMap<String, ServiceId> {
        &self.ids
    }
}
