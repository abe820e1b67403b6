//! Counts connections, in all and by user, and hands out the right to have one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::Limits;

/// All connections that there may be.
#[derive(Clone)]
pub(super) struct Slots {
    limits: Limits,
    /// Connections by uid; a user without one has no entry.
    taken: Arc<Mutex<BTreeMap<u32, usize>>>,
}

/// The right to one connection, given back by dropping it.
pub(super) struct Slot {
    slots: Slots,
    uid: u32,
}

impl Slots {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            taken: Arc::default(),
        }
    }

    /// `None` if there are too many. The privileged may use the reserve too and have no limit of
    /// their own.
    pub(super) fn take(&self, uid: u32, privileged: bool) -> Option<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = taken.values().sum();
        let own = taken.get(&uid).copied().unwrap_or(0);
        let free = if privileged {
            total < self.limits.connections + self.limits.reserve
        } else {
            total < self.limits.connections && own < self.limits.per_user
        };
        free.then(|| {
            taken.insert(uid, own + 1);
            Slot {
                slots: self.clone(),
                uid,
            }
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self
            .slots
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
