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
    /// The keeper knows this many of them.
    remembered: usize,
}

impl Names {
    /// The id of a name; a new one if it has none.
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

    /// Takes over the ids that an earlier control process gave out. Before any other.
    pub(super) fn restore(&mut self, record: Option<&String>) {
        let names = record.and_then(|it| serde_json::from_str::<Vec<String>>(it).ok());
        for name in names.unwrap_or_default() {
            self.intern(&name);
        }
        self.remembered = self.list.len();
    }

    /// The list, if the keeper has not heard of all of it; it counts as told from now on.
    pub(super) fn take_unremembered(&mut self) -> Option<String> {
        let known = std::mem::replace(&mut self.remembered, self.list.len());
        let record = || serde_json::to_string(&self.list).expect("names are plain data");
        (known < self.list.len()).then(record)
    }

    /// The id of a name, if it has one.
    pub(crate) fn id(&self, name: &str) -> Option<ServiceId> {
        self.ids.get(name).copied()
    }

    /// The name of an id.
    pub(crate) fn name(&self, id: ServiceId) -> Option<&str> {
        self.list.get(id.0 as usize).map(String::as_str)
    }

    /// All ids by name, those of services that have left the plan included.
    pub(crate) const fn ids(&self) -> &BTreeMap<String, ServiceId> {
        &self.ids
    }
}
