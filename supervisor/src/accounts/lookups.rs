//! Ids of services, looked up once for all that start in the same moment.
//!
//! Nothing is kept for longer: an account may be another at the next start, or gone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use keeper::message::Ids;
use plan::Service;

/// User, group and groups, as a service file names them.
type Named = (Option<String>, Option<String>, Option<Vec<String>>);
type Found = Result<Option<Ids>, String>;

/// What has been looked up so far. Threads share it: who wants what another is just looking up
/// waits for that.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    known: Mutex<BTreeMap<Named, Arc<OnceLock<Found>>>>,
}

impl Lookups {
    /// Ids that a service runs with; none: the supervisor's own.
    ///
    /// # Errors
    /// In words, if it has no such account or nobody can say.
    pub(crate) fn ids(&self, service: &Service) -> Found {
        let named = (
            service.user.clone(),
            service.group.clone(),
            service.groups.clone(),
        );
        let slot = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(named).or_default())
        };
        slot.get_or_init(|| super::ids(service)).clone()
    }
}
