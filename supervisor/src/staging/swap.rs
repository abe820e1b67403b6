//! Candidates take the places of files and directories get their modes, all of them or none. What
//! lies in an account's own directory is apart: that account can make any such step fail, and fails
//! by it alone.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use safe_path::Dir;

use super::place::{self, Place};
use crate::staging::{Broken, StagedDirectory, StagedFile};

/// The way back, until it is forgotten.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Undo {
    done: Vec<Done>,
    /// Directories that had another mode.
    modes: Vec<StagedDirectory>,
    /// Services that did not get a file into their own account's directory, and why.
    pub(crate) spoiled: BTreeMap<String, Broken>,
}

/// A file that has been put in place.
#[derive(Debug)]
struct Done {
    dir: Dir,
    name: OsString,
    /// Name of the old file; `None`: there was none.
    old: Option<OsString>,
}

/// Puts candidates in place, each atomically, and changes modes. Where one fails, those before it
/// are put back, and the candidates are gone.
pub(crate) fn swap(files: &[StagedFile], modes: &[StagedDirectory]) -> io::Result<Undo> {
    let mut undo = Undo::default();
    for file in files {
        let Err((error, own)) = undo.put(file) else {
            continue;
        };
        if own {
            super::discard(std::slice::from_ref(file), &[]);
        }
        if let Err(error) = undo.spoil(&file.service, &file.path, &error, own) {
            undo.back();
            super::discard(files, &[]);
            return Err(error);
        }
    }
    for directory in modes {
        let Err((error, own)) = undo.set_mode(directory) else {
            continue;
        };
        if let Err(error) = undo.spoil(&directory.service, &directory.path, &error, own) {
            undo.back();
            return Err(error);
        }
    }
    Ok(undo)
}

/// Like [`swap`], one file or directory at a time: a failure is logged, and affects one service
/// alone.
pub(crate) fn swap_each(files: &[StagedFile], modes: &[StagedDirectory]) {
    let files = files.iter();
    let files = files.map(|file| (&file.service, swap(std::slice::from_ref(file), &[])));
    let modes = modes.iter();
    let modes = modes.map(|it| (&it.service, swap(&[], std::slice::from_ref(it))));
    for (service, swapped) in files.chain(modes) {
        let why = match swapped {
            Ok(undo) => undo.forget().into_values().next().map(|it| it.why),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            tracing::error!(service, "cannot put in place: {why}");
        }
    }
}

impl Undo {
    /// An error comes with whether it came about in an account's own directory.
    fn put(&mut self, file: &StagedFile) -> Result<(), (io::Error, bool)> {
        let place = Place::find(file).map_err(|error| {
            let foreign = file.path.parent().and_then(safe_path::foreign_owner);
            (error, foreign.is_some())
        })?;
        let own = place.dir.is_foreign();
        self.put_at(place).map_err(|error| (error, own))
    }

    fn put_at(&mut self, place: Place) -> io::Result<()> {
        let Place {
            dir,
            name,
            candidate,
        } = place;
        // Beside the candidate, so on the same file system.
        let mut old = candidate.clone();
        old.push(".old");
        dir.remove(&old)?;
        let kept = keep(&dir, &name, &old)?.then_some(old);
        let renamed = dir.rename(&candidate, &name);
        let done = Done {
            dir,
            name,
            old: kept,
        };
        if let Err(error) = renamed {
            done.forget();
            return Err(error);
        }
        self.done.push(done);
        Ok(())
    }

    /// Notes what one service's own account is to blame for; an error: nobody's account is.
    fn spoil(
        &mut self,
        service: &str,
        path: &Path,
        error: &io::Error,
        own: bool,
    ) -> io::Result<()> {
        let why = format!("{}: {error}", path.display());
        if !own {
            return Err(io::Error::new(error.kind(), why));
        }
        let own = Some(path.to_owned());
        let broken = Broken { why, own };
        self.spoiled.insert(service.to_owned(), broken);
        Ok(())
    }

    /// An error comes with whether it came about in an account's own directory.
    fn set_mode(&mut self, it: &StagedDirectory) -> Result<(), (io::Error, bool)> {
        let foreign = it.path.parent().and_then(safe_path::foreign_owner);
        let had = mode(it, it.mode).map_err(|error| (error, foreign.is_some()))?;
        self.modes.push(StagedDirectory {
            mode: had,
            ..it.clone()
        });
        Ok(())
    }

    /// Everything as it was.
    pub(crate) fn back(self) {
        for it in self.modes.iter().rev() {
            if let Err(error) = mode(it, it.mode) {
                tracing::error!("cannot put the mode of {} back: {error}", it.path.display());
            }
        }
        for done in self.done.into_iter().rev() {
            done.back();
        }
    }

    /// The old files go; who did not get theirs is told.
    pub(crate) fn forget(self) -> BTreeMap<String, Broken> {
        for done in &self.done {
            done.forget();
        }
        self.spoiled
    }
}

/// Gives a directory this mode; which it had.
fn mode(it: &StagedDirectory, mode: u32) -> io::Result<u32> {
    let (dir, name) = place::parent(&it.path, it.user.as_deref())?;
    let now = dir.stat(name)?.ok_or(io::ErrorKind::NotFound)?;
    dir.settle_dir(name, Some(safe_path::owner_of(&now)), mode)?;
    Ok(now.mode() & 0o7777)
}

/// Gives what is in a file's place a second name, so that the file is never missing. False: there
/// is nothing. An account may not link what is not its own; in its directory that is moved.
fn keep(dir: &Dir, name: &OsStr, old: &OsStr) -> io::Result<bool> {
    match dir.link(name, old) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && dir.is_foreign() => {
            if dir.stat(name)?.is_some_and(|now| now.is_dir()) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            dir.rename(name, old).map(|()| true)
        }
        Err(error) => Err(error),
    }
}

impl Done {
    fn back(self) {
        let back = match &self.old {
            Some(old) => self.dir.rename(old, &self.name),
            None => self.dir.remove(&self.name).map(drop),
        };
        if let Err(error) = back {
            let path = self.dir.path().join(&self.name);
            tracing::error!("cannot put {} back: {error}", path.display());
        }
    }

    fn forget(&self) {
        let Some(old) = &self.old else { return };
        if let Err(error) = self.dir.remove(old) {
            let path = self.dir.path().join(old);
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    }
}
