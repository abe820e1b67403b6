//! What bringing a plan to the disk would do. Only candidates are written, for their validators to
//! see; what needs an account or a directory that is not there yet is left out, and said.

use std::{io, os::unix::fs::MetadataExt, sync::Arc};

use api::{FileCheck, HostChange};
use plan::{Directory, Plan, RenderedFile, Service};
use safe_path::Dir;

use super::{in_place, is_as_wanted, place, place::Owners, staged_file, write_candidate};
use crate::{
    control::{Broken, Staged, StagedFile},
    lookups::Lookups,
    prepare::resolve,
    zone,
};

/// Like [`super::stage`], but makes nothing.
pub(crate) fn rehearse(plan: &Plan) -> Staged {
    let mut staged = Staged {
        zone: Some(zone::local()),
        ..Staged::default()
    };
    let lookups = Lookups::default();
    for service in plan.services.values().filter(|service| service.enabled) {
        rehearse_service(service, &mut staged);
        staged.resolved.insert(
            service.name.clone(),
            resolve(service, &lookups).map(Arc::new),
        );
    }
    staged
}

fn rehearse_service(service: &Service, staged: &mut Staged) {
    // A validator may need any of them.
    let mut missing: Option<String> = None;
    for directory in &service.directories {
        let what = format!("directory {}", directory.path.display());
        let owners = match Owners::of_directory(service, directory) {
            Ok(owners) => owners,
            Err(why) => {
                missing.get_or_insert(why.to_string());
                continue;
            }
        };
        match look_at(directory, &owners) {
            Ok(None) => {}
            Ok(Some(todo)) => {
                if todo == MAKE {
                    missing.get_or_insert_with(|| format!("{what} is not there yet"));
                }
                let change = of_directory(service, directory, todo == MAKE);
                staged.host.push(change);
            }
            Err(error) => {
                let broken = owners.broken(&directory.path, &format!("make {what}"), &error);
                note_broken(service, broken, staged);
            }
        }
    }
    let made = service.credentials.iter().filter(|it| !it.make.is_empty());
    if let Some(it) = made.into_iter().find(|it| !it.source.exists()) {
        let source = it.source.display();
        missing.get_or_insert_with(|| format!("file {source} is not there yet"));
    }
    if missing.is_none() {
        // For the validators; what is new is removed with the candidates.
        super::lay(service, staged);
    }
    for file in &service.files {
        rehearse_file(service, file, missing.as_deref(), staged);
    }
}

const MAKE: &str = "make";
const CHANGE: &str = "change";

/// What is done, or would be, to a directory that is not as wanted.
pub(super) fn of_directory(service: &Service, directory: &Directory, missing: bool) -> HostChange {
    let what = format!("directory {}", directory.path.display());
    if missing {
        host_change(service, MAKE, what)
    } else {
        host_change(service, CHANGE, format!("mode or owner of {what}"))
    }
}

/// The same in words, of one that has been done.
pub(crate) fn past(change: &HostChange) -> Option<String> {
    let done = match change.action.as_str() {
        MAKE => "made",
        CHANGE => "changed",
        _ => return None,
    };
    Some(format!("{done} {}", change.what))
}

/// What is to be done about a directory.
fn look_at(directory: &Directory, owners: &Owners) -> io::Result<Option<&'static str>> {
    if is_as_wanted(directory, owners) {
        return Ok(None);
    }
    let (parent, name) = place::split(&directory.path)?;
    let dir = match Dir::open_for(parent, owners.account) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(MAKE)),
        Err(error) => return Err(error),
    };
    Ok(match dir.stat(name)? {
        None => Some(MAKE),
        Some(now) if now.is_symlink() => {
            Dir::open_for(&directory.path, owners.account)?;
            None
        }
        Some(_) => Some(CHANGE),
    })
}

fn note_broken(service: &Service, broken: Broken, staged: &mut Staged) {
    staged.broken.entry(service.name.clone()).or_insert(broken);
}

fn host_change(service: &Service, action: &str, what: String) -> HostChange {
    HostChange {
        action: action.to_owned(),
        what,
        services: vec![service.name.clone()],
    }
}

fn rehearse_file(
    service: &Service,
    file: &RenderedFile,
    missing: Option<&str>,
    staged: &mut Staged,
) {
    let what = format!("file {}", file.path.display());
    if file.create_only && safe_path::stat(&file.path).is_ok_and(|now| now.is_some()) {
        return;
    }
    let owners = Owners::of_file(service, file);
    if let Some(now) = in_place(file) {
        let fits = |owners: &Owners| owners.fit(&file.path, &now);
        if now.mode() & 0o7777 != file.mode || !owners.as_ref().is_ok_and(fits) {
            let what = format!("mode or owner of {what}");
            staged.host.push(host_change(service, CHANGE, what));
        }
        return;
    }
    staged.host.push(host_change(service, "write", what));
    let written = match (owners, missing) {
        (Err(error), _) => Err(error.to_string()),
        (Ok(owners), missing) => match open_parent(file, &owners) {
            Ok(None) => {
                let parent = file.path.parent().unwrap_or(&file.path);
                Err(format!("directory {} is not there yet", parent.display()))
            }
            Ok(Some(_)) if missing.is_some() => Err(missing.unwrap_or_default().to_owned()),
            Ok(Some(dir)) => Ok((write_candidate(service, file, &owners, &dir), owners)),
            Err(error) => Ok((Err(error), owners)),
        },
    };
    match written {
        Ok((Ok(candidate), _)) => staged.files.push(candidate),
        Ok((Err(error), owners)) => {
            let what = format!("write {}", file.path.display());
            note_broken(service, owners.broken(&file.path, &what, &error), staged);
        }
        Err(why) => leave_out(service, file, why, staged),
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

/// It is on the list all the same, for what it means to the service.
fn leave_out(service: &Service, file: &RenderedFile, why: String, staged: &mut Staged) {
    if !file.validate.is_empty() {
        staged.left_out.push(FileCheck {
            service: service.name.clone(),
            path: file.path.display().to_string(),
            passed: false,
            detail: why,
        });
    }
    staged.files.push(StagedFile {
        validate: Vec::new(),
        ..staged_file(service, file)
    });
}
