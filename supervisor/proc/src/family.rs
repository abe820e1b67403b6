//! Parents and children of processes, and the list of all processes.

use std::{collections::BTreeMap, fs};

use crate::stat;

/// Every process there is.
pub fn all() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect()
}

/// Children of a process, over all its threads; `None` if the kernel keeps no such list
/// (`CONFIG_PROC_CHILDREN`) or the process is gone.
fn listed_children(pid: i32) -> Option<Vec<i32>> {
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = fs::read_to_string(task.path().join("children")).ok()?;
        children.extend(
            text.split_ascii_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    Some(children)
}

/// Who is whose child, as far as asked: lists of the kernel where it keeps them, else one look at
/// every process.
#[derive(Debug)]
pub struct Family {
    own: i32,
    own_children: Option<Vec<i32>>,
    /// By parent, if the kernel keeps no lists.
    scanned: Option<BTreeMap<i32, Vec<i32>>>,
}

impl Family {
    /// A view as of now.
    pub fn look() -> Self {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let own_children = listed_children(own);
        let scanned = own_children.is_none().then(|| {
            let mut by_parent = BTreeMap::<i32, Vec<i32>>::new();
            for pid in all() {
                if let Some(stat) = stat(pid) {
                    by_parent.entry(stat.parent).or_default().push(pid);
                }
            }
            by_parent
        });
        Self {
            own,
            own_children,
            scanned,
        }
    }

    /// Children of a process.
    pub fn children(&self, pid: i32) -> Vec<i32> {
        match (&self.scanned, &self.own_children) {
            (Some(by_parent), _) => by_parent.get(&pid).cloned().unwrap_or_default(),
            (None, Some(own)) if pid == self.own => own.clone(),
            (None, _) => listed_children(pid).unwrap_or_default(),
        }
    }

    /// Children, their children and so on, without the process itself.
    pub fn descendants(&self, pid: i32) -> Vec<i32> {
        let mut found = self.children(pid);
        let mut next = 0;
        while let Some(one) = found.get(next).copied() {
            // A pid that is used again while we look must not lead us in circles.
            let fresh = self
                .children(one)
                .into_iter()
                .filter(|pid| !found.contains(pid));
            let fresh: Vec<i32> = fresh.collect();
            found.extend(fresh);
            next += 1;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        let stat = stat(own).unwrap();
        assert!(all().contains(&own) && stat.start > 0);
        assert!(Family::look().children(stat.parent).contains(&own));
    }
}
