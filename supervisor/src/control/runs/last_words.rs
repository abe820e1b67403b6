//! The last words of services: their `STATUS=` texts, and the output of validators that refused.
//!
//! Kept while a service is in the plan. A new main run takes its `STATUS=` away, a validator that
//! accepts the last refusal. Limit: one text of each kind a service, as long as the keeper lets one
//! be.

use std::collections::BTreeMap;

use engine::ServiceId;

use crate::control::Context;

/// The last words of all services.
#[derive(Debug, Default)]
pub(in crate::control) struct LastWords {
    status: BTreeMap<ServiceId, String>,
    refusals: BTreeMap<ServiceId, String>,
}

impl LastWords {
    /// The last `STATUS=` text of a service.
    pub(in crate::control) fn status(&self, id: ServiceId) -> Option<&String> {
        self.status.get(&id)
    }

    /// Takes the `STATUS=` text of a run.
    pub(in crate::control) fn set_status(&mut self, id: ServiceId, text: &str) {
        self.status.insert(id, text.to_owned());
    }

    /// Drops the text of the previous main run when a new main run begins.
    pub(in crate::control) fn clear_status(&mut self, id: ServiceId) {
        self.status.remove(&id);
    }

    /// Why the last validator refused, if it did.
    pub(in crate::control) fn refusal(&self, id: ServiceId) -> Option<&String> {
        self.refusals.get(&id)
    }

    /// Takes the end of a validator; `Err` says why the validator refused.
    pub(in crate::control) fn validated(
        &mut self,
        cx: &mut Context,
        id: ServiceId,
        verdict: Result<(), &str>,
    ) {
        let Err(why) = verdict else {
            self.refusals.remove(&id);
            return;
        };
        let service = cx.name(id).to_owned();
        tracing::warn!(service, "validator refused: {why}");
        let failure = format!("validator: {why}");
        cx.publish(&service, api::EventKind::Failure, &failure, None);
        self.refusals.insert(id, failure);
    }

    /// The service has left the plan.
    pub(in crate::control) fn forget(&mut self, id: ServiceId) {
        self.status.remove(&id);
        self.refusals.remove(&id);
    }
}
