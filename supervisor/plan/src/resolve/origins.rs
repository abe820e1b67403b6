//! Where variables were written, for those who explain an environment; see [`crate::load::load_with_origins`].

use std::{collections::BTreeMap, path::PathBuf};

use crate::{resolve::resolver::Resolver, service::env::environment::Environment};

/// By service and name of the variable. PATH, which is nowhere written, is not in it.
pub type Origins = BTreeMap<String, BTreeMap<String, Origin>>;

/// Where the value of one variable was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// Line from 1.
    pub line: Option<u32>,
    /// Dotted key in that file.
    pub key: String,
    /// The setting that became the variable, as the site file names it: `chat.port`.
    pub setting: Option<String>,
    /// By the administrator, and not by the service file.
    pub given: bool,
}

impl Resolver<'_> {
    /// Keeps where the variables of a service were written, if that is wanted.
    pub(crate) fn note_origins(&mut self, service: &str, environment: &Environment) {
        let Some(origins) = &mut self.origins else {
            return;
        };
        let all = environment.written.iter().map(|(name, written)| {
            let origin = Origin {
                file: written.at.file().to_owned(),
                line: written.at.position().map(|(line, _)| line),
                key: written.key.clone(),
                setting: written.setting.clone(),
                given: written.given,
            };
            (name.clone(), origin)
        });
        origins.insert(service.to_owned(), all.collect());
    }
}
