//! CPU time, memory and processes of services at one moment.
//!
//! The processes of a service are those in its cgroup; without a cgroup, those that
//! `process_table.rs` finds.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::time::{ClockId, clock_gettime};
use proc::Mount;

use super::{Target, process_table::ProcessTable};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The cgroup's, over all runs.
    Group,
    /// The sum over what belongs to this main process.
    Tree(i32),
}

/// Usage of one service at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct UsageSample {
    pub(super) source: Source,
    pub(super) cpu: Duration,
    pub(super) memory_bytes: u64,
    pub(super) processes: u32,
    pub(super) started: Option<f64>,
}

/// Processes of each of these services.
pub(crate) fn processes(targets: &[Target], keeper: i32) -> BTreeMap<String, Vec<i32>> {
    let mount = Mount::find();
    let mut all = BTreeMap::new();
    let mut without: Vec<&Target> = Vec::new();
    for target in targets {
        match mount.as_ref().and_then(|mount| group_of(mount, target.pid)) {
            Some(group) => drop(all.insert(target.name.clone(), proc::members(&group))),
            None => without.push(target),
        }
    }
    if !without.is_empty() {
        let names = without.iter().map(|it| it.name.clone());
        all.extend(names.zip(ProcessTable::read().trees(&without, keeper)));
    }
    all
}

/// Looks at each of these services. A service without a process is left out.
pub(super) fn look(targets: &[Target], keeper: i32) -> BTreeMap<String, UsageSample> {
    let mount = Mount::find();
    let mut looks = BTreeMap::new();
    let mut without: Vec<&Target> = Vec::new();
    for target in targets {
        let group = mount.as_ref().and_then(|mount| group_of(mount, target.pid));
        match group.and_then(|dir| Some((proc::cpu_time(&dir)?, proc::members(&dir)))) {
            Some((cpu, pids)) => {
                let look = UsageSample::of(target, Source::Group, cpu, &pids);
                looks.insert(target.name.clone(), look);
            }
            None => without.push(target),
        }
    }
    if without.is_empty() {
        return looks;
    }
    let table = ProcessTable::read();
    for (target, pids) in without.iter().zip(table.trees(&without, keeper)) {
        let cpu = proc::ticks(table.ticks(&pids));
        let look = UsageSample::of(target, Source::Tree(target.pid), cpu, &pids);
        if look.processes > 0 {
            looks.insert(target.name.clone(), look);
        }
    }
    looks
}

impl UsageSample {
    fn of(target: &Target, source: Source, cpu: Duration, pids: &[i32]) -> Self {
        let (memory_bytes, processes) = memory_of(pids);
        Self {
            source,
            cpu,
            memory_bytes,
            processes,
            started: started(target.pid),
        }
    }
}

/// The directory of the service's group that this process is in; none: the service has no group of
/// its own.
fn group_of(mount: &Mount, pid: i32) -> Option<PathBuf> {
    mount.directory(service_group(&proc::cgroup(pid)?)?)
}

/// The part of a group's path that ends with the service: a program may make groups below that.
fn service_group(shown: &str) -> Option<&str> {
    const BASE: &str = "/mattervisor-";
    let base = shown.find(BASE)? + BASE.len();
    let name = base + shown[base..].find('/')? + 1;
    let end = shown[name..]
        .find('/')
        .map_or(shown.len(), |end| name + end);
    Some(&shown[..end])
}

/// When a process started, in seconds of the Unix epoch.
fn started(pid: i32) -> Option<f64> {
    let up = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let after_boot = proc::ticks(proc::stat(pid)?.start);
    let started = (now + after_boot).saturating_sub(Duration::from(up));
    // No finer than the clocks agree, so that each look gives the same.
    Some((started.as_secs_f64() * 10.0).round() / 10.0)
}

/// Memory of these together, and how many of them there are.
fn memory_of(pids: &[i32]) -> (u64, u32) {
    let mut largest_shared = 0;
    let mut sum = 0;
    let mut count = 0;
    for memory in pids.iter().filter_map(|pid| proc::memory(*pid)) {
        sum += memory.own;
        largest_shared = largest_shared.max(memory.shared);
        count += 1;
    }
    (sum + largest_shared, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_service_ends_with_its_name() {
        let shown = "/system.slice/mattervisor-0a1b/postgresql/deeper/still";
        let group = service_group(shown);
        assert_eq!(group, Some("/system.slice/mattervisor-0a1b/postgresql"));
        let own = service_group("/mattervisor-0a1b/nginx");
        assert_eq!(own, Some("/mattervisor-0a1b/nginx"));
        assert_eq!(service_group("/mattervisor-0a1b"), None);
        assert_eq!(service_group("/user.slice"), None);
    }
}
