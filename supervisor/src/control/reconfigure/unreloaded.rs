//! Services whose last reload has failed: they do not run with the configuration of the plan, as far
//! as is known, so a comparison of plans does not see what is to be done. `ctl reconfigure` tries
//! again.

use std::collections::BTreeMap;

use engine::ReloadOutcome;
use plan::{Change, Plan, PlanImpact};

use crate::control::Control;

const WHY: &str = "its last reload has failed";

impl Control {
    /// Has those take their configuration that would only go on.
    pub(super) fn reload_the_unreloaded(
        &self,
        plan: &Plan,
        changes: &mut BTreeMap<String, Change>,
    ) {
        for (name, change) in changes {
            if change.impact > PlanImpact::InPlace || !self.failed_to_reload(name) {
                continue;
            }
            let planned = plan.services.get(name);
            let can = planned.is_some_and(|service| service.reload.is_some());
            change.impact = if can {
                PlanImpact::Reload
            } else {
                PlanImpact::Restart
            };
            change.reasons.push(WHY.to_owned());
        }
    }

    fn failed_to_reload(&self, name: &str) -> bool {
        let view = self
            .cx
            .names
            .id(name)
            .and_then(|id| self.cx.engine.view(id));
        let outcome = view.and_then(|view| view.last_reload);
        outcome.as_ref().is_some_and(ReloadOutcome::is_failure)
    }
}
