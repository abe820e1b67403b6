//! `/proc/PID/stat`: parent, group, session, CPU time and start time of a process.

use std::{
    fs::{self, File},
    io::Read,
    time::Duration,
};

use nix::unistd::{SysconfVar, sysconf};

/// Holds all of `/proc/PID/stat` that [`Stat`] has, so that one read, which the kernel does not cut
/// short, is enough.
pub const STAT_BYTES: usize = 1024;

/// `PF_EXITING` of the kernel's flags of a process.
const EXITING: u32 = 4;

/// A part of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// One letter; `Z` is a zombie, `D` waits in the kernel, `T` is stopped, `t` is traced.
    pub state: u8,
    /// Parent.
    pub parent: i32,
    /// Process group.
    pub group: i32,
    /// Session.
    pub session: i32,
    /// The process has begun to exit, and to give up what it holds.
    pub exiting: bool,
    /// CPU time of the process itself, in [`ticks`].
    pub own_ticks: u64,
    /// CPU time of its children that it has reaped, in [`ticks`].
    pub reaped_ticks: u64,
    /// Start time in ticks since boot: with pid and boot id it names one process for ever.
    pub start: u64,
}

/// The stat of a process; `None` if there is no such process.
pub fn stat(pid: i32) -> Option<Stat> {
    let mut bytes = [0; STAT_BYTES];
    let mut file = File::open(format!("/proc/{pid}/stat")).ok()?;
    let read = file.read(&mut bytes).ok()?;
    parse_stat(&bytes[..read])
}

/// Parses what a read of `/proc/PID/stat` brought. Allocates nothing: the keeper's children call it
/// before exec.
pub fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let mut fields = behind_name(bytes)?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let mut number = || fields.next()?.parse::<i32>().ok();
    let (parent, group, session) = (number()?, number()?, number()?);
    // The terminal and its foreground group come before the flags.
    let exiting = fields.nth(2)?.parse::<u32>().ok()? & EXITING != 0;
    // Four counts of page faults come before the times.
    let mut times = fields.skip(4);
    let mut user_and_system = || {
        let mut time = || times.next()?.parse::<u64>().ok();
        Some(time()? + time()?)
    };
    Some(Stat {
        state,
        parent,
        group,
        session,
        exiting,
        own_ticks: user_and_system()?,
        reaped_ticks: user_and_system()?,
        // Priority, nice value, count of threads and a timer come before the start time.
        start: times.nth(4)?.parse().ok()?,
    })
}

/// Wait status of a zombie that its own parent has not reaped yet. The kernel tells it only to
/// those who may trace the process; it is 0 for others.
pub fn wait_status(pid: i32) -> Option<i32> {
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The 52nd field of all.
    let status = behind_name(&bytes)?.split_ascii_whitespace().nth(49)?;
    status.parse().ok()
}

/// The fields behind the name, which stands in parentheses and may hold parentheses too.
fn behind_name(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(bytes.get(end + 1..)?).ok()
}

/// The time that so many of the kernel's ticks are: hundredths of a second nearly everywhere.
pub fn ticks(ticks: u64) -> Duration {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    let per_second = per_second.and_then(|it| u64::try_from(it).ok());
    let per_second = per_second.filter(|it| *it > 0).unwrap_or(100);
    Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_traps_is_read() {
        let line = b"42 (a) R 1 (b)) S 7 8 9 0 -1 4194564 1 2 3 4 50 6 7 8 20 0 1 0 12345 999 1\n";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.state, stat.parent), (b'S', 7));
        assert_eq!((stat.group, stat.session, stat.start), (8, 9, 12345));
        assert_eq!((stat.own_ticks, stat.reaped_ticks), (56, 15));
        assert!(stat.exiting);
    }

    #[test]
    fn what_is_cut_short_is_no_stat() {
        assert_eq!(parse_stat(b"42 (a) S 7 8 9 0 -1 4194564 1 2 3"), None);
        assert_eq!(parse_stat(b"42 (a"), None);
        assert_eq!(parse_stat(b""), None);
    }
}
