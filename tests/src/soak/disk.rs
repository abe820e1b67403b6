//! A file system for state and logs that a move can fill.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::statvfs::statvfs,
};

/// Room for the logs of a soak, in bytes. Memory is taken only for what is used.
const ROOM: u64 = 4 << 30;

/// A file system in memory; unmounted when this value is dropped.
#[derive(Debug)]
pub(super) struct Disk(PathBuf);

impl Disk {
    /// Mounts the file system; needs root.
    pub(super) fn mount(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let disk = Self(path.to_owned());
        disk.set(MsFlags::empty(), ROOM)?;
        Ok(disk)
    }

    /// Leaves no byte free. A writer that deletes a file makes room again.
    pub(super) fn fill(&self) -> io::Result<()> {
        loop {
            let now = statvfs(&self.0)?;
            let used = (now.blocks() - now.blocks_free()) * now.fragment_size();
            match self.set(MsFlags::MS_REMOUNT, used) {
                // The usage has grown since `statvfs`: try again.
                Err(Errno::EINVAL) => {}
                other => return Ok(other?),
            }
        }
    }

    /// Gives the file system its whole room again.
    pub(super) fn clear(&self) -> io::Result<()> {
        Ok(self.set(MsFlags::MS_REMOUNT, ROOM)?)
    }

    fn set(&self, flags: MsFlags, bytes: u64) -> nix::Result<()> {
        let kind = Some("tmpfs");
        let options = format!("size={bytes},mode=755");
        mount(kind, &self.0, kind, flags, Some(options.as_str()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}
