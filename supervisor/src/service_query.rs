//! The services that names and patterns of clients mean.

use std::collections::{BTreeMap, BTreeSet};

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
pub(crate) fn unknown_service(
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
