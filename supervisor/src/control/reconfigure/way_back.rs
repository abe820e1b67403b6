//! The way back from a configuration that a service could not be reloaded with.
//!
//! A reload that has failed leaves the service with the configuration that it had, while the plan
//! and the disk have another, which would be what its next start takes. So a reconfiguration goes
//! back by itself: once all services that it changed have settled, and one that it reloaded has not
//! taken what the plan changed of that service, the plan that ran before is applied again. The
//! rules:
//!
//! * One configuration is one whole: all of it goes back, also what was restarted and is well. Half
//!   of it is a configuration that nobody has written.
//! * Only once all has settled: a start in the midst of something is not cut short.
//! * To what ran before, whether or not that has been kept as one that worked: it is what the
//!   administrator had, and no other way changes less. Where another reconfiguration came before
//!   the first had settled, that is what ran before both of them.
//! * Not where the plan says of the failed service what the one before said (its certificates were
//!   renewed, its last reload is tried again): to go back would change nothing for it.
//! * A way back, a rollback by hand and the daemon's first plan have none: it never goes to and
//!   fro.
//! * What fails because it was restarted, and not reloaded, is no reason: it has the new
//!   configuration, and its policy tries it again. `--rollback` is offered.
//!
//! The keeper remembers the plan before until the operation is over, so a control process that
//! takes over goes on with that plan. When the daemon itself dies, its next start has nothing
//! running to reload, and takes the files.

use std::collections::{BTreeMap, BTreeSet};

use engine::ServiceId;
use plan::Plan;
use serde::{Deserialize, Serialize};

use crate::{
    control::{Context, operations::Target},
    plan_store::Kept,
};

/// The plan that an operation can go back to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WayBack {
    pub(super) operation: String,
    /// Services that are reloaded with something that the plan before did not say of them.
    reloaded: BTreeSet<ServiceId>,
    pub(super) before: Kept,
}

impl WayBack {
    /// Of an operation that applies a plan, if it has one. `before`: what it would go back to.
    pub(super) fn of(
        cx: &Context,
        operation: String,
        plan: &Plan,
        targets: &BTreeMap<ServiceId, Target>,
        before: Kept,
    ) -> Option<Self> {
        let differs = |id: &&ServiceId| {
            let name = cx.name(**id);
            before.plan.services.get(name) != plan.services.get(name)
        };
        let reloaded = targets.iter().filter(|(_, it)| it.is_reloaded());
        let reloaded = reloaded.map(|(id, _)| id).filter(differs);
        let reloaded: BTreeSet<ServiceId> = reloaded.copied().collect();
        (!reloaded.is_empty()).then_some(Self {
            operation,
            reloaded,
            before,
        })
    }

    /// The services of the operation have settled, and it has to go back.
    pub(super) fn is_due(&self, targets: &BTreeMap<ServiceId, Target>) -> bool {
        let failed = |id: &ServiceId| targets.get(id).is_some_and(Target::has_failed);
        self.reloaded.iter().any(failed)
    }
}

#[cfg(test)]
mod tests;
