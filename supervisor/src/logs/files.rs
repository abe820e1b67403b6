//! The files of one log: which there are, and in what order.
//!
//! `current` is renamed when it is rotated, and what was rotated may be compressed under our eyes,
//! so a name that was read from the directory may be gone when it is opened.

use std::{
    io,
    path::{Path, PathBuf},
};

use keeper::log::{COMPRESSED, CURRENT, rotated_at};

use safe_path::Dir;

use super::segment::{Id, Segment, id};

/// Names in a log directory that are looked at.
const NAMES_MAX: usize = 1 << 16;

/// A rotated file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rotated {
    /// Time of the rotation, in microseconds of the Unix epoch.
    pub(super) at: i64,
    /// Its path while it is plain.
    path: PathBuf,
}

impl Rotated {
    /// Opens it in whichever form it is.
    pub(super) fn open(&self) -> io::Result<Segment> {
        match Segment::open(&self.path, self.at, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Segment::open(&self.packed(), self.at, true)
            }
            plain => plain,
        }
    }

    /// Its path once it is compressed.
    pub(super) fn packed(&self) -> PathBuf {
        let mut packed = self.path.clone().into_os_string();
        packed.push(COMPRESSED);
        PathBuf::from(packed)
    }
}

/// The rotated files of a directory, oldest first.
pub(super) fn rotated(dir: &Path) -> Vec<Rotated> {
    let names = Dir::open(dir).and_then(|dir| dir.names(NAMES_MAX));
    let names = names.unwrap_or_default();
    let mut rotated: Vec<_> = names
        .iter()
        .filter_map(|name| {
            let name = name.to_str()?;
            Some(Rotated {
                at: rotated_at(name)?,
                path: dir.join(name.strip_suffix(COMPRESSED).unwrap_or(name)),
            })
        })
        .collect();
    rotated.sort_unstable();
    // Both forms are there while one is being made of the other.
    rotated.dedup();
    rotated
}

/// All files, oldest first, and `current`. Lines that come meanwhile are in one of them.
pub(super) fn all(dir: &Path) -> (Vec<Rotated>, Option<Segment>) {
    // `current` first: if it is rotated after this, it is in the list too, and taken from there.
    let current = Segment::open(&dir.join(CURRENT), 0, false).ok();
    let rotated = rotated(dir);
    let current = current.and_then(|mut current| {
        current.after = rotated.last().map_or(0, |it| it.at);
        let listed = |at| rotated.iter().any(|it| it.at == at);
        (!current.rotated().is_some_and(listed)).then_some(current)
    });
    (rotated, current)
}

/// The oldest file.
pub(super) fn first(dir: &Path) -> Option<Segment> {
    let (rotated, current) = all(dir);
    rotated.iter().find_map(|it| it.open().ok()).or(current)
}

/// The file that was begun after this one, or `None` while this is the newest. The flag says that
/// files between the two are gone.
pub(super) fn next(segment: &Segment, dir: &Path) -> Option<(Segment, bool)> {
    if id_of(&dir.join(CURRENT)) == Some(segment.id) {
        return None;
    }
    let current = Segment::open(&dir.join(CURRENT), 0, false).ok();
    let rotated = rotated(dir);
    let at = segment.rotated();
    let after = at.unwrap_or(segment.after);
    // Gone itself while others came: those before the first that is left may have gone too.
    let mut gap = !at.is_some_and(|at| rotated.iter().any(|it| it.at == at));
    for it in rotated.iter().filter(|it| it.at > after) {
        match it.open() {
            Ok(next) if next.id == segment.id => {}
            Ok(next) => return Some((next, gap)),
            // Deleted by a rotation just now.
            Err(_) => gap = true,
        }
    }
    let mut current = current.filter(|current| current.id != segment.id)?;
    current.after = rotated.last().map_or(0, |it| it.at);
    Some((current, false))
}

fn id_of(path: &Path) -> Option<Id> {
    safe_path::stat(path).ok()?.map(|meta| id(&meta))
}
