//! Finds out by its locks whether a supervisor that accepts no connection is alive.
//!
//! The kernel's list of locks names the holder to every user who can find the lock file. On some
//! file systems this list has another device number than `stat` reports. There the lock file names
//! the keeper's pid and start time, for users who may read the file.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::sys::stat::{major, minor};

/// Longest lock file that is read.
const LOCK_BYTES_MAX: u64 = 64;

/// The process that holds the lock of a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The keeper of a living supervisor.
    Keeper(i32),
    /// A control process that still stops services after its keeper died.
    Rest,
}

/// The process that holds the first lock that is held.
pub(crate) fn holder(locks: &[PathBuf]) -> Option<Holder> {
    let list = proc::locks();
    locks.iter().find_map(|lock| {
        let file = fs::symlink_metadata(lock).ok()?;
        let device = (major(file.dev()), minor(file.dev()));
        match taken_by(&list, device, file.ino()) {
            Some(pid) if proc::exists(pid) => Some(Holder::Keeper(pid)),
            Some(_) => Some(Holder::Rest),
            None => named_in(lock).map(Holder::Keeper),
        }
    })
}

/// The pid that the kernel's list has for a lock on this file.
fn taken_by(list: &str, device: (u64, u64), inode: u64) -> Option<i32> {
    let wanted = format!("{:02x}:{:02x}:{inode}", device.0, device.1);
    list.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        if words.next() != Some("FLOCK") {
            return None;
        }
        let pid = words.nth(2)?;
        (words.next() == Some(&wanted)).then(|| pid.parse().ok())?
    })
}

/// The process that a lock file names, if that process lives. The start time excludes a reused pid.
fn named_in(lock: &Path) -> Option<i32> {
    let text = String::from_utf8(safe_path::read(lock, LOCK_BYTES_MAX).ok()?).ok()?;
    let (pid, start) = text.trim().split_once(' ')?;
    let pid = pid.parse().ok()?;
    let start: u64 = start.parse().ok()?;
    (proc::stat(pid)?.start == start).then_some(pid)
}

#[cfg(test)]
mod tests {
    use nix::fcntl::{Flock, FlockArg};

    use super::*;

    fn own() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn who_has_taken_a_lock_is_found_by_the_kernels_list() {
        let list = "1: POSIX  ADVISORY  WRITE 7 fd:01:55 0 EOF\n\
                    2: -> FLOCK  ADVISORY  WRITE 8 fd:01:55 0 EOF\n\
                    3: FLOCK  ADVISORY  WRITE 9 fd:01:55 0 EOF\n";
        assert_eq!(taken_by(list, (0xfd, 1), 55), Some(9));
        assert_eq!(taken_by(list, (0xfd, 2), 55), None);
        assert_eq!(taken_by(list, (0xfd, 1), 5), None);
    }

    #[test]
    fn a_lock_that_is_held_has_a_holder_and_one_that_is_not_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("lock");
        let file = fs::File::create(&lock).unwrap();
        let locks = [dir.path().join("none"), lock];
        assert_eq!(holder(&locks), None);
        let held = Flock::lock(file, FlockArg::LockExclusive).unwrap();
        assert_eq!(holder(&locks), Some(Holder::Keeper(own())));
        drop(held);
        assert_eq!(holder(&locks), None);
    }

    #[test]
    fn the_file_names_a_living_process_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("lock");
        let start = proc::stat(own()).unwrap().start;
        fs::write(&lock, format!("{} {start}\n", own())).unwrap();
        assert_eq!(named_in(&lock), Some(own()));
        fs::write(&lock, format!("{} 1\n", own())).unwrap();
        assert_eq!(named_in(&lock), None);
        fs::write(&lock, "x".repeat(100)).unwrap();
        assert_eq!(named_in(&lock), None);
    }
}
