//! Identity of the peer of a socket, and the permissions of its user.
//!
//! The kernel says who connected: uid, gid and pid (`SO_PEERCRED`) and the supplementary groups
//! (`SO_PEERGROUPS`), all as they were at that moment.

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

/// Roles of users and groups. Root and `own_uid` may do everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// The supervisor's own user.
    pub(crate) own_uid: u32,
    /// Groups whose members may act.
    pub(crate) admin_gids: Vec<u32>,
    /// Groups whose members may look.
    pub(crate) viewer_gids: Vec<u32>,
    /// The groups are those of a plan; until then there are none yet.
    pub(crate) known: bool,
    /// Whether new clients wait in the backlog for now.
    pub(crate) closed: bool,
}

/// The role of a peer, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Nothing.
    None,
    /// Look.
    Viewer,
    /// Look and act.
    Admin,
    /// Look and act, whatever the plan says: root and the supervisor's own user.
    Owner,
}

/// A peer as the kernel knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    /// User that connected.
    pub(super) uid: u32,
    /// The process that connected; 0 if it is in a namespace that we cannot see.
    pub(super) pid: i32,
    /// Its group and its supplementary ones.
    pub(super) groups: Vec<u32>,
}

impl Access {
    /// The role of this peer.
    pub(super) fn role(&self, peer: &Credentials) -> Role {
        let in_one_of = |gids: &[u32]| peer.groups.iter().any(|gid| gids.contains(gid));
        if peer.uid == 0 || peer.uid == self.own_uid {
            Role::Owner
        } else if in_one_of(&self.admin_gids) {
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
    let mut groups = keeper::socket::peer_groups(stream)?;
    groups.push(peer.gid());
    Ok(Credentials {
        uid: peer.uid(),
        pid: peer.pid(),
        groups,
    })
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

    #[expect(clippy::disallowed_methods, reason = "on a thread that may hang")]
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
    use nix::unistd::Gid;

    use super::*;

    fn access() -> Access {
        Access {
            own_uid: 900,
            admin_gids: vec![10],
            viewer_gids: vec![20, 21],
            known: true,
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
            (0, &[5][..], Role::Owner),
            (900, &[5], Role::Owner),
            (1000, &[5, 10], Role::Admin),
            (1000, &[5, 21], Role::Viewer),
            (1000, &[10, 20], Role::Admin),
            (1000, &[5], Role::None),
            (1000, &[], Role::None),
        ] {
            assert_eq!(access().role(&peer(uid, groups)), role, "{uid} {groups:?}");
        }
    }

    #[tokio::test]
    async fn the_kernel_says_who_connected() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let peer = credentials(&ours).unwrap();
        assert_eq!(peer.uid, nix::unistd::geteuid().as_raw());
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(peer.pid, pid);
        let mut groups = nix::unistd::getgroups().unwrap();
        groups.push(nix::unistd::getegid());
        let groups: Vec<u32> = groups.into_iter().map(Gid::as_raw).collect();
        assert_eq!(peer.groups, groups);
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
