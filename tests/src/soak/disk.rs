//! A small disk for state and logs, which can be filled.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Room for the log lines of a soak.
const SIZE: &str = "size=512m,mode=755";
/// Of the file that fills it.
const BLOCK_BYTES: usize = 1 << 20;

/// A file system in memory. It is gone with this value.
#[derive(Debug)]
pub(super) struct Disk(PathBuf);

impl Disk {
    /// Mounts it; only root may.
    pub(super) fn mount(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let kind = Some("tmpfs");
        mount(kind, path, kind, MsFlags::empty(), Some(SIZE))?;
        Ok(Self(path.to_owned()))
    }

    /// Leaves no byte free, for now: rotation and deletion of others make room again.
    pub(super) fn fill(&self) {
        let Ok(mut file) = File::create(self.filling()) else {
            return;
        };
        let mut size = BLOCK_BYTES;
        let block = vec![b'x'; size];
        while size > 0 {
            if file.write_all(&block[..size]).is_err() {
                size /= 2;
            }
        }
    }

    /// There is room again.
    pub(super) fn clear(&self) {
        let _ = fs::remove_file(self.filling());
    }

    fn filling(&self) -> PathBuf {
        self.0.join("filling")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}
