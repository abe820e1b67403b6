//! Numbers for names, since the engine knows services by number.

use std::collections::BTreeMap;

use engine::ServiceId;

/// Gives out one number a name, and never the same twice. Records of services that the keeper holds
/// have these numbers for others, so the next control process takes the list over.
#[derive(Debug, Default)]
pub(crate) struct Names {
    list: Vec<String>,
    ids: BTreeMap<String, ServiceId>,
    /// So many of them the keeper knows.
    remembered: usize,
}

impl Names {
    /// The number of a name; a new one if it has none.
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

    /// What an earlier control process gave out.
    pub(super) fn restore(&mut self, record: Option<&String>) {
        let names = record.and_then(|it| serde_json::from_str::<Vec<String>>(it).ok());
        for name in names.unwrap_or_default() {
            self.intern(&name);
        }
        self.remembered = self.list.len();
    }

    /// What the keeper does not know yet; it does from now on.
    pub(super) fn take_unremembered(&mut self) -> Option<String> {
        let known = std::mem::replace(&mut self.remembered, self.list.len());
        let record = || serde_json::to_string(&self.list).expect("names are plain data");
        (known < self.list.len()).then(record)
    }

    /// The number of a name, if it has one.
    pub(crate) fn id(&self, name: &str) -> Option<ServiceId> {
        self.ids.get(name).copied()
    }

    /// The name of a number.
    pub(crate) fn name(&self, id: ServiceId) -> Option<&str> {
        self.list.get(id.0 as usize).map(String::as_str)
    }

    /// All numbers by name.
    pub(crate) const fn ids(&self) -> &BTreeMap<String, ServiceId> {
        &self.ids
    }
}
