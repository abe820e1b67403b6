//! Finds living processes of an earlier keeper's runs: by the cgroup, by the record of the run (its
//! first process, the session and group of that process, the log pipe, the cookie in the
//! environment), and by descent from any of these.
//!
//! A process that has left all of these, and whose parent has too, cannot be told from others and
//! is left alone.

use proc::Stat;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    cgroup::Cgroups,
    message::{Role, RunId},
    record::{Record, Records},
    traces::{Traces, group_of, living},
};

/// Records and groups of an earlier keeper's runs.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    pub(super) records: Vec<Record>,
    /// Directories of groups, each with its service or helper.
    groups: BTreeMap<PathBuf, Owner>,
}

/// Owner of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    service: String,
    role: Role,
}

/// Runs that have a record, and groups, for the next image of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedEarlier {
    runs: Vec<RunId>,
    groups: BTreeMap<PathBuf, Owner>,
}

/// A living leftover.
#[derive(Clone, Debug)]
pub(super) struct Left {
    pub(super) stat: Stat,
    pub(super) service: String,
    pub(super) role: Role,
}

impl Earlier {
    /// Built from these records, and from the groups in the place where this keeper has its own.
    pub(super) fn new(records: Vec<Record>, cgroups: Option<&Cgroups>) -> Self {
        let existing = cgroups.map(Cgroups::existing).unwrap_or_default();
        let mut groups: BTreeMap<PathBuf, Owner> = existing
            .into_iter()
            .map(|dir| {
                let service = dir.file_name().unwrap_or_default().to_string_lossy();
                let service = service
                    .strip_suffix(".service")
                    .unwrap_or(&service)
                    .to_owned();
                let role = Role::Main;
                (dir, Owner { service, role })
            })
            .collect();
        for record in &records {
            if let Some(dir) = group_of(record) {
                groups.insert(dir.to_owned(), Owner::of(record));
            }
        }
        Self { records, groups }
    }

    /// For the next image of this process.
    pub(super) fn saved(&self) -> SavedEarlier {
        SavedEarlier {
            runs: self.runs().collect(),
            groups: self.groups.clone(),
        }
    }

    /// As an earlier image of this process had them.
    pub(super) fn resume(saved: SavedEarlier, files: &Records) -> Self {
        let records = saved.runs.into_iter();
        Self {
            records: records.filter_map(|run| files.one(run)).collect(),
            groups: saved.groups,
        }
    }

    /// Directories of groups.
    pub(super) fn groups(&self) -> impl Iterator<Item = &Path> {
        self.groups.keys().map(PathBuf::as_path)
    }

    /// Runs that have a record.
    pub(super) fn runs(&self) -> impl Iterator<Item = RunId> + '_ {
        self.records.iter().map(|record| record.run)
    }

    /// Services that the records and groups belong to.
    pub(super) fn services(&self) -> BTreeSet<String> {
        let records = self.records.iter().map(|it| &it.service);
        let groups = self.groups.values().map(|it| &it.service);
        records.chain(groups).cloned().collect()
    }

    /// Forgets all but these services.
    pub(super) fn keep(&mut self, services: &BTreeSet<String>) {
        self.records.retain(|it| services.contains(&it.service));
        self.groups.retain(|_, it| services.contains(&it.service));
    }

    /// Forgets a service; returns the runs that it had a record of.
    pub(super) fn forget(&mut self, service: &str) -> Vec<RunId> {
        let (theirs, others) = std::mem::take(&mut self.records)
            .into_iter()
            .partition(|it| it.service == service);
        self.records = others;
        self.groups.retain(|_, it| it.service != service);
        let theirs: Vec<Record> = theirs;
        theirs.into_iter().map(|it| it.run).collect()
    }

    /// Whether no record and no group is known, so that nothing can be found.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.groups.is_empty()
    }

    /// Whether processes of this service may be left.
    pub(super) fn knows(&self, service: &str) -> bool {
        let mut recorded = self.records.iter().map(|it| &it.service);
        let mut grouped = self.groups.values().map(|it| &it.service);
        recorded.any(|it| it == service) || grouped.any(|it| it == service)
    }

    /// Living leftovers, by pid.
    pub(super) fn find(&self) -> BTreeMap<i32, Left> {
        let mut found = BTreeMap::new();
        for (dir, owner) in &self.groups {
            for pid in proc::members(dir) {
                if let Some(stat) = living(pid) {
                    found.insert(pid, owner.left(stat));
                }
            }
        }
        if self.records.is_empty() && found.is_empty() {
            return found;
        }
        let all = proc::all().into_iter();
        let all: BTreeMap<i32, Stat> = all.filter_map(|pid| Some((pid, living(pid)?))).collect();
        for (pid, stat) in &all {
            if !found.contains_key(pid)
                && let Some(record) = self.owner(*pid, stat)
            {
                found.insert(*pid, Owner::of(record).left(*stat));
            }
        }
        add_descendants(&mut found, &all);
        found
    }

    /// The record of the run that a process belongs to.
    fn owner(&self, pid: i32, stat: &Stat) -> Option<&Record> {
        let traces = Traces::of(pid, stat);
        self.records.iter().find(|record| traces.lead_to(record))
    }
}

impl Owner {
    fn of(record: &Record) -> Self {
        Self {
            service: record.service.clone(),
            role: record.role,
        }
    }

    fn left(&self, stat: Stat) -> Left {
        Left {
            stat,
            service: self.service.clone(),
            role: self.role,
        }
    }
}

fn add_descendants(found: &mut BTreeMap<i32, Left>, all: &BTreeMap<i32, Stat>) {
    loop {
        let more: Vec<(i32, Left)> = all
            .iter()
            .filter(|(pid, _)| !found.contains_key(pid))
            .filter_map(|(pid, stat)| {
                let parent = found.get(&stat.parent)?;
                let stat = *stat;
                Some((
                    *pid,
                    Left {
                        stat,
                        ..parent.clone()
                    },
                ))
            })
            .collect();
        if more.is_empty() {
            return;
        }
        found.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(parent: i32) -> Stat {
        Stat {
            exiting: false,
            state: b'S',
            parent,
            group: 0,
            session: 0,
            own_ticks: 0,
            reaped_ticks: 0,
            start: 1,
        }
    }

    #[test]
    fn what_descends_from_a_leftover_is_one_of_the_same_service() {
        let all = BTreeMap::from([(3, stat(4)), (4, stat(5)), (5, stat(1)), (6, stat(1))]);
        let owner = Owner {
            service: "web".into(),
            role: Role::Main,
        };
        let mut found = BTreeMap::from([(5, owner.left(stat(1)))]);
        add_descendants(&mut found, &all);
        let pids: Vec<_> = found.iter().map(|(pid, it)| (*pid, &*it.service)).collect();
        assert_eq!(pids, [(3, "web"), (4, "web"), (5, "web")]);
    }
}
