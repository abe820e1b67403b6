//! Numbers for names, since the engine knows services by number; and what names and patterns of clients mean.

use std::collections::{BTreeMap, BTreeSet};

use engine::ServiceId;

/// Gives out one number a name, and never the same twice. Records of services that the keeper holds have
/// these numbers for others, so the next control process takes the list over.
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

/// The services that names and patterns (`web*`) mean, each once, in the order given. A name or
/// pattern that means none is an error, and nothing is done to any of the others.
pub(crate) fn matching(
    names: &[String],
    known: &BTreeMap<String, Box<plan::Service>>,
) -> Result<Vec<String>, api::ErrorReply> {
    let mut found: Vec<String> = Vec::new();
    let mut seen: BTreeSet<&String> = BTreeSet::new();
    for name in names {
        let pattern = name
            .contains(['*', '?', '['])
            .then(|| glob::Pattern::new(name));
        let meant: Vec<&String> = match pattern {
            Some(Ok(pattern)) => known.keys().filter(|it| pattern.matches(it)).collect(),
            _ => known
                .get_key_value(name)
                .map(|(it, _)| it)
                .into_iter()
                .collect(),
        };
        if meant.is_empty() {
            return Err(unknown_service(name, known));
        }
        found.extend(meant.into_iter().filter(|it| seen.insert(it)).cloned());
    }
    Ok(found)
}

/// Errors of clients that ask for what is not there.
pub(super) fn unknown_service(
    name: &str,
    known: &BTreeMap<String, Box<plan::Service>>,
) -> api::ErrorReply {
    let near = plan::nearest(name, known.keys().map(String::as_str));
    api::ErrorReply {
        kind: api::ErrorKind::UnknownService,
        message: format!("there is no service '{name}'"),
        hint: Some(near.map_or_else(
            || "see: ctl service-list".to_owned(),
            |near| format!("did you mean '{near}'?"),
        )),
    }
}
