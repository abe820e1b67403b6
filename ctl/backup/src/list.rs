//! Lists the backups of a directory, with what is known of each. Only the beginning and the end of
//! each file are read.

use std::os::unix::fs::MetadataExt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    Error, archive,
    manifest::{Manifest, Mode},
    name,
    target::Target,
    verify,
};

/// A backup, as `ctl backup list` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// File name of the backup.
    pub name: String,
    /// When it was made, by its name.
    pub made: Timestamp,
    /// Length of the file, in bytes.
    pub bytes: u64,
    /// State of the backup.
    pub state: State,
    /// Parts of its manifest, if that can be read.
    pub says: Option<Says>,
}

/// The state of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The backup was verified, and has not changed since.
    Good,
    /// The backup was verified and is intact, but lacks files that could not be read when it was
    /// made.
    Incomplete,
    /// Beginning and end are intact. Nothing has verified the rest.
    Unverified,
    /// The backup was found damaged, or its end is missing.
    Bad,
    /// The file has a backup's name, but is not a backup of a readable version.
    Foreign,
}

/// Parts of a manifest.
#[derive(Clone, Debug, Serialize)]
pub struct Says {
    /// Mattermost's version.
    pub mattermost: Option<String>,
    /// The version of `PostgreSQL`.
    pub postgresql: String,
    /// Whether Mattermost ran during the backup.
    pub mode: Mode,
    /// Whether something is left out.
    pub left_out: bool,
}

impl State {
    /// The state in one word, for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Incomplete => "incomplete",
            Self::Unverified => "unverified",
            Self::Bad => "bad",
            Self::Foreign => "foreign",
        }
    }
}

/// The backups of a directory, oldest first.
///
/// # Errors
/// The directory cannot be read.
pub fn list(target: &Target) -> Result<Vec<Listed>, Error> {
    let known = target.known();
    let mut all = Vec::new();
    for name in target.backups()? {
        let Some(made) = name::moment(&name) else {
            continue;
        };
        let file = target.read(&name)?;
        let now = file
            .metadata()
            .map_err(Error::with("look at", &target.path().join(&name)))?;
        let told = verify::manifest(&file);
        let seen = known.of(&name, (now.len(), now.mtime(), now.mtime_nsec()));
        let state = match (&told, seen) {
            (Err(Error::Archive(archive::Error::Foreign(_))), _) => State::Foreign,
            (Err(_), _) => State::Bad,
            (Ok(_), Some(seen)) if !seen.whole => State::Bad,
            (Ok(_), Some(seen)) if seen.lost > 0 => State::Incomplete,
            (Ok(_), Some(_)) => State::Good,
            (Ok(_), None) => State::Unverified,
        };
        all.push(Listed {
            name,
            made,
            bytes: now.len(),
            state,
            says: told.ok().map(Says::of),
        });
    }
    Ok(all)
}

impl Says {
    fn of(manifest: Manifest) -> Self {
        Self {
            mattermost: manifest.mattermost_version,
            postgresql: manifest.database.server_version,
            mode: manifest.mode,
            left_out: !manifest.left_out.is_empty(),
        }
    }
}
