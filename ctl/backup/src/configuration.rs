//! The backup configuration: what to save, where to, and how to restore. The supervisor renders the
//! file from the site file.

use std::path::{Path, PathBuf};

use nix::unistd::User;
use safe_path::Account;
use serde::Deserialize;

use crate::{Error, Refusal, postgres::Server};

/// Longest file that is read; a longer file is a mistake.
const BYTES_MAX: u64 = 1 << 20;

/// File in Mattermost's home with the version that Mattermost has reported. The job reads it only
/// when it needs it: had the supervisor rendered the version, the rendered file would change once
/// Mattermost reports.
const VERSION: &str = "VERSION";
const VERSION_BYTES_MAX: u64 = 256;

/// The configuration. The file is root's alone, because it may hold passwords.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Directory of the backups.
    pub to: PathBuf,
    /// Path that must be a mount point, so that no backup goes to the disk below it.
    #[serde(default)]
    pub require_mount: Option<PathBuf>,
    /// Rules for which backups stay.
    #[serde(default)]
    pub keep: Keep,
    /// The account whose files are saved.
    pub account: String,
    /// The database that is saved.
    pub database: Server,
    /// Directories that are saved whole.
    pub trees: Vec<Tree>,
    /// Mattermost's home: only files directly in it are saved.
    pub home: PathBuf,
    /// Prefix of the supervisor's directories.
    pub root: PathBuf,
    /// The catalogue of services.
    pub catalog: PathBuf,
    /// Name of the Mattermost service: its environment overrides its configuration file.
    pub service: String,
    /// Installed version of Mattermost, if known; as a rule from the file `VERSION` of its home.
    #[serde(default)]
    pub mattermost_version: Option<String>,
    /// Mattermost's executable, which contains the names of the migrations it knows.
    #[serde(default)]
    pub program: Option<PathBuf>,
    /// The directory of the site file.
    pub site: PathBuf,
    /// The table of Mattermost's variables, which marks the secret settings.
    pub variables: PathBuf,
    /// Services to stop for an offline backup.
    #[serde(default)]
    pub stop: Vec<String>,
    /// Name of the backup job's service.
    pub job: String,
    /// Settings of a restore.
    pub restore: Restore,
}

/// How a backup is restored.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// Name of the restore job's service.
    pub job: String,
    /// Directory of the restore job.
    pub dir: PathBuf,
    /// Services to stop while databases and files change places. The recovery service is among
    /// them, so that nothing starts before an interrupted restore is finished.
    pub stop: Vec<String>,
    /// Files of `home` that describe this machine, and are not restored.
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

/// Which backups stay: those that either rule keeps. Without a rule all stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Number of the newest backups to keep.
    #[serde(default)]
    pub newest: Option<u32>,
    /// Days back from now whose backups are kept.
    #[serde(default)]
    pub days: Option<u32>,
}

impl Configuration {
    /// Looks up the numbers of the account whose files are saved.
    ///
    /// # Errors
    /// The account does not exist.
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

    /// Reads the configuration.
    ///
    /// # Errors
    /// The file cannot be read, or a needed value is missing.
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
    // Mattermost's account wrote this text: anything but a version is dropped, and not shown.
    let form = |it: char| it.is_ascii_alphanumeric() || ".-+".contains(it);
    let is_version = version.starts_with(|it: char| it.is_ascii_digit());
    (is_version && version.chars().all(form)).then(|| version.to_owned())
}
