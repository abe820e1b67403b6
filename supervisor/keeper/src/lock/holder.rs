//! Finds the process that has a lock file open whose path no longer leads to the file.
//!
//! In a container, the kernel may show the same path for a file of another file system. So a
//! deleted lock counts only if it lies on the file system of the present lock and its holder is
//! root or the user of this process.

use std::{fs::File, os::unix::fs::MetadataExt, path::PathBuf};

use nix::unistd::geteuid;

/// A process that holds a deleted file of one of these paths, on the file system of `ours`. Of
/// several holders (a keeper and its control process have the same files), the one whose parent is
/// not a holder.
pub(super) fn of_deleted(files: &[PathBuf], ours: &File) -> Option<i32> {
    let device = ours.metadata().ok()?.dev();
    let own = i32::try_from(std::process::id()).ok()?;
    let holds =
        |pid: &i32| *pid != own && is_trusted(*pid) && proc::has_open_deleted(*pid, files, device);
    let holders: Vec<i32> = proc::all().into_iter().filter(holds).collect();
    let parent = |pid: i32| proc::stat(pid).map_or(0, |stat| stat.parent);
    let mut first = holders
        .iter()
        .filter(|pid| !holders.contains(&parent(**pid)));
    first.next().copied()
}

fn is_trusted(pid: i32) -> bool {
    proc::owner(pid).is_some_and(|uid| uid == 0 || uid == geteuid().as_raw())
}
