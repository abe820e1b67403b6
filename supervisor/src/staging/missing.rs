//! Files and directories that the running plan gave a service and that have been removed since:
//! made again when the service starts, as systemd makes a `RuntimeDirectory=`.
//!
//! An existing file stays as it is, even if it was changed: a reconfigure corrects it. A file gets
//! its name by a link, which replaces no other file, so that a newer plan that is put in place at
//! the same moment stays. A directory that has just changed hands ([`super::ownership`]) gets the
//! files of the plan, which could not be written there before.

use std::{
    ffi::OsString,
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use plan::{Directory, RenderedFile, Service};

use super::{DirectoryMatch, OwnerChange, fill, look, make_directory, place, place::Owners};
use crate::unready::{Unready, io_can_pass};

/// Makes directories and files of a service that are not there, and says which.
pub(crate) fn make_missing(service: &Service) -> Result<Vec<PathBuf>, Unready> {
    let mut made = Vec::new();
    for directory in &service.directories {
        let path = &directory.path;
        if !is_directory(path) {
            let what = format!("make directory {}", path.display());
            let owners = Owners::of_directory(service, directory);
            made.extend(done(path, &what, owners, |owners| {
                again(directory, owners)
            })?);
        }
    }
    for file in &service.files {
        let path = &file.path;
        if !matches!(safe_path::stat(path), Ok(Some(_))) {
            let what = format!("write {}", path.display());
            let owners = Owners::of_file(service, file);
            made.extend(done(path, &what, owners, |owners| write(file, owners))?);
        }
    }
    Ok(made)
}

fn is_directory(path: &Path) -> bool {
    safe_path::stat(path).is_ok_and(|now| now.is_some_and(|now| now.is_dir()))
}

/// The path, if it had to be made.
fn done(
    path: &Path,
    what: &str,
    owners: io::Result<Owners>,
    make: impl FnOnce(&Owners) -> io::Result<bool>,
) -> Result<Option<PathBuf>, Unready> {
    let made = owners.and_then(|owners| make(&owners));
    let made = made.map_err(|error| {
        let why = format!("cannot {what}: {error}");
        Unready::new(why, io_can_pass(&error))
    })?;
    Ok(made.then(|| path.to_owned()))
}

/// False: it is there after all.
fn again(directory: &Directory, owners: &Owners) -> io::Result<bool> {
    let missing = matches!(look(directory, owners, &[])?, DirectoryMatch::Missing);
    if missing {
        make_directory(directory, owners)?;
    }
    Ok(missing)
}

/// False: it is there after all.
fn write(file: &RenderedFile, owners: &Owners) -> io::Result<bool> {
    let (dir, name) = place::make_parent(&file.path, owners.account)?;
    if dir.stat(name)?.is_some() {
        return Ok(false);
    }
    let beside = beside(name);
    fill(&dir, &beside, file, owners)?;
    let linked = dir.link(&beside, name);
    dir.remove(&beside)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true),
    }
}

/// Files of a service in directories of its own that have changed hands, as the plan has them.
pub(super) fn write_again(service: &Service, changes: &[OwnerChange]) -> Result<(), Unready> {
    for file in &service.files {
        let path = &file.path;
        let given = super::waits(path, changes);
        if !given || file.create_only || path.parent().and_then(safe_path::foreign_owner).is_none()
        {
            continue;
        }
        let what = format!("write {}", path.display());
        done(path, &what, Owners::of_file(service, file), |owners| {
            put(file, owners)
        })?;
    }
    Ok(())
}

/// False: it is as wanted already.
fn put(file: &RenderedFile, owners: &Owners) -> io::Result<bool> {
    let same = super::in_place(file);
    let fits = |now: &Metadata| now.mode() & 0o7777 == file.mode && owners.fit(&file.path, now);
    if same.as_ref().is_some_and(fits) {
        return Ok(false);
    }
    let (dir, name) = place::make_parent(&file.path, owners.account)?;
    let beside = beside(name);
    fill(&dir, &beside, file, owners)?;
    let put = dir.rename(&beside, name);
    put.inspect_err(|_| drop(dir.remove(&beside)))?;
    Ok(true)
}

/// Several may be at work at the same time.
fn beside(name: &std::ffi::OsStr) -> OsString {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(format!(
        ".{}.missing",
        COUNT.fetch_add(1, Ordering::Relaxed)
    ));
    beside
}
