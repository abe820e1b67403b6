//! Candidates take the places of files, all of them or none.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use super::remove_if_there;
use crate::control::StagedFile;

/// The way back, until it is forgotten.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Undo {
    /// What has been put in place, and where the old file lies; none: there was none.
    done: Vec<(PathBuf, Option<PathBuf>)>,
}

/// Puts candidates in place, each atomically. Where one fails, those before it are put back, and
/// the candidates are gone.
pub(crate) fn swap(files: &[StagedFile]) -> io::Result<Undo> {
    let mut undo = Undo::default();
    for file in files {
        if let Err(error) = undo.put(file) {
            undo.back();
            super::discard(files);
            let path = file.path.display();
            return Err(io::Error::new(error.kind(), format!("{path}: {error}")));
        }
    }
    Ok(undo)
}

/// Puts candidates in place as far as that goes: what fails is told, and hurts one service alone.
pub(crate) fn swap_each(files: &[StagedFile]) {
    for file in files {
        match swap(std::slice::from_ref(file)) {
            Ok(undo) => undo.forget(),
            Err(error) => {
                tracing::error!(
                    service = file.service,
                    "cannot put a file in place: {error}"
                );
            }
        }
    }
}

impl Undo {
    fn put(&mut self, file: &StagedFile) -> io::Result<()> {
        let old = old_of(&file.candidate);
        remove_if_there(&old)?;
        // A second name, so that the file is never missing.
        let kept = match fs::hard_link(&file.path, &old) {
            Ok(()) => Some(old),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let renamed = fs::rename(&file.candidate, &file.path);
        if renamed.is_err()
            && let Some(old) = &kept
        {
            remove(old);
        }
        renamed?;
        self.done.push((file.path.clone(), kept));
        Ok(())
    }

    /// Everything as it was.
    pub(crate) fn back(self) {
        for (path, old) in self.done.into_iter().rev() {
            let back = match old {
                Some(old) => fs::rename(old, &path),
                None => remove_if_there(&path),
            };
            if let Err(error) = back {
                tracing::error!("cannot put {} back: {error}", path.display());
            }
        }
    }

    /// The old files go.
    pub(crate) fn forget(self) {
        for old in self.done.into_iter().filter_map(|(_, old)| old) {
            remove(&old);
        }
    }
}

fn remove(old: &Path) {
    if let Err(error) = remove_if_there(old) {
        tracing::warn!("cannot remove {}: {error}", old.display());
    }
}

/// Beside the candidate, so on the same file system.
fn old_of(candidate: &Path) -> PathBuf {
    let mut name = OsString::from(candidate.file_name().unwrap_or_default());
    name.push(".old");
    candidate.with_file_name(name)
}
