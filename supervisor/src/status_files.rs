//! Writes the status files of services (`[[status_files]]`), and removes those that are not to be.
//!
//! They are root's and everybody may read them: another web server than ours does, as another account.
//! Each is renamed into its place, so whoever reads one has it whole. Nothing is synced: what they say
//! is over with the boot.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io::{self, Write},
};

use plan::{Plan, Situation, StatusFile};
use safe_path::Dir;

/// By service.
pub(crate) type Situations = BTreeMap<String, Situation>;

/// Writes those of these services. Otherwise which could not be written, and why, in words.
pub(crate) fn write(plan: &Plan, situations: &Situations) -> Result<(), String> {
    let mut failed = Vec::new();
    for (name, situation) in situations {
        let files = plan.services.get(name).map(|it| &it.status_files);
        for file in files.into_iter().flatten() {
            if let Err(error) = write_one(file, situation) {
                failed.push(format!("cannot write {}: {error}", file.path.display()));
            }
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("; "))
    }
}

fn write_one(file: &StatusFile, situation: &Situation) -> io::Result<()> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "it is no path of a file");
    let (parent, name) = file
        .path
        .parent()
        .zip(file.path.file_name())
        .ok_or_else(wrong)?;
    // Somebody may have removed it.
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
