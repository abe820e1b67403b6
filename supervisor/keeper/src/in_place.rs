//! Whether a file that the keeper holds open is still at its path. When descriptors or memory are
//! short, the check is impossible; then the file counts as in place.

use std::{ffi::OsStr, io, os::unix::fs::MetadataExt, path::Path};

use nix::errno::Errno;
use safe_path::Dir;

/// Whether the name in this directory leads to the file of this device and inode.
pub(crate) fn leads_to(dir: &Path, name: &OsStr, file: (u64, u64)) -> bool {
    match Dir::open(dir).and_then(|dir| dir.stat(name)) {
        Ok(there) => there.is_some_and(|there| (there.dev(), there.ino()) == file),
        Err(error) => is_blind(&error),
    }
}

/// Whether the error says nothing about the file: descriptors or memory are short.
pub(crate) fn is_blind(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_looked_for_is_not_taken_for_gone() {
        let dir = tempfile::tempdir().unwrap();
        let name = OsStr::new("lock");
        assert!(!leads_to(dir.path(), name, (0, 0)));
        assert!(!leads_to(&dir.path().join("none"), name, (0, 0)));
        let file = std::fs::File::create(dir.path().join(name)).unwrap();
        let meta = file.metadata().unwrap();
        assert!(leads_to(dir.path(), name, (meta.dev(), meta.ino())));
        let error = |errno: Errno| io::Error::from(errno);
        assert!(is_blind(&error(Errno::EMFILE)));
        assert!(!is_blind(&error(Errno::ENOENT)));
    }
}
