//! Invariants during a simulation: of files, of holds, and of how the daemon ends.

use crate::control::{
    input::Task,
    simulation::{run::Simulation, script::Op},
};

impl Simulation {
    /// Whatever was interrupted: the files in place are those of the current plan.
    pub(super) fn judge_files(&self) {
        let Some(control) = &self.control else {
            return;
        };
        let under_way = !control.reconfigure.is_over() || control.reconfigure.is_first();
        if under_way || control.cx.is_stopping() || self.jobs.disk.was_full {
            return;
        }
        let altered = self.jobs.changed(&control.cx.plan);
        assert!(altered.is_empty(), "on disk is another plan's: {altered:?}");
        let candidates = &self.jobs.disk.candidates;
        assert!(candidates.is_empty(), "left behind: {candidates:?}");
    }

    /// Control may die while files are written or put in place, the worst moments for that.
    pub(super) fn note_files(&mut self, job: &Task) {
        if !matches!(job, Task::Stage { .. } | Task::Swap(_)) {
            return;
        }
        if self.mortal && self.grim.percent(8) {
            let soon = self.now + self.grim.between(0, 20);
            self.script.push(soon, Op::Die);
        }
    }

    /// A service has failed that the daemon may not go on without.
    pub(super) fn one_failed(&self) -> bool {
        let control = self.control.as_ref();
        control.is_some_and(|it| it.daemon.shutdown.has_failed())
    }

    pub(super) fn judge_quit(&self, code: u8) {
        let nothing_worked = self.keeper.records.keys().all(|name| name.starts_with('@'));
        let refused = code == crate::exit::CONFIGURATION && nothing_worked;
        assert!(
            self.terminated || refused || (self.one_failed() && code == 1),
            "quits with {code} unasked"
        );
    }

    /// The keeper or the disk knows every hold that a client heard of, whatever process has died.
    pub(super) fn judge_holds(&self) {
        let (records, disk) = (&self.keeper.records, &self.jobs.disk.holds);
        let all = records.get("@holds").map_or("", String::as_str);
        for name in &self.clients.held {
            let told = all.contains(&format!("\"{name}\":"));
            let known = told || records.contains_key(name) || disk.contains_key(name);
            assert!(known, "nobody knows that {name} is held");
        }
    }

    /// A control process that takes over, and to which nothing is told, drops no service.
    pub(super) fn judge_forget(&self, service: &str) {
        let record = &self.keeper.records[service];
        let removing = record.contains("\"removing\":true");
        // A service that was new in a plan not applied to the end comes in again.
        let plan = self.keeper.records.get("@plan");
        let applied = plan.is_none_or(|plan| {
            let plan: plan::Plan = serde_json::from_str(plan).unwrap();
            plan.services.get(service).is_some_and(|it| it.enabled)
        });
        assert!(
            removing || !applied,
            "{service} is dropped because control has died"
        );
    }
}
