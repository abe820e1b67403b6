//! Numbers for names, since the engine knows services by number; and what names and patterns of clients mean.

use std::collections::{BTreeMap, BTreeSet};

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

    /// All names, by number: what records say of others is said in numbers.
    pub(super) fn list(&self) -> &[String] {
        &self.names
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
