//! The journal behind standard error: whether it is there, and the form of a line that carries its
//! priority, by `sd-daemon(3)`.
//!
//! The journal stamps each line with the time itself, and reads the priority from a prefix `<N>`.
//! A text of several lines becomes several entries, so each of its lines gets the prefix. Limit:
//! the journal cuts a line longer than its `LineMax=` (48 KiB) in two, of which the second has the
//! unit's default priority.

use std::{env, io, os::fd::AsFd, sync::LazyLock};

use nix::sys::stat::fstat;

/// Importance of a line, as syslog numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something does not work: `journalctl -p err` shows it.
    Error = 3,
    /// Something may not work as it is meant to.
    Warning = 4,
    /// An ordinary event.
    Info = 6,
    /// For the developers of the program alone.
    Debug = 7,
}

/// Names the device and the inode of the stream.
const STREAM: &str = "JOURNAL_STREAM";

/// Whether the process's standard error is a stream of the journal's. Looked up once.
pub fn is_stderr() -> bool {
    static IS: LazyLock<bool> = LazyLock::new(|| {
        let stream = env::var(STREAM);
        stream.is_ok_and(|stream| is_stream(&stream, io::stderr()))
    });
    *IS
}

/// Whether a descriptor is the stream that `DEVICE:INODE` names, both in decimal. A
/// descriptor that was redirected after the variable had been set is not.
fn is_stream(named: &str, fd: impl AsFd) -> bool {
    fstat(fd).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// The variable of a child that writes to our standard error, as `NAME=value`.
pub(crate) fn variable() -> Option<String> {
    env::var(STREAM)
        .ok()
        .map(|stream| format!("{STREAM}={stream}"))
}

/// Each line of a text with the priority before it; the last one gets a newline if it has none.
pub fn with_priority(severity: Severity, text: &str) -> String {
    let priority = severity as u8;
    let lines = text.lines().map(|line| format!("<{priority}>{line}\n"));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_text_has_the_priority() {
        let text = "cannot make /run: denied\n  hint: <7>run it as root\n";
        let entries = "<3>cannot make /run: denied\n<3>  hint: <7>run it as root\n";
        assert_eq!(with_priority(Severity::Error, text), entries);
        assert_eq!(with_priority(Severity::Debug, "one"), "<7>one\n");
    }

    #[test]
    fn the_stream_is_told_by_device_and_inode() {
        let (ours, others) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let stat = fstat(&ours).unwrap();
        let named = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(is_stream(&named, &ours));
        assert!(!is_stream(&named, &others));
        assert!(!is_stream("", &ours));
    }
}
