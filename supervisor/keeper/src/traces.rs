//! Attributes a process to a run by the run's record alone, for callers whose keeper has died.

use proc::Stat;
use std::path::Path;

use crate::{cookie::COOKIE, record::Record};

/// Prefix of the directory of a daemon's groups: no other group is ever emptied.
const GROUPS: &str = "mattervisor-";

/// Traces of one process; looked up once for all records.
#[derive(Debug)]
pub(crate) struct Traces {
    pid: i32,
    stat: Stat,
    /// Inodes of the pipes that are the process's standard output and error.
    pipes: Vec<u64>,
    /// Variables of its environment that name its run.
    pub(crate) cookies: Vec<String>,
}

impl Traces {
    /// Reads the traces of this process.
    pub(crate) fn of(pid: i32, stat: &Stat) -> Self {
        Self {
            pid,
            stat: *stat,
            pipes: proc::output_pipes(pid).collect(),
            cookies: proc::variables(pid, stat, COOKIE),
        }
    }

    /// Whether the process belongs to the run of this record.
    pub(crate) fn lead_to(&self, record: &Record) -> bool {
        if self.pid == record.pid {
            return self.stat.start == record.start;
        }
        // Without its leader, a session number proves nothing: it may be that of another session by
        // now.
        self.have_session_of(record) && main_lives(record)
            || self.pipes.contains(&record.pipe)
            || self.cookies.contains(&record.cookie)
    }

    /// Whether its session or group has the number of the run's first process.
    pub(crate) fn have_session_of(&self, record: &Record) -> bool {
        self.stat.session == record.pid || self.stat.group == record.pid
    }
}

/// Whether the main process of the record lives.
pub(crate) fn main_lives(record: &Record) -> bool {
    living(record.pid).is_some_and(|stat| stat.start == record.start)
}

/// A process other than ourselves that has not ended.
pub(crate) fn living(pid: i32) -> Option<Stat> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    proc::stat(pid).filter(|stat| stat.state != b'Z' && pid != own)
}

/// The group of the run. `None`: the record names a directory outside a daemon's groups.
pub(crate) fn group_of(record: &Record) -> Option<&Path> {
    record.cgroup.as_deref().filter(|dir| is_ours(dir))
}

fn is_ours(dir: &Path) -> bool {
    let base = dir.parent().and_then(Path::file_name);
    base.is_some_and(|base| base.to_string_lossy().starts_with(GROUPS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_group_of_somebody_elses_is_not_touched() {
        assert!(is_ours(Path::new("/sys/fs/cgroup/x/mattervisor-12ab/web")));
        assert!(!is_ours(Path::new(
            "/sys/fs/cgroup/system.slice/sshd.service"
        )));
        assert!(!is_ours(Path::new("/")));
    }
}
