//! Limits of the saved trees: what every backup leaves out.

use std::ffi::OsStr;

/// Deepest nesting of directories.
pub(crate) const DEPTH_MAX: usize = 128;
/// Longest file that is saved; a longer one is a mistake, such as a hole without an end.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 40;
/// Prefix of the directories in which a restore keeps files; backups leave them out.
pub(crate) const OURS: &str = ".mattervisor-restore-";

/// Whether a restore made the directory of this name.
pub(crate) fn is_ours(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(OURS.as_bytes())
}
