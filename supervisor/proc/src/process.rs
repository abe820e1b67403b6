//! Data in `/proc/PID` about one process besides its stat: name, environment, memory, network.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use nix::unistd::{SysconfVar, sysconf};

use crate::Stat;

/// Whether a process, or at least a zombie, has this pid.
pub fn exists(pid: i32) -> bool {
    entry(pid).is_ok()
}

/// The account whose files the process may open: root for a process that hides its memory.
pub fn owner(pid: i32) -> Option<u32> {
    entry(pid).map(|entry| entry.uid()).ok()
}

fn entry(pid: i32) -> io::Result<Metadata> {
    fs::metadata(format!("/proc/{pid}"))
}

/// The name of a process, empty if there is none. Unlike arguments and environment it can be read
/// of a process that hangs.
pub fn name(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    text.trim_end().to_owned()
}

/// Variables in a process's original environment that begin with `begin`, as `NAME=value`.
pub fn variables(pid: i32, stat: &Stat, begin: &str) -> Vec<String> {
    environ(pid, stat)
        .split(|byte| *byte == 0)
        .filter(|one| one.starts_with(begin.as_bytes()))
        .map(|one| String::from_utf8_lossy(one).into_owned())
        .collect()
}

/// The process was started with this `NAME=value`, and has not written over it.
pub fn has_variable(pid: i32, stat: &Stat, variable: &str) -> bool {
    environ(pid, stat)
        .split(|byte| *byte == 0)
        .any(|one| one == variable.as_bytes())
}

/// Empty for a process that hangs in the kernel: a read of its memory may take until it goes on.
fn environ(pid: i32, stat: &Stat) -> Vec<u8> {
    if stat.state == b'D' {
        return Vec::new();
    }
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

/// Resident memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Pages that belong to no file and no shared memory.
    pub own: u64,
    /// Pages of files and of shared memory, which other processes may have too.
    pub shared: u64,
}

/// Reads `/proc/PID/statm`, which costs some microseconds; the exact share of each shared page
/// (`smaps_rollup`) costs milliseconds.
pub fn memory(pid: i32) -> Option<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = text.split(' ').skip(1).map_while(|it| it.parse().ok());
    let (resident, shared): (u64, u64) = (pages.next()?, pages.next()?);
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    let page = page.and_then(|it| u64::try_from(it).ok()).unwrap_or(4096);
    Some(Memory {
        own: resident.saturating_sub(shared) * page,
        shared: shared * page,
    })
}

/// The process is in another network namespace than we are, as far as that can be seen.
pub fn has_own_network(pid: i32) -> bool {
    let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let (ours, its) = (of("self"), of(&pid.to_string()));
    its.is_some() && ours != its
}

/// Texts of the tables of TCP sockets, IPv4 and IPv6, where this process (`None`: we) has its
/// network. Without IPv6 the second is empty.
///
/// # Errors
/// The first table cannot be read.
pub fn tcp_tables(pid: Option<i32>) -> io::Result<(String, String)> {
    let of = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let dir = PathBuf::from(format!("/proc/{of}/net"));
    let v4 = fs::read_to_string(dir.join("tcp"))?;
    Ok((v4, fs::read_to_string(dir.join("tcp6")).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_pid() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn this_process_tells_of_itself() {
        let pid = own_pid();
        assert!(exists(pid) && !exists(i32::MAX));
        assert!(!name(pid).is_empty() && name(i32::MAX).is_empty());
        let memory = memory(pid).unwrap();
        assert!(memory.own + memory.shared > 1 << 20, "{memory:?}");
        assert!(!has_own_network(pid) && !has_own_network(i32::MAX));
    }

    #[test]
    fn a_variable_is_found_unless_the_process_hangs() {
        let pid = own_pid();
        let mut stat = crate::stat(pid).unwrap();
        let (name, value) = std::env::vars().find(|(name, _)| name == "PATH").unwrap();
        let whole = format!("{name}={value}");
        assert!(has_variable(pid, &stat, &whole));
        assert_eq!(variables(pid, &stat, "PATH="), [whole.as_str()]);
        stat.state = b'D';
        assert!(!has_variable(pid, &stat, &whole));
    }
}
