//! Counts connections, in all and by user, and hands out the right to have one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Limits, access::Role};

/// Counts of connections that exist, against the limits.
#[derive(Clone)]
pub(super) struct ConnectionLimits {
    limits: Limits,
    /// Connections by uid; a user without one has no entry.
    taken: Arc<Mutex<BTreeMap<u32, usize>>>,
}

/// The right to one connection, given back by dropping it.
pub(super) struct ConnectionPermit {
    limits: ConnectionLimits,
    uid: u32,
}

impl ConnectionLimits {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            taken: Arc::default(),
        }
    }

    /// `None` if there are too many. Who may do less finds less room, so that nobody locks out
    /// somebody who may do more; owners have no limit of their own.
    pub(super) fn take(&self, uid: u32, role: Role) -> Option<ConnectionPermit> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = taken.values().sum();
        let own = taken.get(&uid).copied().unwrap_or(0);
        let Limits {
            connections,
            reserve,
            admin_reserve,
            per_user,
            ..
        } = self.limits;
        let free = match role {
            Role::Owner => total < connections + reserve,
            Role::Admin => total < connections && own < per_user,
            Role::Viewer => total + admin_reserve < connections && own < per_user,
            Role::None => false,
        };
        free.then(|| {
            taken.insert(uid, own + 1);
            ConnectionPermit {
                limits: self.clone(),
                uid,
            }
        })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut taken = self
            .limits
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.uid) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(&self.uid);
            }
        }
    }
}
