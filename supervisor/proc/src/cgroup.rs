//! The unified hierarchy of cgroups: where it is mounted, which group a process is in, and what a
//! group tells. Making and emptying groups is the keeper's.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::mounts;

/// Where the unified hierarchy is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The directory that it is mounted on.
    pub point: PathBuf,
    /// The group that is visible there: in a container, not the root of all.
    pub root: PathBuf,
}

impl Mount {
    /// `None`: no unified hierarchy is mounted here.
    pub fn find() -> Option<Self> {
        let mounts = mounts::text().ok()?;
        mounts.lines().find_map(Self::parse)
    }

    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        if right.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = left.split(' ').skip(3);
        let (root, point) = (
            mounts::decode(fields.next()?),
            mounts::decode(fields.next()?),
        );
        Some(Self { point, root })
    }

    /// The directory of a group that `/proc/PID/cgroup` shows by this path; `None`: the group is
    /// not visible here.
    pub fn directory(&self, shown: &str) -> Option<PathBuf> {
        let below = Path::new(shown).strip_prefix(&self.root).ok()?;
        Some(self.point.join(below))
    }
}

/// A process's group in the unified hierarchy, as `/proc/PID/cgroup` shows it: `/path`.
pub fn cgroup(pid: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(line.to_owned())
}

/// Every process in a group and below; none in a group that is gone.
pub fn members(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    // 0: a process of another pid namespace.
    let pids = text.lines().filter_map(|line| line.parse().ok());
    let mut found: Vec<i32> = pids.filter(|pid| *pid > 0).collect();
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(members(&entry.path()));
        }
    }
    found
}

/// CPU time of a group and below, of processes that have ended too.
pub fn cpu_time(group: &Path) -> Option<Duration> {
    let text = fs::read_to_string(group.join("cpu.stat")).ok()?;
    let mut lines = text.lines();
    let usec = lines.find_map(|line| line.strip_prefix("usage_usec "))?;
    usec.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_mount_is_found_on_pure_and_hybrid_hosts() {
        let hybrid = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        let mount = Mount::parse(hybrid).unwrap();
        assert_eq!(mount.point, Path::new("/sys/fs/cgroup/unified"));
        let bind = "41 31 0:38 /a/b /mnt/my\\040group rw shared:4 - cgroup2 cgroup2 rw";
        let mount = Mount::parse(bind).unwrap();
        assert_eq!(mount.point, Path::new("/mnt/my group"));
        assert_eq!(mount.root, Path::new("/a/b"));
        let below = mount.directory("/a/b/c/d").unwrap();
        assert_eq!(below, Path::new("/mnt/my group/c/d"));
        assert_eq!(mount.directory("/a/other"), None);
        let old = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        assert_eq!(Mount::parse(old), None);
    }

    #[test]
    fn a_group_that_is_gone_has_no_members() {
        let gone = Path::new("/nonexistent");
        assert!(members(gone).is_empty() && cpu_time(gone).is_none());
    }
}
