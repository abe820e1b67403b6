//! Results of staging, which a swap then puts in place.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use super::OwnerChange;
use crate::{prepare::Resolved, unready::Unready};

/// Ids and programs, by service.
pub(crate) type Resolutions = BTreeMap<String, Result<Arc<Resolved>, Unready>>;

/// Result of staging.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    /// Candidates, in the order of the plan.
    pub(crate) files: Vec<StagedFile>,
    /// Copies of files that only root may read, which were not there before.
    pub(crate) laid: Vec<StagedFile>,
    /// Services for which such a file could not be copied, and why.
    pub(crate) not_laid: BTreeMap<String, String>,
    /// Services whose directories or files could not be made, and why.
    pub(crate) broken: BTreeMap<String, Broken>,
    /// Ids and programs of all enabled services.
    pub(crate) resolved: Resolutions,
    /// Directories that were made, parents first.
    pub(crate) made: Vec<StagedDirectory>,
    /// Directories that are to get another mode.
    pub(crate) modes: Vec<StagedDirectory>,
    /// Directories that change hands when their services start, by service.
    pub(crate) owners: BTreeMap<String, Vec<OwnerChange>>,
    /// Directories that were made or change; of a rehearsal, what would be made and written.
    pub(crate) host: Vec<api::HostChange>,
    /// Files that a rehearsal cannot check yet.
    pub(crate) left_out: Vec<api::FileCheck>,
    /// The local time zone, as it is now.
    pub(crate) zone: Option<jiff::tz::TimeZone>,
}

impl Staged {
    /// Candidates and directories to remove when the change is abandoned.
    pub(crate) fn leftovers(self) -> (Vec<StagedFile>, Vec<StagedDirectory>) {
        let mut files = self.files;
        files.extend(self.laid);
        (files, self.made)
    }

    /// A service that cannot have what it needs for a reason that refuses the whole change, and
    /// why.
    pub(crate) fn first_refused(&self) -> Option<(&str, &str)> {
        let broken = self.broken.iter().filter(|(_, it)| it.own.is_none());
        let broken = broken.map(|(service, it)| (service, &it.why));
        let mut refused = broken.chain(&self.not_laid);
        refused
            .next()
            .map(|(service, why)| (service.as_str(), why.as_str()))
    }
}

/// The reason why a service cannot have its directories or files.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    /// In words.
    pub(crate) why: String,
    /// What went wrong in a directory of the service's own account. That is no other service's
    /// concern: the service fails by it, and the change goes on.
    pub(crate) own: Option<PathBuf>,
}

/// A directory that was made, or that is to get another mode.
#[derive(Clone, Debug)]
pub(crate) struct StagedDirectory {
    /// Whose.
    pub(crate) service: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Account whose own directory it may lie in; none: root's.
    pub(crate) user: Option<String>,
    /// Mode bits that it is to have.
    pub(crate) mode: u32,
}

/// A changed file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StagedFile {
    /// Whose.
    pub(crate) service: String,
    /// Place of the candidate.
    pub(crate) candidate: PathBuf,
    /// Place of the file.
    pub(crate) path: PathBuf,
    /// Account whose own directory both may lie in; none: root's.
    #[serde(default)]
    pub(crate) user: Option<String>,
    /// Its content is another; else only its mode or owner.
    #[serde(default)]
    pub(crate) altered: bool,
    /// Command that checks it; empty: none.
    pub(crate) validate: Vec<String>,
}
