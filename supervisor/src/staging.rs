//! Brings directories and rendered files to the disk, in two steps: candidates first, then swap.
//! A rehearsal writes candidates alone, and says what else there would be to do.

mod rehearsal;
mod swap;

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use nix::{
    fcntl::OFlag,
    unistd::{Gid, Group, Uid, User, fchown},
};
use plan::{Directory, Plan, RenderedFile, Service};

pub(crate) use rehearsal::rehearse;
pub(crate) use swap::{swap, swap_each};

use crate::{
    control::{Staged, StagedFile, resolve},
    credentials, zone,
};

/// Makes directories, writes a candidate for each file that is to change, and looks up ids and
/// programs. What fails is told by service and stops no other.
pub(crate) fn stage(plan: &Plan) -> Staged {
    let mut staged = Staged {
        zone: Some(zone::local()),
        ..Staged::default()
    };
    for service in plan.services.values().filter(|service| service.enabled) {
        if let Err(why) = stage_service(service, &mut staged.files) {
            staged.broken.insert(service.name.clone(), why);
        }
        lay(service, &mut staged);
        staged
            .resolved
            .insert(service.name.clone(), resolve(service));
    }
    staged
}

fn stage_service(service: &Service, files: &mut Vec<StagedFile>) -> Result<(), String> {
    for directory in &service.directories {
        make_directory(service, directory).map_err(|error| {
            format!(
                "cannot make directory {}: {error}",
                directory.path.display()
            )
        })?;
    }
    for file in &service.files {
        let candidate = stage_file(service, file)
            .map_err(|error| format!("cannot write {}: {error}", file.path.display()))?;
        files.extend(candidate);
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
                validate: Vec::new(),
            });
            staged.laid.extend(new);
        }
        Err(why) => drop(staged.not_laid.insert(service.name.clone(), why.reason)),
    }
}

/// Removes candidates that will not be used.
pub(crate) fn discard(files: &[StagedFile]) {
    for file in files {
        if let Err(error) = remove_if_there(&file.candidate) {
            tracing::warn!("cannot remove {}: {error}", file.candidate.display());
        }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn make_directory(service: &Service, directory: &Directory) -> io::Result<()> {
    make_parents(&directory.path)?;
    match fs::create_dir(&directory.path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Not through a link: its owner could point it anywhere.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(&directory.path);
    let opened = match opened {
        Ok(opened) => opened,
        // An administrator may have moved it to another disk: a link of root's is taken as it is.
        Err(_) if is_roots_link(&directory.path) => return Ok(()),
        Err(error) => return Err(error),
    };
    let owner = owner(
        service,
        directory.user.as_deref(),
        directory.group.as_deref(),
    )?;
    set_owner_and_mode(&opened, owner, directory.mode)
}

fn is_roots_link(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|it| it.is_symlink() && it.uid() == Uid::effective().as_raw())
}

fn make_parents(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// The candidate, if the file is to change.
fn stage_file(service: &Service, file: &RenderedFile) -> io::Result<Option<StagedFile>> {
    let owner = owner(service, file.user.as_deref(), file.group.as_deref())?;
    if file.create_only && fs::symlink_metadata(&file.path).is_ok() {
        return Ok(None);
    }
    if fs::read(&file.path).is_ok_and(|old| old == file.content.as_bytes()) {
        let flags = OFlag::O_NOFOLLOW.bits();
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&file.path)?;
        set_owner_and_mode(&opened, owner, file.mode)?;
        // Of a control process that died with it.
        remove_if_there(&file.candidate)?;
        return Ok(None);
    }
    make_parents(&file.path)?;
    write_candidate(service, file, owner).map(Some)
}

fn write_candidate(service: &Service, file: &RenderedFile, owner: Owner) -> io::Result<StagedFile> {
    remove_if_there(&file.candidate)?;
    let staged = StagedFile {
        service: service.name.clone(),
        candidate: file.candidate.clone(),
        path: file.path.clone(),
        validate: file.validate.clone(),
    };
    let written = fill_candidate(file, owner);
    // On a full disk it would only hold the room that others want.
    written.inspect_err(|_| discard(std::slice::from_ref(&staged)))?;
    Ok(staged)
}

fn fill_candidate(file: &RenderedFile, owner: Owner) -> io::Result<()> {
    let mut candidate = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file.candidate)?;
    candidate.write_all(file.content.as_bytes())?;
    set_owner_and_mode(&candidate, owner, file.mode)?;
    candidate.sync_all()
}

type Owner = Option<(Uid, Gid)>;

/// Who shall own it; nobody but ourselves unless we are root.
fn owner(service: &Service, user: Option<&str>, group: Option<&str>) -> io::Result<Owner> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let user = user.or(service.user.as_deref());
    let group = group.or(service.group.as_deref());
    let missing = |what: &str, name: &str| io::Error::other(format!("there is no {what} '{name}'"));
    let user = match user {
        Some(name) => Some(User::from_name(name)?.ok_or_else(|| missing("user", name))?),
        None => None,
    };
    let gid = match (group, &user) {
        (Some(name), _) => {
            Group::from_name(name)?
                .ok_or_else(|| missing("group", name))?
                .gid
        }
        (None, Some(user)) => user.gid,
        (None, None) => Gid::from_raw(0),
    };
    Ok(Some((user.map_or(Uid::from_raw(0), |user| user.uid), gid)))
}

fn set_owner_and_mode(opened: &File, owner: Owner, mode: u32) -> io::Result<()> {
    let now = opened.metadata()?;
    if let Some((uid, gid)) = owner
        && (now.uid(), now.gid()) != (uid.as_raw(), gid.as_raw())
    {
        fchown(opened, Some(uid), Some(gid))?;
    }
    // After the owner, for a change of owner clears set-id bits.
    if now.mode() & 0o7777 != mode {
        opened.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}
