//! What there is to save, and where to: a file that the supervisor renders from the site file.

use std::path::{Path, PathBuf};

use nix::unistd::User;
use safe_path::Account;
use serde::Deserialize;

use crate::{Error, Refusal, postgres::Server};

/// A longer file is a mistake.
const BYTES_MAX: u64 = 1 << 20;

/// What Mattermost has said of its version, in its home. It is read when it is needed: what is rendered before
/// Mattermost has said it would be another file afterwards.
const VERSION: &str = "VERSION";
const VERSION_BYTES_MAX: u64 = 256;

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
    /// Which Mattermost is installed, as far as is known; as a rule its own word, in the file `VERSION` of its home.
    #[serde(default)]
    pub mattermost_version: Option<String>,
    /// Mattermost's program: it shows which migrations it knows.
    #[serde(default)]
    pub program: Option<PathBuf>,
    /// The directory of the site file.
    pub site: PathBuf,
    /// The table of variables that Mattermost knows: it says which settings are secret.
    pub variables: PathBuf,
    /// What is stopped for a backup without changes meanwhile.
    #[serde(default)]
    pub stop: Vec<String>,
    /// The service that the job is.
    pub job: String,
    /// What there is to restore.
    pub restore: Restore,
}

/// How a backup is restored.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The service that the job is.
    pub job: String,
    /// The directory of that job.
    pub dir: PathBuf,
    /// What is stopped while databases and files change places. What finishes a restore that was interrupted is
    /// among it, so that nothing starts before that has run.
    pub stop: Vec<String>,
    /// Files of `home` that tell of this machine, and are not restored.
    #[serde(default)]
    pub leave: Vec<String>,
}

/// A directory that is saved whole.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// Name of the tree in the archive, below `files/`.
    pub name: String,
    /// Path of the tree.
    pub path: PathBuf,
}

/// Which backups stay: those that either rule keeps. Without a rule all do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// The newest so many.
    #[serde(default)]
    pub newest: Option<u32>,
    /// Backups of the last so many days are kept.
    #[serde(default)]
    pub days: Option<u32>,
}

impl Configuration {
    /// The account whose files are saved, by numbers.
    ///
    /// # Errors
    /// There is none of that name.
    pub(crate) fn account(&self) -> Result<Account, Error> {
        let name = &self.account;
        let found = User::from_name(name).map_err(|errno| Error::Io {
            doing: format!("look up the account {name}"),
            error: errno.into(),
        })?;
        let found = found.ok_or_else(|| Refusal::NoAccount { name: name.clone() })?;
        Ok(Account {
            uid: found.uid.as_raw(),
            gid: found.gid.as_raw(),
        })
    }

    /// Reads one.
    ///
    /// # Errors
    /// The file cannot be read, or does not say what is needed.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = safe_path::read(path, BYTES_MAX).map_err(Error::with("read", path))?;
        let read: Result<Self, _> = serde_json::from_slice(&text);
        let mut configuration = read.map_err(|error| Error::Configuration {
            path: path.to_owned(),
            error: error.to_string(),
        })?;
        let said = &mut configuration.mattermost_version;
        *said = said.take().or_else(|| version(&configuration.home));
        Ok(configuration)
    }
}

fn version(home: &Path) -> Option<String> {
    let text = safe_path::read_guest(&home.join(VERSION), VERSION_BYTES_MAX).ok()?;
    let text = String::from_utf8(text).ok()?;
    let version = text.lines().next().unwrap_or_default().trim();
    // The account's word: nothing that has another form is shown to anybody.
    let form = |it: char| it.is_ascii_alphanumeric() || ".-+".contains(it);
    let is_version = version.starts_with(|it: char| it.is_ascii_digit());
    (is_version && version.chars().all(form)).then(|| version.to_owned())
}
