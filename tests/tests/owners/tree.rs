//! Snapshots of directories: owner, mode and content of each file.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Owner, group and mode.
pub(super) type Rights = (u32, u32, u32);
/// Rights, inode and content.
pub(super) type File = (Rights, u64, Vec<u8>);

/// Each path below a directory for which `look` gives a value, with that value.
pub(super) fn tree<T>(dir: &Path, look: &dyn Fn(&Path) -> Option<T>) -> BTreeMap<PathBuf, T> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            all.extend(tree(&path, look));
        }
        if let Some(seen) = look(&path) {
            all.insert(path, seen);
        }
    }
    all
}

pub(super) fn rights(path: &Path) -> Option<Rights> {
    let now = fs::symlink_metadata(path).ok()?;
    Some((now.uid(), now.gid(), now.mode()))
}

/// Rights, inode and content of a file, unless the database or the supervisor writes it by itself.
pub(super) fn file(path: &Path) -> Option<File> {
    let text = path.display().to_string();
    let own = [
        "/data/",
        "/runs/",
        "/notify",
        "/changes/",
        "-status/",
        ".pid",
        "lock",
        ".json",
    ];
    let kept = fs::symlink_metadata(path).is_ok_and(|now| now.is_file());
    if !kept || own.iter().any(|it| text.contains(it)) {
        return None;
    }
    Some((
        rights(path)?,
        fs::metadata(path).ok()?.ino(),
        fs::read(path).ok()?,
    ))
}

/// Fails with the file that has changed, its old and its new state.
pub(super) fn assert_same(now: &BTreeMap<PathBuf, File>, before: &BTreeMap<PathBuf, File>) {
    let words = |file: Option<&File>| {
        file.map(|(rights, inode, content)| {
            (
                *rights,
                *inode,
                String::from_utf8_lossy(content).into_owned(),
            )
        })
    };
    for path in now.keys().chain(before.keys()) {
        let (now, before) = (words(now.get(path)), words(before.get(path)));
        assert_eq!(now, before, "{}", path.display());
    }
}
