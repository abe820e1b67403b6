//! Reading /proc: who is whose child, in which session, with which standard output.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::Path,
};

use crate::message::Exit;

/// Holds all of `/proc/PID/stat` that is of interest, so that one read, which the kernel does not
/// cut short, is enough.
pub(crate) const STAT_BYTES: usize = 1024;

/// What the keeper wants of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// One letter; `Z` is a zombie.
    pub(crate) state: u8,
    /// Parent.
    pub(crate) parent: i32,
    /// Process group.
    pub(crate) group: i32,
    /// Session.
    pub(crate) session: i32,
    /// The process has begun to exit, and to give up what it holds.
    pub(crate) exiting: bool,
    /// Start time in ticks since boot: with the pid and the boot id it names one process for ever.
    pub(crate) start: u64,
}

/// `PF_EXITING` of the kernel's flags of a process.
const EXITING: u32 = 4;

/// The name of a process. Unlike its arguments and environment it can be read of one that hangs.
pub(crate) fn name(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    text.trim_end().to_owned()
}

/// The stat of a process; `None` if there is no such process.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    let mut bytes = [0; STAT_BYTES];
    let mut file = File::open(format!("/proc/{pid}/stat")).ok()?;
    let read = file.read(&mut bytes).ok()?;
    parse_stat(&bytes[..read])
}

/// What a read of `/proc/PID/stat` brought. Allocates nothing.
pub(crate) fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    // The name in parentheses may hold anything, also parentheses.
    let end = bytes.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(bytes.get(end + 1..)?).ok()?;
    let mut fields = text.split_ascii_whitespace();
    Some(Stat {
        state: *fields.next()?.as_bytes().first()?,
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        session: fields.next()?.parse().ok()?,
        exiting: fields.nth(2)?.parse::<u32>().ok()? & EXITING != 0,
        start: fields.nth(12)?.parse().ok()?,
    })
}

/// How a process ended that its own parent has not reaped yet; the kernel tells it only to those
/// who may trace the process.
pub(crate) fn exit_of_zombie(pid: i32) -> Option<Exit> {
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = bytes.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(bytes.get(end + 1..)?).ok()?;
    // The 52nd field of all, a wait status.
    let status: i32 = text.split_ascii_whitespace().nth(49)?.parse().ok()?;
    Some(match status & 0x7f {
        0 => Exit::Code(status >> 8 & 0xff),
        signal => Exit::Signal(signal),
    })
}

/// The process has this pipe as its standard output or error.
pub(crate) fn holds_pipe(pid: i32, inode: u64) -> bool {
    let wanted = format!("pipe:[{inode}]");
    [1, 2].into_iter().any(|fd| {
        let target = fs::read_link(format!("/proc/{pid}/fd/{fd}"));
        target.is_ok_and(|target| target == Path::new(&wanted))
    })
}

/// Inodes of the pipes that a process has as its standard output and error.
pub(crate) fn output_pipes(pid: i32) -> impl Iterator<Item = u64> {
    let targets = [1, 2].map(|fd| fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok());
    targets.into_iter().flatten().filter_map(|target| {
        let inode = target.to_str()?.strip_prefix("pipe:[")?;
        inode.strip_suffix(']')?.parse().ok()
    })
}

/// Those of the variables that a process was started with that begin with this, as `NAME=value`.
pub(crate) fn variables(pid: i32, stat: &Stat, begin: &str) -> Vec<String> {
    environ(pid, stat)
        .split(|byte| *byte == 0)
        .filter(|one| one.starts_with(begin.as_bytes()))
        .map(|one| String::from_utf8_lossy(one).into_owned())
        .collect()
}

/// The process was started with this `NAME=value`, and has not written over it.
pub(crate) fn has_variable(pid: i32, stat: &Stat, variable: &str) -> bool {
    environ(pid, stat)
        .split(|byte| *byte == 0)
        .any(|one| one == variable.as_bytes())
}

/// Of a process that hangs in the kernel it is not asked: that may take until it goes on.
fn environ(pid: i32, stat: &Stat) -> Vec<u8> {
    if stat.state == b'D' {
        return Vec::new();
    }
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

/// The process's group in the unified hierarchy, as in `0::/path`.
pub(crate) fn cgroup(pid: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(line.to_owned())
}

/// Random, made anew at every boot.
pub(crate) fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    text.map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// Every process there is.
pub(crate) fn all() -> Vec<i32> {
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
pub(crate) struct Family {
    own: i32,
    own_children: Option<Vec<i32>>,
    /// By parent, if the kernel keeps no lists.
    scanned: Option<BTreeMap<i32, Vec<i32>>>,
}

impl Family {
    /// A view as of now.
    pub(crate) fn look() -> Self {
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
    pub(crate) fn children(&self, pid: i32) -> Vec<i32> {
        match (&self.scanned, &self.own_children) {
            (Some(by_parent), _) => by_parent.get(&pid).cloned().unwrap_or_default(),
            (None, Some(own)) if pid == self.own => own.clone(),
            (None, _) => listed_children(pid).unwrap_or_default(),
        }
    }

    /// Children, their children and so on, without the process itself.
    pub(crate) fn descendants(&self, pid: i32) -> Vec<i32> {
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
    fn a_name_full_of_traps_is_read() {
        let line = b"42 (a) R 1 (b)) S 7 8 9 0 -1 4194564 1 2 3 4 5 6 7 8 20 0 1 0 12345 999 1\n";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.state, stat.parent), (b'S', 7));
        assert_eq!((stat.group, stat.session, stat.start), (8, 9, 12345));
        assert!(stat.exiting);
    }

    #[test]
    fn this_process_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        let stat = stat(own).unwrap();
        assert!(all().contains(&own) && stat.start > 0);
        assert!(Family::look().children(stat.parent).contains(&own));
    }
}
