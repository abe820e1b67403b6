//! What bringing a plan to the disk would do. Only candidates are written, for their validators to
//! see; what needs an account or a directory that is not there yet is left out, and said.

use std::{fs, os::unix::fs::MetadataExt};

use api::{FileCheck, HostChange};
use plan::{Directory, Plan, RenderedFile, Service};

use super::{Owner, owner, write_candidate};
use crate::{
    control::{Staged, StagedFile, resolve},
    zone,
};

/// Like [`super::stage`], but makes nothing.
pub(crate) fn rehearse(plan: &Plan) -> Staged {
    let mut staged = Staged {
        zone: Some(zone::local()),
        ..Staged::default()
    };
    for service in plan.services.values().filter(|service| service.enabled) {
        rehearse_service(service, &mut staged);
        staged
            .resolved
            .insert(service.name.clone(), resolve(service));
    }
    staged
}

fn rehearse_service(service: &Service, staged: &mut Staged) {
    // A validator may need any of them.
    let mut missing: Option<String> = None;
    for directory in &service.directories {
        match look_at(service, directory) {
            Ok(None) => {}
            Ok(Some((action, what))) => {
                if action == "make" {
                    missing.get_or_insert_with(|| format!("{what} is not there yet"));
                }
                staged.host.push(host_change(service, action, what));
            }
            Err(why) => drop(missing.get_or_insert(why)),
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

/// What is to be done about a directory, or why nothing can be said of it.
fn look_at(
    service: &Service,
    directory: &Directory,
) -> Result<Option<(&'static str, String)>, String> {
    let what = format!("directory {}", directory.path.display());
    let Ok(now) = fs::symlink_metadata(&directory.path) else {
        return Ok(Some(("make", what)));
    };
    if now.is_symlink() {
        return Ok(None);
    }
    let (user, group) = (directory.user.as_deref(), directory.group.as_deref());
    let wanted = owner(service, user, group).map_err(|error| error.to_string())?;
    let differs = now.mode() & 0o7777 != directory.mode || !owned(wanted, &now);
    Ok(differs.then(|| ("change", format!("mode or owner of {what}"))))
}

fn owned(owner: Owner, now: &fs::Metadata) -> bool {
    owner.is_none_or(|(uid, gid)| (now.uid(), now.gid()) == (uid.as_raw(), gid.as_raw()))
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
    if file.create_only && fs::symlink_metadata(&file.path).is_ok() {
        return;
    }
    let owner = owner(service, file.user.as_deref(), file.group.as_deref());
    if fs::read(&file.path).is_ok_and(|old| old == file.content.as_bytes()) {
        let differs = |now: fs::Metadata| {
            let owned = owner.as_ref().is_ok_and(|owner| owned(*owner, &now));
            now.mode() & 0o7777 != file.mode || !owned
        };
        if fs::symlink_metadata(&file.path).is_ok_and(differs) {
            let what = format!("mode or owner of {what}");
            staged.host.push(host_change(service, "change", what));
        }
        return;
    }
    staged.host.push(host_change(service, "write", what));
    let parent = file.path.parent().filter(|it| !it.is_dir());
    let parent = parent.map(|it| format!("directory {} is not there yet", it.display()));
    let obstacle = owner.as_ref().err().map(ToString::to_string);
    match obstacle.or(parent).or_else(|| missing.map(str::to_owned)) {
        None => match owner.and_then(|owner| write_candidate(service, file, owner)) {
            Ok(candidate) => staged.files.push(candidate),
            Err(error) => {
                let why = format!("cannot write {}: {error}", file.path.display());
                staged.broken.entry(service.name.clone()).or_insert(why);
            }
        },
        Some(why) => leave_out(service, file, why, staged),
    }
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
        service: service.name.clone(),
        candidate: file.candidate.clone(),
        path: file.path.clone(),
        validate: Vec::new(),
    });
}
