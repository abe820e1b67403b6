//! Rehearses bringing a plan to the disk. Only candidates are written, for their validators to
//! read; a file that needs a missing account or directory is left out, and the answer says so.

use std::{io, os::unix::fs::MetadataExt, sync::Arc};

use api::{HostAction, HostChange};
use plan::{Directory, Plan, RenderedFile, Service};
use safe_path::{Dir, Tree};

use super::{
    DEFERRED, DirectoryMatch, Journal, OwnerChange, in_place, is_deferred, look, not_checked,
    note_owners, ownership, place, place::Owners, staged_file, write_candidate,
};
use crate::{
    lookups::Lookups,
    prepare::resolve,
    staging::{Broken, Staged, StagedFile},
    timezone,
};

/// Entries that are counted in a directory that would change hands.
const COUNTED_MAX: u64 = 100_000;

/// Like [`super::stage`], but makes nothing.
pub(crate) fn rehearse(plan: &Plan) -> Staged {
    let mut staged = Staged {
        zone: Some(timezone::local()),
        ..Staged::default()
    };
    let lookups = Lookups::default();
    let journal = Journal::look(&plan.paths.state_dir);
    for service in plan.services.values().filter(|service| service.enabled) {
        let owners = ownership::pending(service, &journal);
        rehearse_service(service, &owners, &mut staged);
        staged.resolved.insert(
            service.name.clone(),
            resolve(service, &lookups).map(Arc::new),
        );
        note_owners(service, owners, &mut staged);
    }
    staged
}

fn rehearse_service(service: &Service, changes: &[OwnerChange], staged: &mut Staged) {
    // A validator may need any of them.
    let mut missing: Option<String> = None;
    for directory in &service.directories {
        let what = format!("directory {}", directory.path.display());
        let owners = match Owners::of_directory(service, directory) {
            Ok(owners) => owners,
            Err(why) => {
                if safe_path::stat(&directory.path).is_ok_and(|now| now.is_some()) {
                    let what = format!("owner of {what}, once it can be had: {why}");
                    staged
                        .host
                        .push(host_change(service, HostAction::Change, what));
                }
                missing.get_or_insert(why.to_string());
                continue;
            }
        };
        match look(directory, &owners, changes) {
            Ok(DirectoryMatch::Fits) => {}
            Ok(DirectoryMatch::Missing) => {
                missing.get_or_insert_with(|| format!("{what} is not there yet"));
                staged.host.push(of_directory(service, directory, true));
            }
            Ok(DirectoryMatch::OtherMode) => {
                staged.host.push(of_directory(service, directory, false));
            }
            Ok(DirectoryMatch::OtherOwner(change)) => {
                if let Err(error) = change.check() {
                    let what = format!("change the owner of {what}");
                    let broken = owners.broken(&directory.path, &what, &error);
                    note_broken(service, broken, staged);
                }
            }
            Err(error) => {
                let broken = owners.broken(&directory.path, &format!("make {what}"), &error);
                note_broken(service, broken, staged);
            }
        }
    }
    for change in changes {
        let change = of_owner(service, change);
        // Others may have the same directory.
        let same = |it: &&mut HostChange| it.what == change.what && it.action == change.action;
        match staged.host.iter_mut().find(same) {
            Some(known) => known.services.extend(change.services),
            None => staged.host.push(change),
        }
    }
    let made = service.credentials.iter().filter(|it| !it.make.is_empty());
    if let Some(it) = made.into_iter().find(|it| !it.source.exists()) {
        let source = it.source.display();
        missing.get_or_insert_with(|| format!("file {source} is not there yet"));
    }
    if missing.is_none() {
        // Validators need the directories; new ones are removed with the candidates.
        super::lay(service, staged);
    }
    for file in &service.files {
        rehearse_file(service, file, changes, missing.as_deref(), staged);
    }
}

/// The change that a directory needs which is not as wanted.
pub(super) fn of_directory(service: &Service, directory: &Directory, missing: bool) -> HostChange {
    let what = format!("directory {}", directory.path.display());
    if missing {
        host_change(service, HostAction::Make, what)
    } else {
        host_change(service, HostAction::Change, format!("mode of {what}"))
    }
}

/// A directory that changes hands, with how much lies in it.
fn of_owner(service: &Service, change: &OwnerChange) -> HostChange {
    let counted = || {
        let tree = Tree::open(&change.path).ok()?;
        tree.count(&change.handover(), COUNTED_MAX, &|| true).ok()
    };
    let tally = change.recursive.then(counted).flatten();
    let more = tally.map_or_else(String::new, |tally| ownership::more(&tally));
    let (path, words) = (change.path.display(), change.words());
    let what = format!("owner of directory {path}{more}: {words}, while its services are down");
    host_change(service, HostAction::Change, what)
}

/// A change that has been done, in words.
pub(crate) fn past(change: &HostChange) -> Option<String> {
    let done = match change.action {
        HostAction::Make => "made",
        HostAction::Change => "changed",
        _ => return None,
    };
    Some(format!("{done} {}", change.what))
}

fn note_broken(service: &Service, broken: Broken, staged: &mut Staged) {
    staged.broken.entry(service.name.clone()).or_insert(broken);
}

fn host_change(service: &Service, action: HostAction, what: String) -> HostChange {
    HostChange {
        action,
        what,
        services: vec![service.name.clone()],
    }
}

fn rehearse_file(
    service: &Service,
    file: &RenderedFile,
    changes: &[OwnerChange],
    missing: Option<&str>,
    staged: &mut Staged,
) {
    let what = format!("file {}", file.path.display());
    if file.create_only && safe_path::stat(&file.path).is_ok_and(|now| now.is_some()) {
        return;
    }
    let owners = Owners::of_file(service, file);
    let same = in_place(file);
    let altered = same.is_none();
    if let Some(now) = same {
        let fits = |owners: &Owners| owners.fit(&file.path, &now);
        if now.mode() & 0o7777 == file.mode && owners.as_ref().is_ok_and(fits) {
            return;
        }
        let what = format!("mode or owner of {what}");
        staged
            .host
            .push(host_change(service, HostAction::Change, what));
    } else {
        staged
            .host
            .push(host_change(service, HostAction::Write, what));
    }
    let written = match (owners, missing) {
        (Err(error), _) => Err(error.to_string()),
        (Ok(owners), _) if is_deferred(&file.path, &owners, changes) => Err(DEFERRED.to_owned()),
        (Ok(owners), missing) => match open_parent(file, &owners) {
            Ok(None) => {
                let parent = file.path.parent().unwrap_or(&file.path);
                Err(format!("directory {} is not there yet", parent.display()))
            }
            Ok(Some(_)) if missing.is_some() => Err(missing.unwrap_or_default().to_owned()),
            Ok(Some(dir)) => Ok((write_candidate(file, &owners, &dir), owners)),
            Err(error) => Ok((Err(error), owners)),
        },
    };
    let candidate = staged_file(service, file, altered);
    match written {
        Ok((Ok(()), _)) => staged.files.push(candidate),
        Ok((Err(error), owners)) => {
            let what = format!("write {}", file.path.display());
            note_broken(service, owners.broken(&file.path, &what, &error), staged);
        }
        Err(why) => {
            // The file stays on the list, for its effect on the service.
            staged.left_out.extend(not_checked(service, file, why));
            staged.files.push(StagedFile {
                validate: Vec::new(),
                ..candidate
            });
        }
    }
}

/// None: it is not there yet.
fn open_parent(file: &RenderedFile, owners: &Owners) -> io::Result<Option<Dir>> {
    let (parent, name) = place::split(&file.path)?;
    let dir = match Dir::open_for(parent, owners.account) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if dir.stat(name)?.is_some_and(|now| now.is_dir()) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(Some(dir))
}
