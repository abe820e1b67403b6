//! Where variables were written, for those who explain an environment; see
//! [`crate::load::plan::load_with_origins`].

use std::{collections::BTreeMap, path::PathBuf};

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
    /// Whether the administrator wrote the value, and not the service file.
    pub given: bool,
}
