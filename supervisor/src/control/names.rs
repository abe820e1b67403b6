//! Numbers for names: the engine knows services by number.

use std::collections::BTreeMap;

use engine::ServiceId;

/// Gives out one number a name, and never the same twice.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: Vec<String>,
    ids: BTreeMap<String, ServiceId>,
}

impl Names {
    /// The number of a name; a new one if it has none.
    pub(crate) fn intern(&mut self, name: &str) -> ServiceId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let number = u32::try_from(self.names.len()).expect("fewer than 2^32 services");
        let id = ServiceId(number);
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// The number of a name, if it has one.
    pub(crate) fn id(&self, name: &str) -> Option<ServiceId> {
        self.ids.get(name).copied()
    }

    /// The name of a number.
    pub(crate) fn name(&self, id: ServiceId) -> Option<&str> {
        self.names.get(id.0 as usize).map(String::as_str)
    }

    /// All numbers by name.
    pub(crate) const fn ids(&self) -> &BTreeMap<String, ServiceId> {
        &self.ids
    }
}
