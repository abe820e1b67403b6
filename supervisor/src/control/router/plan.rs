//! Effects of a new current plan: the engine's services, and the targets of each monitor.

use std::{collections::BTreeMap, sync::Arc};

use engine::{Command, Goal, ProcessImpact, Record, ServiceId};

use crate::control::{Control, reconfigure::specs};

impl Control {
    /// Tells the engine about the plan; services that are new may carry a hold from before.
    pub(in crate::control) fn apply_to_engine(
        &mut self,
        shifts: &BTreeMap<ServiceId, ProcessImpact>,
    ) {
        let enabled: Vec<String> = self
            .cx
            .plan
            .services
            .values()
            .filter(|it| it.enabled)
            .map(|it| it.name.clone())
            .collect();
        for name in &enabled {
            let id = self.cx.names.intern(name);
            if let Some(hold) = self.holds.of(name).cloned()
                && self.cx.engine.view(id).is_none()
                && !self.cx.engine.is_restored(id)
            {
                self.cx
                    .engine
                    .restore(id, Record::at_rest(Goal::Down, Some(hold)));
            }
        }
        let plan = Arc::clone(&self.cx.plan);
        let specs = specs(&mut self.cx, &plan, shifts);
        if let Err(refusal) = self.command(Command::Apply(specs)) {
            let error = self.cx.refused(&refusal);
            tracing::error!("the plan cannot be applied: {}", error.message);
            self.reconfigure.note_not_applied(error.message);
        }
        self.log_readiness.follow_plan(&mut self.cx);
        self.hear_ready_words();
        self.monitors.host_checks.follow_plan(&self.cx);
        self.monitors.file_watch.follow_plan(&mut self.cx);
        self.status_files.follow_plan(&self.cx.plan);
    }
}
