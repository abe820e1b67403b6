//! Secrets in the form of `secrets.toml`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::hidden::HIDDEN;

/// All that `secrets.toml` said when the plan was made, and the value of every setting that is made
/// by `generate`, wherever it was given. In the form of `secrets.toml`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secrets(pub(crate) toml::Table);

impl Secrets {
    /// Whether there is no secret.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a setting.
    #[must_use]
    pub fn get(&self, service: &str, key: &str) -> Option<&str> {
        self.0.get(service)?.get(key)?.as_str()
    }

    /// Adds a value; one that is there stays.
    pub(crate) fn add(&mut self, service: &str, key: &str, value: &str) {
        let section = self.0.entry(service);
        let section = section.or_insert_with(|| toml::Table::new().into());
        if let Some(section) = section.as_table_mut() {
            section.entry(key).or_insert_with(|| value.into());
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}
