//! Processes that SIGKILL has not ended: their names, and what keeps them alive, as far as can be
//! seen from outside.
//!
//! A sent SIGKILL is not death: the kernel may refuse it, or deliver it late.

use nix::{errno::Errno, libc};
use proc::Stat;

use crate::{
    message::{Kept, Left},
    sys::pidfd,
};

/// Most processes that are named: the list has to fit into a frame.
pub(crate) const LEFT_MAX: usize = 4096;

/// Description of each of these processes that still exists.
pub(crate) fn describe(pids: &[i32]) -> Vec<Left> {
    let named = pids.iter().take(LEFT_MAX);
    named.filter_map(|pid| one(*pid)).collect()
}

/// Whether the kernel refuses to let the keeper signal the process.
pub(crate) fn is_refused(pid: i32) -> bool {
    pidfd::kill(pid, 0) == Err(Errno::EPERM)
}

fn one(pid: i32) -> Option<Left> {
    let stat = proc::stat(pid)?;
    let kept = match stat.state {
        _ if is_refused(pid) => Kept::Refused,
        b'D' => Kept::Uninterruptible,
        b't' => Kept::Traced,
        _ => Kept::Unseen,
    };
    Some(Left {
        pid,
        command: proc::name(pid),
        kept,
    })
}

/// Kills this process; never another that got its pid since.
pub(crate) fn kill_exactly(pid: i32, stat: &Stat) {
    if let Ok(fd) = pidfd::open(pid)
        && proc::stat(pid).is_some_and(|now| now.start == stat.start)
    {
        let _ = pidfd::signal(fd, libc::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named() {
        let own = i32::try_from(std::process::id()).unwrap();
        let left = describe(&[own, i32::MAX]);
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].pid, left[0].kept), (own, Kept::Unseen));
        assert!(!left[0].command.is_empty());
        assert_eq!(describe(&vec![own; LEFT_MAX + 1]).len(), LEFT_MAX);
    }
}
