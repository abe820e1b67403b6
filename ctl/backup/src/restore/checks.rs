//! The checks of a restore: everything that can be known before anything is created.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::sys::statvfs::statvfs;
use safe_path::{Account, Dir, Folder};

use super::database::Databases;
use crate::{
    Error, Refusal, Watch,
    configuration::Configuration,
    manifest::Manifest,
    postgres::{Server, Tools},
    target::{is_mounted, mount_points},
};

/// Space that a database takes during its restore, in percent of its final size: WAL, and the sort
/// files of indexes.
const DATABASE_PERCENT: u64 = 130;

/// Destination of a tree of a backup.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Name of the tree in the archive.
    pub(super) tree: String,
    /// Path of the destination, with links resolved.
    pub(super) path: PathBuf,
    /// Whether the destination is a mount point, which cannot be moved itself: its entries are
    /// moved.
    pub(super) inside: bool,
}

/// Refuses a backup that this machine's Mattermost or `PostgreSQL` would not understand.
pub(super) fn versions(
    configuration: &Configuration,
    manifest: &Manifest,
    watch: &Watch,
) -> Result<(), Error> {
    if let (Some(installed), Some(backup)) = (
        &configuration.mattermost_version,
        &manifest.mattermost_version,
    ) && is_older(installed, backup)
    {
        let (installed, backup) = (installed.clone(), backup.clone());
        return Err(Refusal::Older { backup, installed }.into());
    }
    readable(&configuration.database, manifest, watch)
}

/// Refuses a dump that no program here can read.
pub(super) fn readable(server: &Server, manifest: &Manifest, watch: &Watch) -> Result<(), Error> {
    let own = server.programs.as_deref();
    match Tools::at_least(manifest.pg_dump_major, own, watch.stop()) {
        Err(Error::NoTools { major }) => {
            let databases = Databases::connect(server, 0, watch.stop())?;
            let server = databases.live()?.server_version;
            Err(Refusal::Dump {
                dump: major,
                server,
            }
            .into())
        }
        found => found.map(drop),
    }
}

/// Compares the first two numbers of the versions: releases that differ in the third have the same
/// migrations.
pub(super) fn is_older(installed: &str, backup: &str) -> bool {
    let numbers = |version: &str| -> Option<(u32, u32)> {
        let mut parts = version.trim_start_matches('v').split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    matches!((numbers(installed), numbers(backup)), (Some(one), Some(other)) if one < other)
}

/// Destinations of the trees of a backup. Trees that this machine does not have are not restored.
pub(super) fn places(
    configuration: &Configuration,
    manifest: &Manifest,
    account: Account,
) -> Result<Vec<Place>, Error> {
    let mut places = Vec::new();
    for tree in &configuration.trees {
        if !manifest.trees.iter().any(|it| it.name == tree.name) {
            continue;
        }
        let folder = Folder::open(&tree.path, Some(account));
        let folder = folder.map_err(Error::with("open", &tree.path))?;
        let path = folder.path().to_owned();
        let above = path.parent().unwrap_or(&path);
        places.push(Place {
            tree: tree.name.clone(),
            inside: is_mounted(&path)? || Dir::open_for(above, account).is_err(),
            path,
        });
    }
    mounts(&configuration.home, &places)?;
    Ok(places)
}

/// Refuses mounts of file systems or single files below a destination: they cannot be moved, and
/// are not part of the backup.
fn mounts(home: &Path, places: &[Place]) -> Result<(), Error> {
    let is_place = |point: &PathBuf| places.iter().any(|place| place.path == *point);
    let is_below = |point: &PathBuf| {
        let mut tops = places.iter().map(|place| place.path.as_path());
        point.parent() == Some(home) || tops.any(|top| point.starts_with(top))
    };
    let below = mount_points()?;
    match below.into_iter().find(|it| is_below(it) && !is_place(it)) {
        Some(path) => Err(Refusal::MountedBelow { path }.into()),
        None => Ok(()),
    }
}

/// Refuses a restore for which there is too little free space beside the live data.
pub(super) fn room(
    databases: &mut Databases,
    manifest: &Manifest,
    places: &[Place],
) -> Result<(), Error> {
    let mut needs: BTreeMap<u64, (PathBuf, u64)> = BTreeMap::new();
    let mut add = |path: &Path, bytes: u64| -> Result<(), Error> {
        let found = safe_path::metadata(path).map_err(Error::with("look at", path))?;
        let entry = needs.entry(found.dev()).or_insert((path.to_owned(), 0));
        entry.1 += bytes;
        Ok(())
    };
    if let Some(path) = databases.directory()? {
        add(&path, manifest.database.bytes / 100 * DATABASE_PERCENT)?;
    }
    for place in places {
        let saved = manifest.trees.iter().find(|it| it.name == place.tree);
        add(&place.path, saved.map_or(0, |saved| saved.bytes))?;
    }
    for (path, needs) in needs.into_values() {
        let found = statvfs(&path).map_err(std::io::Error::from);
        let found = found.map_err(Error::with("find out what is free at", &path))?;
        let free = found
            .blocks_available()
            .saturating_mul(found.fragment_size());
        if needs > free {
            return Err(Refusal::Room { path, needs, free }.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_older;

    #[test]
    fn only_a_lower_minor_is_older() {
        assert!(is_older("10.5.2", "10.11.3"));
        assert!(is_older("9.11.0", "10.0.0"));
        assert!(!is_older("10.11.1", "10.11.9"));
        assert!(!is_older("11.0.0", "10.11.9"));
        assert!(!is_older("unknown", "10.11.9"));
    }
}
