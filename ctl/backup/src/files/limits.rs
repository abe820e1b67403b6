//! What of a tree is left out of every backup, whatever it holds.

use std::ffi::OsStr;

/// Directories that lie in each other.
pub(crate) const DEPTH_MAX: usize = 128;
/// A longer file is a mistake: a hole without an end.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 40;
/// How the names of directories begin in which a restore keeps files: they are no part of a backup.
pub(crate) const OURS: &str = ".mattervisor-restore-";

/// Whether a directory of this name is a restore's.
pub(crate) fn is_ours(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(OURS.as_bytes())
}
