//! Helpers to look at processes, signal them, and wait for what has no event.

use std::{fs, time::Instant};

use nix::poll::{PollTimeout, poll};

use crate::daemon::PATIENCE;

/// Polls until `look` finds something; for state that has no event of its own.
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it does not happen");
        let _ = poll(&mut [], PollTimeout::from(2_u8));
    }
}

pub(crate) fn kill(pid: i32, signal: i32) {
    let signal = nix::sys::signal::Signal::try_from(signal).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

/// Like `kill`, also for signals without a name.
pub(crate) fn kill_raw(pid: i32, signal: i32) {
    #[expect(unsafe_code, reason = "no library sends a realtime signal")]
    // SAFETY: the call takes two integers and no memory.
    let sent = unsafe { nix::libc::kill(pid, signal) };
    assert_eq!(sent, 0);
}

/// Whether the process has gone or is a zombie.
pub(crate) fn gone(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| {
        stat.rsplit(") ").next().unwrap().starts_with('Z')
    })
}

/// The cgroup v2 path of a process, from `/proc/PID/cgroup`.
pub(crate) fn cgroup_of(pid: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("0::"));
    line.unwrap_or_default().trim_end_matches('/').to_owned()
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
