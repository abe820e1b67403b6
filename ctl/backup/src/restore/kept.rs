//! Describes the safety copy of the last restore, for people.

use std::path::PathBuf;

use safe_path::Folder;
use serde::Serialize;

use super::{
    database::Databases,
    journal::{Kept, Kind, Store},
};
use crate::{Error, Stop, Watch, configuration::Configuration, files::survey};

/// The data from before the last restore, or from before its undo.
#[derive(Clone, Debug, Serialize)]
pub struct Safety {
    /// The restored backup.
    pub from: String,
    /// When the data were replaced: RFC 3339 in UTC.
    pub at: String,
    /// Whether the restore was undone: the safety copy then holds the restored data.
    pub undone: bool,
    /// Name of the kept database; `None` if the database was not replaced.
    pub database: Option<String>,
    /// Size of the database, if the server tells it.
    pub database_bytes: Option<u64>,
    /// Size of the files, if they can be counted.
    pub files_bytes: Option<u64>,
    /// Directories that hold its files.
    pub files: Vec<PathBuf>,
}

/// The safety copy, if one is kept.
///
/// # Errors
/// The record of the safety copy cannot be read.
pub fn safety(configuration: &Configuration, stop: &Stop) -> Result<Option<Safety>, Error> {
    let Some(store) = Store::open(&configuration.restore.dir)? else {
        return Ok(None);
    };
    Ok(store.kept()?.map(|kept| told(kept, configuration, stop)))
}

fn told(kept: Kept, configuration: &Configuration, stop: &Stop) -> Safety {
    let bytes = kept.copy.database.as_ref().and_then(|name| {
        let databases = Databases::look(&configuration.database, stop);
        databases.and_then(|mut it| it.bytes(name)).ok()
    });
    let files = kept.copy.stashes.into_iter();
    let files: Vec<_> = files.map(|it| it.parent.join(it.name)).collect();
    Safety {
        files_bytes: counted(&files, configuration, stop),
        from: kept.from,
        at: kept.at,
        undone: kept.kind == Kind::Undo,
        database: kept.copy.database,
        database_bytes: bytes,
        files,
    }
}

/// Bytes below these directories.
fn counted(dirs: &[PathBuf], configuration: &Configuration, stop: &Stop) -> Option<u64> {
    let account = configuration.account().ok()?;
    let mut watch = Watch::new(stop.clone(), |_| {});
    let each = dirs.iter().map(|dir| {
        let folder = Folder::open(dir, Some(account)).ok()?;
        Some(survey(&folder, &mut watch).ok()?.bytes)
    });
    each.sum()
}
