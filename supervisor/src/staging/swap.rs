//! Candidates take the places of files, all of them or none. What lies in an account's own
//! directory is apart: that account can make any such step fail, and fails by it alone.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
};

use safe_path::Dir;

use super::place::Place;
use crate::control::{Broken, StagedFile};

/// The way back, until it is forgotten.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Undo {
    done: Vec<Done>,
    /// Services that did not get a file into their own account's directory, and why.
    pub(crate) spoiled: BTreeMap<String, Broken>,
}

/// A file that has been put in place.
#[derive(Debug)]
struct Done {
    dir: Dir,
    name: OsString,
    /// What the old file is called; none: there was none.
    old: Option<OsString>,
}

/// Puts candidates in place, each atomically. Where one fails, those before it are put back, and
/// the candidates are gone.
pub(crate) fn swap(files: &[StagedFile]) -> io::Result<Undo> {
    let mut undo = Undo::default();
    for file in files {
        let Err((error, own)) = undo.put(file) else {
            continue;
        };
        let why = format!("{}: {error}", file.path.display());
        if own {
            super::discard(std::slice::from_ref(file));
            let own = Some(file.path.clone());
            let broken = Broken { why, own };
            undo.spoiled.insert(file.service.clone(), broken);
        } else {
            undo.back();
            super::discard(files);
            return Err(io::Error::new(error.kind(), why));
        }
    }
    Ok(undo)
}

/// Puts candidates in place as far as that goes: what fails is told, and hurts one service alone.
pub(crate) fn swap_each(files: &[StagedFile]) {
    for file in files {
        let why = match swap(std::slice::from_ref(file)) {
            Ok(undo) => undo.forget().into_values().next().map(|it| it.why),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            tracing::error!(service = file.service, "cannot put a file in place: {why}");
        }
    }
}

impl Undo {
    /// Of an error: whether it came about in an account's own directory.
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

    /// Everything as it was.
    pub(crate) fn back(self) {
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
