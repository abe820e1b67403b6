//! Brings directories and rendered files to the disk, in two steps: candidates first, then swap. A
//! rehearsal writes candidates alone, and reports the remaining work.
//!
//! The first step only adds: it creates missing directories and writes candidates, and changes
//! neither content nor mode nor owner of an existing file. If the plan is given up, both are
//! removed again. The swap changes files and modes of directories, after all checks. A directory
//! that belongs to another account than the plan says changes its owner when its service starts
//! ([`ownership`]). A file or directory that already is as the plan says is left alone, wherever it
//! lies; [`place`] decides where and with whose rights every other one is written.

mod missing;
mod ownership;
mod ownership_journal;
mod place;
mod rehearsal;
mod staged;
mod swap;
#[cfg(test)]
mod tests;
mod token;

use std::{
    ffi::OsStr,
    fs::Metadata,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
};

use api::FileCheck;
use plan::{Directory, Plan, RenderedFile, Service, reload_token};
use safe_path::Dir;

pub(crate) use missing::make_missing;
use missing::write_again;
pub(crate) use ownership::{InUse, OwnerChange, Settled, Terms, settle};
use ownership_journal::Journal;
use place::{Owners, Place, make_parent};
pub(crate) use rehearsal::{past, rehearse};
pub(crate) use staged::{Broken, Resolutions, Staged, StagedDirectory, StagedFile};
pub(crate) use swap::{swap, swap_each};
pub(crate) use token::fill_tokens;

use crate::{credentials, lookups::Lookups, prepare::resolve, timezone};

/// Whether the journal of directories that change hands is one; if it is not, in words.
pub(crate) fn look_at_journal(state_dir: &Path) -> Option<String> {
    Journal::look(state_dir).lost()
}

/// Makes missing directories, writes a candidate for each file that is to change, and looks up ids
/// and programs. What fails is told by service and stops no other.
pub(crate) fn stage(plan: &Plan) -> Staged {
    let mut staged = Staged {
        zone: Some(timezone::local()),
        ..Staged::default()
    };
    let lookups = Lookups::default();
    let journal = Journal::look(&plan.paths.state_dir);
    for service in plan.services.values().filter(|service| service.enabled) {
        let owners = ownership::pending(service, &journal);
        let mut files = Vec::new();
        let done = stage_directories(service, &owners, &mut staged)
            .and_then(|()| stage_files(service, &owners, &mut files, &mut staged.left_out));
        match done {
            Ok(()) => staged.files.extend(files),
            Err(broken) => {
                // A service starts with all of its files or with none.
                discard(&files, &[]);
                staged.broken.insert(service.name.clone(), broken);
            }
        }
        lay(service, &mut staged);
        staged.resolved.insert(
            service.name.clone(),
            resolve(service, &lookups).map(Arc::new),
        );
        note_owners(service, owners, &mut staged);
    }
    staged
}

fn note_owners(service: &Service, owners: Vec<OwnerChange>, staged: &mut Staged) {
    if !owners.is_empty() {
        staged.owners.insert(service.name.clone(), owners);
    }
}

fn stage_directories(
    service: &Service,
    changes: &[OwnerChange],
    staged: &mut Staged,
) -> Result<(), Broken> {
    for directory in &service.directories {
        let path = &directory.path;
        let what = format!("make directory {}", path.display());
        let owners = Owners::of_directory(service, directory);
        let owners = owners.map_err(|error| without_account(&what, &error))?;
        let broken = |error: io::Error| owners.broken(path, &what, &error);
        match look(directory, &owners, changes).map_err(broken)? {
            DirectoryMatch::Fits => {}
            DirectoryMatch::Missing if waits(path, changes) => {}
            DirectoryMatch::Missing => {
                let missing = missing_of(service, directory);
                make_directory(directory, &owners).map_err(broken)?;
                staged.made.extend(missing);
                let change = rehearsal::of_directory(service, directory, true);
                staged.host.push(change);
            }
            DirectoryMatch::OtherMode => {
                let change = rehearsal::of_directory(service, directory, false);
                staged.host.push(change);
                staged.modes.push(staged_directory(service, directory));
            }
            DirectoryMatch::OtherOwner(what) => what.check().map_err(broken)?,
        }
    }
    Ok(())
}

fn stage_files(
    service: &Service,
    changes: &[OwnerChange],
    files: &mut Vec<StagedFile>,
    left_out: &mut Vec<FileCheck>,
) -> Result<(), Broken> {
    for file in &service.files {
        let path = &file.path;
        let what = format!("write {}", path.display());
        let owners = Owners::of_file(service, file);
        let owners = owners.map_err(|error| without_account(&what, &error))?;
        if file.create_only && safe_path::stat(path).is_ok_and(|now| now.is_some()) {
            continue;
        }
        if is_deferred(path, &owners, changes) {
            left_out.extend(not_checked(service, file, DEFERRED.to_owned()));
            continue;
        }
        let candidate = stage_file(service, file, &owners);
        files.extend(candidate.map_err(|error| owners.broken(path, &what, &error))?);
    }
    Ok(())
}

/// The reason why a file is not checked.
const DEFERRED: &str = "its directory changes hands first, when the service starts";

/// Said of a file that has a check.
fn not_checked(service: &Service, file: &RenderedFile, detail: String) -> Option<FileCheck> {
    (!file.validate.is_empty()).then(|| FileCheck {
        service: service.name.clone(),
        path: file.path.display().to_string(),
        passed: false,
        detail,
    })
}

/// The file lies in a directory that changes hands at the service's start.
fn waits(path: &Path, changes: &[OwnerChange]) -> bool {
    changes.iter().any(|it| path.starts_with(&it.path))
}

/// And in a directory that is still the former account's: nobody can write there for the new one.
fn is_deferred(path: &Path, owners: &Owners, changes: &[OwnerChange]) -> bool {
    let foreign = path.parent().and_then(safe_path::foreign_owner);
    let own = owners.account.map(|it| it.uid);
    waits(path, changes) && foreign.is_some() && foreign != own
}

/// Copies what only root may read, and notes what was not there before.
fn lay(service: &Service, staged: &mut Staged) {
    match credentials::lay_beside_what_runs(service) {
        Ok(new) => {
            let new = new.into_iter().map(|path| StagedFile {
                service: service.name.clone(),
                candidate: path.clone(),
                path,
                user: None,
                altered: true,
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

/// Removes candidates that will not be used, and directories that were made for nothing.
pub(crate) fn discard(files: &[StagedFile], made: &[StagedDirectory]) {
    for file in files {
        let removed = Place::find(file).and_then(|it| it.dir.remove(&it.candidate));
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", file.candidate.display());
        }
    }
    for directory in made.iter().rev() {
        let path = &directory.path;
        let removed = place::parent(path, directory.user.as_deref());
        let removed = removed.and_then(|(dir, name)| dir.remove_dir(name));
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {} again: {error}", path.display());
        }
    }
}

/// The thing at a directory's place.
enum DirectoryMatch<'a> {
    /// The directory is as wanted, or a link of root's, which is taken as it is.
    Fits,
    Missing,
    OtherMode,
    /// It changes hands by this, which may be that of a directory above it.
    OtherOwner(&'a OwnerChange),
}

fn look<'a>(
    directory: &Directory,
    owners: &Owners,
    changes: &'a [OwnerChange],
) -> io::Result<DirectoryMatch<'a>> {
    let path = &directory.path;
    let Some(now) = safe_path::stat(path)? else {
        return Ok(DirectoryMatch::Missing);
    };
    if now.is_symlink() {
        // An administrator may have moved it to another disk: a link of root's is taken as it is.
        Dir::open_for(path, owners.account)?;
        return Ok(DirectoryMatch::Fits);
    }
    if !now.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let above = changes.iter().filter(|it| path.starts_with(&it.path));
    let nearest = above.max_by_key(|it| it.path.components().count());
    if let Some(change) = nearest.filter(|_| !owners.fit(path, &now)) {
        return Ok(DirectoryMatch::OtherOwner(change));
    }
    if now.mode() & 0o7777 == directory.mode {
        return Ok(DirectoryMatch::Fits);
    }
    // The directory can be changed where it is.
    Dir::open_for(path.parent().unwrap_or(path), owners.account)?;
    Ok(DirectoryMatch::OtherMode)
}

/// A directory and those above it that are not there, the first of them first.
fn missing_of(service: &Service, directory: &Directory) -> Vec<StagedDirectory> {
    let all = directory.path.ancestors();
    let missing = all.take_while(|it| safe_path::stat(it).is_ok_and(|now| now.is_none()));
    let staged = missing.map(|path| StagedDirectory {
        path: path.to_owned(),
        ..staged_directory(service, directory)
    });
    let mut staged: Vec<_> = staged.collect();
    staged.reverse();
    staged
}

fn staged_directory(service: &Service, directory: &Directory) -> StagedDirectory {
    StagedDirectory {
        service: service.name.clone(),
        path: directory.path.clone(),
        user: directory.user.clone().or_else(|| service.user.clone()),
        mode: directory.mode,
    }
}

/// Makes one that is missing.
fn make_directory(directory: &Directory, owners: &Owners) -> io::Result<()> {
    let (dir, name) = make_parent(&directory.path, owners.account)?;
    dir.settle_dir(name, owners.in_dir(&dir), directory.mode)
}

/// The candidate, if the file is to change.
fn stage_file(
    service: &Service,
    file: &RenderedFile,
    owners: &Owners,
) -> io::Result<Option<StagedFile>> {
    let same = in_place(file);
    let staged = staged_file(service, file, same.is_none());
    if let Some(now) = &same {
        // A control process that died left the candidate.
        if let Ok(place) = Place::find(&staged) {
            place.dir.remove(&place.candidate)?;
        }
        if now.mode() & 0o7777 == file.mode && owners.fit(&file.path, now) {
            return Ok(None);
        }
    }
    let (dir, name) = make_parent(&file.path, owners.account)?;
    if dir.stat(name)?.is_some_and(|now| now.is_dir()) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    write_candidate(file, owners, &dir)?;
    Ok(Some(staged))
}

/// Metadata of a file that exists as the plan wants it; the value of its reload token does not
/// matter.
fn in_place(file: &RenderedFile) -> Option<Metadata> {
    let length = file.content.len() as u64;
    safe_path::holding(&file.path, length, |found| {
        std::str::from_utf8(found).is_ok_and(|it| reload_token::blank(it) == file.content)
    })
}

fn staged_file(service: &Service, file: &RenderedFile, altered: bool) -> StagedFile {
    StagedFile {
        service: service.name.clone(),
        candidate: file.candidate.clone(),
        path: file.path.clone(),
        user: file.user.clone().or_else(|| service.user.clone()),
        altered,
        validate: file.validate.clone(),
    }
}

fn write_candidate(file: &RenderedFile, owners: &Owners, dir: &Dir) -> io::Result<()> {
    let (_, name) = place::split(&file.candidate)?;
    fill(dir, name, file, owners)
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
