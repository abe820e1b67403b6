//! Every process there is, at one moment: what belongs to services that have no cgroup.
//!
//! To a service belongs what descends from its main process, what is in the session or process
//! group of that, and what was reparented to the keeper and has the same pipe as its standard
//! output.

use std::collections::{BTreeMap, BTreeSet};

use proc::Stat;

use super::Target;

/// Every process there is, at one moment.
#[derive(Debug)]
pub(super) struct ProcessTable {
    processes: BTreeMap<i32, Stat>,
    children: BTreeMap<i32, Vec<i32>>,
}

impl ProcessTable {
    /// Reads the stat of each.
    pub(super) fn read() -> Self {
        let pids = proc::all().into_iter();
        let processes: BTreeMap<i32, Stat> = pids
            .filter_map(|pid| Some((pid, proc::stat(pid)?)))
            .collect();
        let mut children = BTreeMap::<i32, Vec<i32>>::new();
        for (pid, process) in &processes {
            children.entry(process.parent).or_default().push(*pid);
        }
        Self {
            processes,
            children,
        }
    }

    /// CPU time of these and of the children that they have reaped, in [`proc::ticks`].
    pub(super) fn ticks(&self, pids: &[i32]) -> u64 {
        let stats = pids.iter().filter_map(|pid| self.processes.get(pid));
        stats.map(|it| it.own_ticks + it.reaped_ticks).sum()
    }

    /// Processes of each of these services, in the order of `targets`.
    pub(super) fn trees(&self, targets: &[&Target], keeper: i32) -> Vec<Vec<i32>> {
        let by_main = targets.iter().enumerate();
        let by_main: BTreeMap<i32, usize> = by_main.map(|(at, it)| (it.pid, at)).collect();
        let mut trees: Vec<Vec<i32>> = vec![Vec::new(); targets.len()];
        let mut taken = BTreeSet::new();
        let marked = self.processes.iter().filter_map(|(pid, it)| {
            let of = by_main.get(pid).or_else(|| by_main.get(&it.session));
            Some((*pid, *of.or_else(|| by_main.get(&it.group))?))
        });
        for (pid, of) in marked.collect::<Vec<_>>() {
            self.descend(pid, &mut taken, &mut trees[of]);
        }
        let children = self.children.get(&keeper).into_iter().flatten();
        let orphans: Vec<i32> = children.copied().filter(|it| !taken.contains(it)).collect();
        if orphans.len() > 1 {
            // One child of the keeper is the control process. Only strays are worth the looks at
            // their descriptors.
            let outputs = targets.iter().enumerate();
            let outputs: BTreeMap<u64, usize> = outputs
                .filter_map(|(at, it)| Some((proc::output_pipe(it.pid)?, at)))
                .collect();
            for pid in orphans {
                if let Some(of) = proc::output_pipe(pid).and_then(|it| outputs.get(&it)) {
                    self.descend(pid, &mut taken, &mut trees[*of]);
                }
            }
        }
        trees
    }

    fn descend(&self, from: i32, taken: &mut BTreeSet<i32>, tree: &mut Vec<i32>) {
        let mut next = vec![from];
        while let Some(pid) = next.pop() {
            if taken.insert(pid) {
                tree.push(pid);
                next.extend(self.children.get(&pid).into_iter().flatten());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_who_descends_or_shares_the_session() {
        let process = |parent, group, session| Stat {
            state: b'S',
            parent,
            group,
            session,
            exiting: false,
            own_ticks: 1,
            reaped_ticks: 0,
            start: 0,
        };
        let processes = BTreeMap::from([
            (10, process(1, 10, 10)),
            (20, process(10, 20, 20)),
            (21, process(20, 21, 21)),
            (22, process(10, 20, 20)),
            (30, process(10, 30, 30)),
            (31, process(30, 31, 31)),
        ]);
        let mut children = BTreeMap::<i32, Vec<i32>>::new();
        for (pid, process) in &processes {
            children.entry(process.parent).or_default().push(*pid);
        }
        let table = ProcessTable {
            processes,
            children,
        };
        let target = |name: &str, pid| Target {
            name: name.to_owned(),
            pid,
        };
        let (a, b) = (target("a", 20), target("b", 30));
        let mut trees = table.trees(&[&a, &b], 10);
        for tree in &mut trees {
            tree.sort_unstable();
        }
        assert_eq!(trees, [vec![20, 21, 22], vec![30, 31]]);
    }
}
