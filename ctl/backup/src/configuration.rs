//! What there is to save, and where to: a file that the supervisor renders from the site file.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Error, postgres::Server};

/// A longer file is a mistake.
const BYTES_MAX: u64 = 1 << 20;

/// The configuration. Whoever may read it may read passwords: it is root's alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Where backups go.
    pub to: PathBuf,
    /// What must be a mount point, so that nothing goes to the disk below it.
    #[serde(default)]
    pub require_mount: Option<PathBuf>,
    /// Which ones stay.
    #[serde(default)]
    pub keep: Keep,
    /// The account whose files are saved.
    pub account: String,
    /// The database.
    pub database: Server,
    /// Directories that are saved whole.
    pub trees: Vec<Tree>,
    /// A directory of which the files alone are saved: what Mattermost keeps beside its configuration.
    pub home: PathBuf,
    /// What stands before the directories of the supervisor.
    pub root: PathBuf,
    /// The catalogue of services.
    pub catalog: PathBuf,
    /// The service that Mattermost is: its environment wins over its configuration.
    pub service: String,
    /// Which Mattermost is installed, as far as is known.
    #[serde(default)]
    pub mattermost_version: Option<String>,
    /// The directory of the site file.
    pub site: PathBuf,
    /// The table of variables that Mattermost knows: it says which settings are secret.
    pub variables: PathBuf,
    /// What is stopped for a backup without changes meanwhile.
    #[serde(default)]
    pub stop: Vec<String>,
    /// The service that the job is.
    pub job: String,
}

/// A directory that is saved whole.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// Its name in the archive, below `files/`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Which backups stay: those that either rule keeps. Without a rule all do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// The newest so many.
    #[serde(default)]
    pub newest: Option<u32>,
    /// Those of the last so many days.
    #[serde(default)]
    pub days: Option<u32>,
}

impl Configuration {
    /// Reads one.
    ///
    /// # Errors
    /// The file cannot be read, or does not say what is needed.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = safe_path::read(path, BYTES_MAX).map_err(Error::with("read", path))?;
        serde_json::from_slice(&text).map_err(|error| Error::Configuration {
            path: path.to_owned(),
            error: error.to_string(),
        })
    }
}
