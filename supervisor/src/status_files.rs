//! Writes the status files of services (`[[status_files]]`), and removes those that are not to be.
//!
//! They are root's and everybody may read them: another web server than ours does, as another
//! account. Each is renamed into its place, so whoever reads one has it whole. Nothing is synced:
//! what they say is over with the boot.
//!
//! Which there are is noted in the state directory before the first of them is written, so those
//! that are in no plan any more go, whatever has died meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::{Path, PathBuf},
};

use plan::{Plan, Situation, StatusFile};
use safe_path::Dir;

use crate::{
    aside::{self, Aside},
    store,
};

/// Situations by service.
pub(crate) type Situations = BTreeMap<String, Situation>;

/// Paths of those that may be there, in the state directory.
const NOTED: &str = "status-files.json";
/// A longer list is none of ours.
const NOTED_BYTES_MAX: u64 = 16 << 20;

/// Writes those of these services, and removes what there is of others. Otherwise which could not
/// be written or removed, and why, in words.
pub(crate) fn write(plan: &Plan, situations: &Situations) -> Result<(), String> {
    let list = plan.paths.state_dir.join(NOTED);
    let wanted: BTreeSet<PathBuf> = (situations.keys())
        .filter_map(|name| plan.services.get(name))
        .flat_map(|it| it.status_files.iter().map(|file| file.path.clone()))
        .collect();
    let noted = noted(&list);
    let mut failed = Vec::new();
    if !wanted.is_subset(&noted) {
        let both = wanted.union(&noted).cloned().collect();
        failed.extend(note(&list, &both).err());
    }
    for (name, situation) in situations {
        let files = plan.services.get(name).map(|it| &it.status_files);
        for file in files.into_iter().flatten() {
            if let Err(error) = write_one(file, situation) {
                failed.push(format!("cannot write {}: {error}", file.path.display()));
            }
        }
    }
    let mut left = wanted.clone();
    for path in noted.difference(&wanted) {
        if let Err(error) = remove(path) {
            failed.push(format!("cannot remove {}: {error}", path.display()));
            left.insert(path.clone());
        }
    }
    if !noted.is_subset(&left) {
        failed.extend(note(&list, &left).err());
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("; "))
    }
}

fn noted(list: &Path) -> BTreeSet<PathBuf> {
    read(list).unwrap_or_else(|aside| {
        tracing::error!("{aside}; which status files an earlier plan had is not known");
        BTreeSet::new()
    })
}

fn read(list: &Path) -> Result<BTreeSet<PathBuf>, Aside> {
    Ok(aside::read_json(list, NOTED_BYTES_MAX)?.unwrap_or_default())
}

/// Whether status files may be left, of whatever plan.
///
/// # Errors
/// The list of them is none of ours, and has been put aside.
pub(crate) fn may_be_left(state_dir: &Path) -> Result<bool, Aside> {
    Ok(!read(&state_dir.join(NOTED))?.is_empty())
}

fn note(list: &Path, paths: &BTreeSet<PathBuf>) -> Result<(), String> {
    let noted = serde_json::to_string_pretty(paths)
        .map_err(io::Error::from)
        .and_then(|text| store::write_atomically(list, text.as_bytes()));
    noted.map_err(|error| format!("cannot write {}: {error}", list.display()))
}

/// A file of no plan any more.
fn remove(path: &Path) -> io::Result<()> {
    let Some((parent, name)) = path.parent().zip(path.file_name()) else {
        return Ok(());
    };
    match Dir::open(parent) {
        Ok(dir) => dir.remove(name).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn write_one(file: &StatusFile, situation: &Situation) -> io::Result<()> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "it is no path of a file");
    let (parent, name) = file
        .path
        .parent()
        .zip(file.path.file_name())
        .ok_or_else(wrong)?;
    // An administrator may have removed the directory.
    let dir = Dir::make(parent, 0o755)?;
    match file.render(situation).map_err(io::Error::other)? {
        Some(text) => put(&dir, name, &text),
        None => dir.remove(name).map(drop),
    }
}

fn put(dir: &Dir, name: &OsStr, text: &str) -> io::Result<()> {
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".new");
    dir.remove(&beside)?;
    let fill = || {
        let mut new = dir.create(&beside, 0o600)?;
        new.write_all(text.as_bytes())?;
        // Whatever our umask is.
        dir.settle_file(&new, None, 0o644)?;
        dir.rename(&beside, name)
    };
    // On a full disk it would only hold the room that others want.
    fill().inspect_err(|_| drop(dir.remove(&beside)))
}
