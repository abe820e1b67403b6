//! A host on which one file has another text: the plan of a file that is not yet written.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::host::machine::Host;

/// The host with one file changed.
pub struct OverlayHost<'a> {
    host: &'a dyn Host,
    path: PathBuf,
    text: String,
}

impl<'a> OverlayHost<'a> {
    /// The host, with this text in the file at `path`, which only its owner can read.
    pub fn new(host: &'a dyn Host, path: &Path, text: String) -> Self {
        let path = path.to_owned();
        Self { host, path, text }
    }
}

impl Host for OverlayHost<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == self.path {
            return Ok(self.text.clone().into_bytes());
        }
        self.host.read(path)
    }

    fn read_guest(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.host.read_guest(path)
    }

    fn word_after(&self, path: &Path, text: &str) -> Option<String> {
        self.host.word_after(path, text)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.host.list(dir)
    }

    fn mode(&self, path: &Path) -> io::Result<(u32, u32)> {
        if path == self.path {
            return Ok((0o600, 0));
        }
        self.host.mode(path)
    }

    fn exists(&self, path: &Path) -> bool {
        path == self.path || self.host.exists(path)
    }

    fn is_link(&self, path: &Path) -> bool {
        self.host.is_link(path)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        self.host.glob(pattern)
    }

    fn unix_seconds(&self) -> i64 {
        self.host.unix_seconds()
    }

    fn uid(&self) -> u32 {
        self.host.uid()
    }

    fn user(&self) -> String {
        self.host.user()
    }

    fn capabilities(&self) -> Vec<String> {
        self.host.capabilities()
    }

    fn cpus(&self) -> u32 {
        self.host.cpus()
    }

    fn memory_bytes(&self) -> u64 {
        self.host.memory_bytes()
    }

    fn program_dir(&self) -> PathBuf {
        self.host.program_dir()
    }
}
