//! Brings directories and rendered files to the disk, in two steps: candidates first, then swap.
//! A rehearsal writes candidates alone, and says what else there would be to do.
//!
//! What is there as it is wanted is left alone, wherever it lies. All else goes by [`place`].

mod missing;
mod place;
mod rehearsal;
mod swap;
#[cfg(test)]
mod tests;
mod token;

use std::{
    ffi::OsStr,
    fs::Metadata,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    sync::Arc,
};

use api::HostChange;
use plan::{Directory, Plan, RenderedFile, Service, reload_token};
use safe_path::Dir;

pub(crate) use missing::make_missing;
use place::{Owners, Place, make_parent};
pub(crate) use rehearsal::{past, rehearse};
pub(crate) use swap::{swap, swap_each};
pub(crate) use token::fill_tokens;

use crate::{
    control::{Broken, Staged, StagedFile},
    credentials,
    lookups::Lookups,
    prepare::resolve,
    zone,
};

/// Makes directories, writes a candidate for each file that is to change, and looks up ids and
/// programs. What fails is told by service and stops no other.
pub(crate) fn stage(plan: &Plan) -> Staged {
    let mut staged = Staged {
        zone: Some(zone::local()),
        ..Staged::default()
    };
    let lookups = Lookups::default();
    for service in plan.services.values().filter(|service| service.enabled) {
        let mut files = Vec::new();
        match stage_service(service, &mut files, &mut staged.host) {
            Ok(()) => staged.files.extend(files),
            Err(broken) => {
                // It starts with none of them.
                discard(&files);
                staged.broken.insert(service.name.clone(), broken);
            }
        }
        lay(service, &mut staged);
        staged.resolved.insert(
            service.name.clone(),
            resolve(service, &lookups).map(Arc::new),
        );
    }
    staged
}

fn stage_service(
    service: &Service,
    files: &mut Vec<StagedFile>,
    host: &mut Vec<HostChange>,
) -> Result<(), Broken> {
    for directory in &service.directories {
        let path = &directory.path;
        let what = format!("make directory {}", path.display());
        let owners = Owners::of_directory(service, directory);
        let owners = owners.map_err(|error| without_account(&what, &error))?;
        let missing = safe_path::stat(path).is_ok_and(|now| now.is_none());
        let changed = make_directory(directory, &owners);
        if changed.map_err(|error| owners.broken(path, &what, &error))? {
            host.push(rehearsal::of_directory(service, directory, missing));
        }
    }
    for file in &service.files {
        let path = &file.path;
        let what = format!("write {}", path.display());
        let owners = Owners::of_file(service, file);
        let owners = owners.map_err(|error| without_account(&what, &error))?;
        let candidate = stage_file(service, file, &owners);
        files.extend(candidate.map_err(|error| owners.broken(path, &what, &error))?);
    }
    Ok(())
}

/// Copies what only root may read, and notes what was not there before.
fn lay(service: &Service, staged: &mut Staged) {
    match credentials::lay(service) {
        Ok(new) => {
            let new = new.into_iter().map(|path| StagedFile {
                service: service.name.clone(),
                candidate: path.clone(),
                path,
                user: None,
                validate: Vec::new(),
            });
            staged.laid.extend(new);
        }
        Err(why) => drop(staged.not_laid.insert(service.name.clone(), why.reason)),
    }
}

fn without_account(what: &str, error: &io::Error) -> Broken {
    let why = format!("cannot {what}: {error}");
    Broken { why, own: None }
}

/// Removes candidates that will not be used.
pub(crate) fn discard(files: &[StagedFile]) {
    for file in files {
        let removed = Place::find(file).and_then(|it| it.dir.remove(&it.candidate));
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", file.candidate.display());
        }
    }
}

/// False: it is as wanted already.
fn make_directory(directory: &Directory, owners: &Owners) -> io::Result<bool> {
    let path = &directory.path;
    if is_as_wanted(directory, owners) {
        return Ok(false);
    }
    let (dir, name) = make_parent(path, owners.account)?;
    let is_link = dir.stat(name)?.is_some_and(|now| now.is_symlink());
    if is_link && !dir.is_foreign() && Dir::open_for(path, owners.account).is_ok() {
        // An administrator may have moved it to another disk: a link of root's is taken as it is.
        return Ok(false);
    }
    dir.settle_dir(name, owners.in_dir(&dir), directory.mode)?;
    Ok(true)
}

fn is_as_wanted(directory: &Directory, owners: &Owners) -> bool {
    let Ok(Some(now)) = safe_path::stat(&directory.path) else {
        return false;
    };
    now.is_dir() && now.mode() & 0o7777 == directory.mode && owners.fit(&directory.path, &now)
}

/// The candidate, if the file is to change.
fn stage_file(
    service: &Service,
    file: &RenderedFile,
    owners: &Owners,
) -> io::Result<Option<StagedFile>> {
    if file.create_only && safe_path::stat(&file.path)?.is_some() {
        return Ok(None);
    }
    if let Some(now) = in_place(file) {
        let staged = staged_file(service, file);
        // Of a control process that died with it.
        if let Ok(place) = Place::find(&staged) {
            place.dir.remove(&place.candidate)?;
        }
        if now.mode() & 0o7777 == file.mode && owners.fit(&file.path, &now) {
            return Ok(None);
        }
        let (dir, name) = make_parent(&file.path, owners.account)?;
        if let Ok(opened) = dir.open_file(name) {
            dir.settle_file(&opened, owners.in_dir(&dir), file.mode)?;
            return Ok(None);
        }
    }
    let (dir, name) = make_parent(&file.path, owners.account)?;
    if dir.stat(name)?.is_some_and(|now| now.is_dir()) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    write_candidate(service, file, owners, &dir).map(Some)
}

/// What is known of a file that is there as the plan has it; its reload token is nobody's wish.
fn in_place(file: &RenderedFile) -> Option<Metadata> {
    let length = file.content.len() as u64;
    safe_path::holding(&file.path, length, |found| {
        std::str::from_utf8(found).is_ok_and(|it| reload_token::blank(it) == file.content)
    })
}

fn staged_file(service: &Service, file: &RenderedFile) -> StagedFile {
    StagedFile {
        service: service.name.clone(),
        candidate: file.candidate.clone(),
        path: file.path.clone(),
        user: file.user.clone().or_else(|| service.user.clone()),
        validate: file.validate.clone(),
    }
}

fn write_candidate(
    service: &Service,
    file: &RenderedFile,
    owners: &Owners,
    dir: &Dir,
) -> io::Result<StagedFile> {
    let (_, name) = place::split(&file.candidate)?;
    fill(dir, name, file, owners)?;
    Ok(staged_file(service, file))
}

/// Writes a file of the plan by this name, which is a passing one.
fn fill(dir: &Dir, name: &OsStr, file: &RenderedFile, owners: &Owners) -> io::Result<()> {
    dir.remove(name)?;
    let owner = owners.in_dir(dir);
    let fill = || {
        let mut candidate = dir.create(name, 0o600)?;
        candidate.write_all(file.content.as_bytes())?;
        dir.settle_file(&candidate, owner, file.mode)?;
        candidate.sync_all()
    };
    // On a full disk it would only hold the room that others want.
    fill().inspect_err(|_| drop(dir.remove(name)))
}
