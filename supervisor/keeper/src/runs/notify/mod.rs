//! Messages of services over their `NOTIFY_SOCKET`, and whether the sender may send them.
//!
//! `directory` says where sockets lie, `socket` how one is bound and read, `keys` what is heard.
//! None but root and the service's account can send; here processes of the same account are told
//! apart. The kernel vouches for the sender's pid; whose it is gets looked up before anything is
//! reaped. Of a sender that has been reaped already (systemd-notify in a script ends at once) the
//! kernel tells the cgroup, from Linux 6.16 on. Where it does not, and for a service without a
//! cgroup, its account has to do: then another process of the same account may speak for the run by
//! ending at once.
//!
//! Limits: dropped messages are reported once a minute and service, with their count.

mod directory;
mod keys;
mod receive;
mod socket;

pub(crate) use self::{directory::Directories, socket::threads_work};
pub(super) use self::{
    directory::{Place, SavedDirectories},
    socket::{SavedSocket, Socket},
};
use serde::{Deserialize, Serialize};

/// Time between two reports of dropped messages.
const TELL_AGAIN_MS: u64 = 60_000;

/// Dropped messages of a service's processes, or of others of its account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dropped {
    /// Dropped messages since the last report.
    count: u64,
    told_ms: Option<u64>,
}

impl Dropped {
    /// Counts one more dropped message. Some: so many are to be reported now.
    pub(super) fn add(&mut self, now_ms: u64) -> Option<u64> {
        self.count += 1;
        if self.told_ms.is_some_and(|at| now_ms < at + TELL_AGAIN_MS) {
            return None;
        }
        self.told_ms = Some(now_ms);
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_told_once_a_minute_with_its_count() {
        let mut dropped = Dropped::default();
        assert_eq!(dropped.add(5), Some(1));
        assert_eq!((dropped.add(6), dropped.add(7)), (None, None));
        assert_eq!(dropped.add(5 + TELL_AGAIN_MS), Some(3));
    }
}
