//! Who is at the other end of the socket, and what that user may do.
//!
//! The kernel says who connected (`SO_PEERCRED`): uid, gid and pid at that moment. The
//! supplementary groups come from `/proc/PID/status`, and count only if that process still has
//! the same uid throughout, so that a reused pid lends nobody another user's groups.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::{Uid, User},
};
use tokio::{net::UnixStream, sync::Semaphore};

/// A user's name is asked for again after this long.
const NAME_KEPT: Duration = Duration::from_secs(300);
/// Names that are kept; one more and all are forgotten.
const NAMES_MAX: usize = 256;
/// The user database may take this long; then the uid has to do.
const NAME_WAIT: Duration = Duration::from_secs(2);
/// Threads that may hang in the user database.
const LOOKUPS_MAX: usize = 2;

/// Who may do what. Root and `own_uid` may do everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// The supervisor's own user.
    pub(crate) own_uid: u32,
    /// Groups whose members may act.
    pub(crate) admin_gids: Vec<u32>,
    /// Groups whose members may look.
    pub(crate) viewer_gids: Vec<u32>,
    /// Nobody is let in for now: who connects waits in the backlog.
    pub(crate) closed: bool,
}

/// What a peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Nothing.
    None,
    /// Look.
    Viewer,
    /// Look and act.
    Admin,
}

/// A peer as the kernel knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    /// User that connected.
    pub(super) uid: u32,
    /// The process that connected; 0 if it is in a namespace that we cannot see.
    pub(super) pid: i32,
    /// Its group, and its supplementary ones once they are known.
    pub(super) groups: Vec<u32>,
}

impl Access {
    /// Whether this user may do everything, whatever the groups.
    pub(super) fn rules(&self, uid: u32) -> bool {
        uid == 0 || uid == self.own_uid
    }

    /// What this peer may do.
    pub(super) fn role(&self, peer: &Credentials) -> Role {
        let in_one_of = |gids: &[u32]| peer.groups.iter().any(|gid| gids.contains(gid));
        if self.rules(peer.uid) || in_one_of(&self.admin_gids) {
            Role::Admin
        } else if in_one_of(&self.viewer_gids) {
            Role::Viewer
        } else {
            Role::None
        }
    }
}

/// Asks the kernel who connected.
pub(super) fn credentials(stream: &UnixStream) -> io::Result<Credentials> {
    let peer = getsockopt(stream, PeerCredentials)?;
    Ok(Credentials {
        uid: peer.uid(),
        pid: peer.pid(),
        groups: vec![peer.gid()],
    })
}

/// Adds the supplementary groups. Reads a file, so not on the control thread.
pub(super) fn with_supplementary(mut peer: Credentials) -> Credentials {
    if peer.pid > 0
        && let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", peer.pid))
    {
        peer.groups.extend(supplementary(&status, peer.uid));
    }
    peer
}

/// The groups that a `/proc/PID/status` lists, if the process is wholly that user's.
fn supplementary(status: &str, uid: u32) -> Vec<u32> {
    let numbers = |key: &str| -> Vec<u32> {
        status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .map(|rest| {
                rest.split_ascii_whitespace()
                    .filter_map(|word| word.parse().ok())
                    .collect()
            })
            .unwrap_or_default()
    };
    let uids = numbers("Uid:");
    if uids.len() == 4 && uids.iter().all(|&it| it == uid) {
        numbers("Groups:")
    } else {
        Vec::new()
    }
}

/// Names of users, remembered for a while.
pub(super) struct UserNames {
    known: Mutex<BTreeMap<u32, (String, Instant)>>,
    lookups: Arc<Semaphore>,
}

impl Default for UserNames {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }
}

impl UserNames {
    /// `root`, `alice (uid 1000)`; `uid 1000` if the user database does not say in time.
    pub(super) async fn describe(&self, uid: u32) -> String {
        if uid == 0 {
            return "root".to_owned();
        }
        if let Some(name) = self.remembered(uid) {
            return name;
        }
        match tokio::time::timeout(NAME_WAIT, self.look_up(uid)).await {
            Ok(Some(name)) => {
                let name = format!("{name} (uid {uid})");
                self.remember(uid, &name);
                name
            }
            Ok(None) | Err(_) => format!("uid {uid}"),
        }
    }

    async fn look_up(&self, uid: u32) -> Option<String> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await.ok()?;
        tokio::task::spawn_blocking(move || {
            let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            drop(permit);
            user.map(|user| user.name)
        })
        .await
        .ok()
        .flatten()
    }

    fn remembered(&self, uid: u32) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&uid)
            .filter(|(_, since)| since.elapsed() < NAME_KEPT)
            .map(|(name, _)| name.clone())
    }

    fn remember(&self, uid: u32, name: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        known.insert(uid, (name.to_owned(), Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access {
            own_uid: 900,
            admin_gids: vec![10],
            viewer_gids: vec![20, 21],
            closed: false,
        }
    }

    fn peer(uid: u32, groups: &[u32]) -> Credentials {
        Credentials {
            uid,
            pid: 0,
            groups: groups.to_vec(),
        }
    }

    #[test]
    fn root_and_the_own_user_rule_and_groups_decide_for_others() {
        for (uid, groups, role) in [
            (0, &[5][..], Role::Admin),
            (900, &[5], Role::Admin),
            (1000, &[5, 10], Role::Admin),
            (1000, &[5, 21], Role::Viewer),
            (1000, &[10, 20], Role::Admin),
            (1000, &[5], Role::None),
            (1000, &[], Role::None),
        ] {
            assert_eq!(access().role(&peer(uid, groups)), role, "{uid} {groups:?}");
        }
    }

    #[test]
    fn supplementary_groups_count_only_for_a_process_of_the_same_user() {
        let status = "Name:\tctl\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t27 998 1000 \n";
        assert_eq!(supplementary(status, 1000), [27, 998, 1000]);
        assert!(supplementary(status, 1001).is_empty(), "a reused pid");
        let setuid = status.replace("Uid:\t1000\t1000", "Uid:\t1000\t0");
        assert!(supplementary(&setuid, 1000).is_empty());
        assert!(supplementary("", 1000).is_empty());
    }

    #[tokio::test]
    async fn the_kernel_says_who_connected() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let peer = credentials(&ours).unwrap();
        assert_eq!(peer.uid, nix::unistd::geteuid().as_raw());
        assert_eq!(peer.groups, [nix::unistd::getegid().as_raw()]);
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(peer.pid, pid);
        let peer = with_supplementary(peer);
        for gid in nix::unistd::getgroups().unwrap() {
            assert!(peer.groups.contains(&gid.as_raw()));
        }
    }

    #[tokio::test]
    async fn a_user_is_named_with_its_uid() {
        let names = UserNames::default();
        assert_eq!(names.describe(0).await, "root");
        assert_eq!(names.describe(3_999_999_999).await, "uid 3999999999");
        names.remember(1234, "alice (uid 1234)");
        assert_eq!(names.describe(1234).await, "alice (uid 1234)");
    }
}
