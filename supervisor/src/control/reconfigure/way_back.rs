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
    control::{
        Context,
        operations::{GoingBack, Operations, Target, Way},
        reconfigure::{PlanSource, Reconfigure, ReconfigureRequest, not_up, probation::Probation},
        record_keys::Key,
    },
    plan_store::Kept,
};

/// By whom the configuration before is applied, for people.
const BY: &str = "the supervisor (a reload had failed)";
const STOPPING: &str = "the supervisor is stopping everything";
const SUPERSEDED: &str = "another configuration has been applied meanwhile";

/// What an operation can go back to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WayBack {
    operation: String,
    /// Services that are reloaded with something that the plan before did not say of them.
    reloaded: BTreeSet<ServiceId>,
    before: Kept,
}

impl WayBack {
    /// Of an operation that applies a plan, if it has one. `before`: what it would go back to.
    fn of(
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

    pub(super) fn operation(&self) -> &str {
        &self.operation
    }

    pub(super) const fn before(&self) -> &Kept {
        &self.before
    }

    /// The services of the operation have settled, and it has to go back.
    fn is_due(&self, targets: &BTreeMap<ServiceId, Target>) -> bool {
        let failed = |id: &ServiceId| targets.get(id).is_some_and(Target::has_failed);
        self.reloaded.iter().any(failed)
    }
}

impl Reconfigure {
    /// A plan is about to take the place of the one that runs.
    pub(super) fn note_way_back(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        plan: &Plan,
        targets: &BTreeMap<ServiceId, Target>,
    ) {
        let request = &self.attempt.request;
        // One that an earlier control process had applied but for the last step has its way back
        // already.
        let applied_before = request.operation.is_none() && request.source == PlanSource::Files;
        if request.source == PlanSource::Before || applied_before {
            return;
        }
        let from_files = request.source == PlanSource::Files;
        let operation = request.operation.clone().filter(|_| from_files);
        let earlier = self.way_back.take();
        if let Some(earlier) = &earlier {
            operations.supersede_way_back(&earlier.operation, SUPERSEDED);
        }
        let way_back = operation.and_then(|operation| {
            let running = || running(cx, &self.probation);
            let before = earlier.map_or_else(running, |it| it.before);
            WayBack::of(cx, operation, plan, targets, before)
        });
        self.set_way_back(cx, way_back);
    }

    fn set_way_back(&mut self, cx: &mut Context, way_back: Option<WayBack>) {
        if way_back.is_none() && self.way_back.is_none() {
            return;
        }
        self.way_back = way_back;
        let record = self.way_back.as_ref().map(serde_json::to_string);
        let record = record.transpose().expect("it is plain data");
        cx.remember(Key::WayBack, record.unwrap_or_default());
    }

    /// The services of an operation have settled: has it to go back?
    pub(in crate::control) fn way_back_of(
        &self,
        cx: &Context,
        stopping: bool,
        operation: &str,
        targets: &BTreeMap<ServiceId, Target>,
    ) -> Option<GoingBack> {
        let way_back = self.way_back.as_ref()?;
        let due = way_back.operation == operation && way_back.is_due(targets) && !stopping;
        due.then(|| {
            let site_file = cx.plan.paths.site_file().display().to_string();
            GoingBack::due(way_back.before.told(), site_file)
        })
    }

    /// After every input: begins a way back that is due, and forgets one that nobody needs any
    /// more.
    pub(in crate::control) fn go_back_if_due(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        stopping: bool,
    ) {
        let Some(way_back) = &self.way_back else {
            return;
        };
        let id = way_back.operation.clone();
        match operations.way_of(&id) {
            Way::Over => self.set_way_back(cx, None),
            Way::Due if stopping => operations.refuse_way_back(&id, STOPPING),
            Way::Due if self.attempt.stage.is_idle() => self.go_back(cx, operations, id),
            Way::Due | Way::Undecided | Way::Begun | Way::Applied => {}
        }
    }

    fn go_back(&mut self, cx: &mut Context, operations: &mut Operations, id: String) {
        let Some(to) = self.way_back.as_ref().map(|it| it.before.told()) else {
            return;
        };
        let failed = operations.begin_way_back(cx, &id);
        let what = format!(
            "goes back to the configuration of {}, asked for by {}",
            to.at, to.by
        );
        tracing::error!("reconfigure: {failed}: {what}");
        cx.publish("", api::EventKind::Change, &what, None);
        let request = ReconfigureRequest {
            operation: Some(id),
            source: PlanSource::Before,
            ..ReconfigureRequest::of(cx, BY)
        };
        self.start(cx, request);
    }
}

/// The plan that runs, to go back to.
fn running(cx: &Context, probation: &Probation) -> Kept {
    Kept {
        mark: probation.applied_by().clone(),
        not_up: not_up(cx),
        plan: Plan::clone(&cx.plan),
    }
}

#[cfg(test)]
mod tests;
