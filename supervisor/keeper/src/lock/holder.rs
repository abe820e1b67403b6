//! Who has a lock file open whose path does not lead to it any more: as `/proc/PID/fd` shows it.
//!
//! The text of such a link is the path by which the file was opened, with ` (deleted)` behind it,
//! as seen from where that process is: in a container it may be the same text for another file. So
//! a deleted lock counts only if it lies on the file system of ours and its holder is root or our
//! own user.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use crate::proc;

/// What the kernel puts behind the path of a file that has no name any more.
const DELETED: &str = " (deleted)";

/// The path of an open file, as others see it there.
pub(super) fn path_of(file: &File) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The process has one of these files open, or one that had this path.
pub(super) fn has_open(pid: i32, files: &[PathBuf]) -> bool {
    links(pid).any(|(_, target)| {
        let target = target.to_string_lossy();
        let named = target.strip_suffix(DELETED).unwrap_or(&target);
        files.iter().any(|file| file == Path::new(named))
    })
}

/// A process that holds a deleted file of one of these paths, on the file system of `ours`. Of
/// several (a keeper and its control process have the same files), the one that is nobody's child
/// among them.
pub(super) fn of_deleted(files: &[PathBuf], ours: &File) -> Option<i32> {
    let device = ours.metadata().ok()?.dev();
    let holds = |pid: i32| {
        links(pid).any(|(link, target)| {
            let target = target.to_string_lossy();
            let named = target.strip_suffix(DELETED).map(Path::new);
            let is_one = named.is_some_and(|named| files.iter().any(|file| file == named));
            is_one && fs::metadata(link).is_ok_and(|meta| meta.dev() == device)
        })
    };
    let own = i32::try_from(std::process::id()).ok()?;
    let all = proc::all().into_iter();
    let holders: Vec<i32> = all
        .filter(|pid| *pid != own && is_trusted(*pid) && holds(*pid))
        .collect();
    let parent = |pid: i32| proc::stat(pid).map_or(0, |stat| stat.parent);
    let mut first = holders
        .iter()
        .filter(|pid| !holders.contains(&parent(**pid)));
    first.next().copied()
}

fn is_trusted(pid: i32) -> bool {
    let owner = fs::metadata(format!("/proc/{pid}")).map(|meta| meta.uid());
    owner.is_ok_and(|uid| uid == 0 || uid == geteuid().as_raw())
}

/// Open files of a process: the link in /proc, and its text.
fn links(pid: i32) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let links = entries.flatten().map(|entry| entry.path());
    links.filter_map(|link| Some((link.clone(), fs::read_link(link).ok()?)))
}
