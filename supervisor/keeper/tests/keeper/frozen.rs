//! A process that SIGKILL does not end, like a process that waits for a dead disk.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::libc;

use crate::process::{kill, until};

/// A process in a freezer of cgroups v1. Thawed and ended when this value is dropped.
pub(crate) struct Frozen(PathBuf);

impl Frozen {
    /// `None` if the machine has no such freezer, or this account may not use it.
    pub(crate) fn new(pid: i32) -> Option<Self> {
        let freezer = Path::new("/sys/fs/cgroup/freezer");
        let group = freezer.join(format!("mattervisor-test-{pid}"));
        if !freezer.join("tasks").exists() || fs::create_dir(&group).is_err() {
            skip::note("needs root and the freezer of cgroups v1");
            return None;
        }
        let frozen = Self(group);
        fs::write(frozen.0.join("cgroup.procs"), pid.to_string()).unwrap();
        fs::write(frozen.0.join("freezer.state"), "FROZEN").unwrap();
        let state = || fs::read_to_string(frozen.0.join("freezer.state")).unwrap();
        until(|| (state().trim() == "FROZEN").then_some(()));
        Some(frozen)
    }

    pub(crate) fn thaw(&self) {
        fs::write(self.0.join("freezer.state"), "THAWED").unwrap();
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.thaw();
        let group = self.0.join("cgroup.procs");
        let members = || fs::read_to_string(&group).unwrap_or_default();
        for pid in members().lines().filter_map(|line| line.parse().ok()) {
            kill(pid, libc::SIGKILL);
        }
        until(|| members().is_empty().then_some(()));
        until(|| fs::remove_dir(&self.0).is_ok().then_some(()));
    }
}
