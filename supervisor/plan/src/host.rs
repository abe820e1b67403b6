//! The disk as far as planning may see it.

use std::{
    io,
    path::{Path, PathBuf},
};

/// What planning may ask of the machine. `plan/` has no other way to see it, so that a test can
/// give it a machine of its own.
pub trait Host {
    /// The whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Files of a directory, sorted; an absent directory is an error of kind `NotFound`.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Mode bits and owner of a file.
    fn mode(&self, path: &Path) -> io::Result<(u32, u32)>;
    /// Whether something is there.
    fn exists(&self, path: &Path) -> bool;
    /// Matches of a shell pattern, sorted.
    fn glob(&self, pattern: &str) -> Vec<PathBuf>;
    /// The effective user the supervisor has, or will have.
    fn uid(&self) -> u32;
    /// Number of online processors.
    fn cpus(&self) -> u32;
    /// Physical memory in bytes.
    fn memory_bytes(&self) -> u64;
}
