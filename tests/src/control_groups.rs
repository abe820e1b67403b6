//! The control groups that a supervisor makes for itself and its services.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The daemon's own group in the unified hierarchy, if it has made itself one.
pub(crate) fn control_group(pid: i32) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own = path
        .split('/')
        .position(|part| part.starts_with("mattervisor-"))?;
    let parts: Vec<&str> = path.split('/').take(own + 1).collect();
    let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    let candidates = mounts.map(|mount| Path::new(mount).join(parts.join("/")));
    candidates.into_iter().find(|path| path.is_dir())
}

/// Removes groups from the leaves up; a group that is not empty stays.
pub(crate) fn remove_groups(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = fs::remove_dir(path);
}
