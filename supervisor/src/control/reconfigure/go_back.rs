//! Keeps the way back of the plan that is applied, and applies the plan before once an operation
//! has to go back. `way_back.rs` has the rules.

use std::collections::BTreeMap;

use engine::ServiceId;
use plan::Plan;

use crate::{
    control::{
        Context,
        operations::{GoingBack, Operations, Target, Way},
        reconfigure::{
            probation::{Probation, not_up},
            request::{PlanSource, ReconfigureRequest},
            state::Reconfigure,
            way_back::WayBack,
        },
        record_keys::Key,
    },
    plan_store::Kept,
};

/// By whom the configuration before is applied, for people.
const BY: &str = "the supervisor (a reload had failed)";
const STOPPING: &str = "the supervisor is stopping everything";
const SUPERSEDED: &str = "another configuration has been applied meanwhile";

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
        // A plan that an earlier control process had applied but for the last step has its way back
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
