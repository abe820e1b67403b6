//! Reads /proc, and starts the programs under test.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

/// Starts a program. The test reaps what it starts; nothing else does.
#[expect(
    clippy::disallowed_methods,
    reason = "nobody else reaps in a test process"
)]
pub(crate) fn spawn(command: &mut Command) -> Child {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}"))
}

/// Whether the process exists and is no zombie.
pub fn alive(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// Sends a signal to one process, which may be gone.
pub fn kill(pid: i32, signal: Signal) {
    assert!(pid > 1, "refusing to signal pid {pid}");
    let _ = signal::kill(Pid::from_raw(pid), signal);
}

/// Direct children of a process, zombies included.
pub fn children(parent: i32) -> Vec<i32> {
    let all = pids().into_iter();
    all.filter(|pid| stat(*pid).is_some_and(|(_, above)| above == parent))
        .collect()
}

/// The command line, with blanks between the words; empty for a zombie or a missing process.
pub fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .replace('\0', " ")
        .trim()
        .to_owned()
}

/// The value of a field in `/proc/PID/status`.
pub fn status_field(pid: i32, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// Every living process whose command line names this root, and all their descendants.
pub fn processes_of(root: &Path) -> BTreeSet<i32> {
    let mark = root.display().to_string();
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    let all: Vec<(i32, i32)> = pids()
        .into_iter()
        .filter_map(|pid| {
            stat(pid)
                .filter(|(state, _)| *state != 'Z')
                .map(|(_, parent)| (pid, parent))
        })
        .collect();
    let named = |pid: i32| names(&command_line(pid), &mark);
    let mut ours: BTreeSet<i32> = all
        .iter()
        .map(|(pid, _)| *pid)
        .filter(|pid| named(*pid))
        .collect();
    loop {
        let more = all
            .iter()
            .filter(|(pid, parent)| ours.contains(parent) && !ours.contains(pid));
        let more: Vec<i32> = more.map(|(pid, _)| *pid).collect();
        if more.is_empty() {
            break;
        }
        ours.extend(more);
    }
    ours.remove(&me);
    ours
}

/// Whether a command line names the root itself, and not a path whose name begins like the root's.
fn names(line: &str, root: &str) -> bool {
    line.match_indices(root).any(|(at, _)| {
        let next = line[at + root.len()..].chars().next();
        !next.is_some_and(|next| next.is_alphanumeric() || next == '-' || next == '_')
    })
}

pub(crate) fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
        .collect()
}

/// State and parent of a process.
fn stat(pid: i32) -> Option<(char, i32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut rest = text.rsplit(')').next()?.split_whitespace();
    let state = rest.next()?.chars().next()?;
    Some((state, rest.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_not_taken_for_another_that_begins_like_it() {
        assert!(names("mattervisord --root /tmp/mvabc", "/tmp/mvabc"));
        assert!(names("postgres -D /tmp/mvabc/var/data", "/tmp/mvabc"));
        assert!(!names("mattervisord --root /tmp/mvabcd", "/tmp/mvabc"));
    }

    #[test]
    fn this_process_is_alive_and_pid_zero_is_not() {
        assert!(alive(i32::try_from(std::process::id()).unwrap()));
        assert!(!alive(0));
    }
}
