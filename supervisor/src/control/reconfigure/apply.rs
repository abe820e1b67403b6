//! The step after which everything is different: candidates are swapped in and the engine is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{ErrorKind, ErrorReply};
use engine::Settled;
use plan::Plan;

use crate::{
    control::{
        Control, Job, Output,
        input::Swap,
        reconfigure::{LastWord, PlanSource, Stage, impact::ServiceImpact},
    },
    plan_store::Swapped,
    staging::{self, Staged},
};

/// Said of a rollback that is done.
const STILL_IN_FILES: &str = "the files still hold the other configuration: ctl diff-config shows it. A boot does not apply it unless a file changes; ctl reconfigure does";

impl Control {
    /// All is right: this is how far a dry run goes.
    pub(super) fn ready_to_swap(&mut self, plan: Arc<Plan>, staged: Box<Staged>) {
        if self.reconfigure.request.preview.is_some() {
            let last = match self.preview(&plan, &staged) {
                Ok(preview) => LastWord::Preview(Box::new(preview)),
                Err(error) => LastWord::Refused(error),
            };
            self.discard_and_say(*staged, last);
            return;
        }
        if self.runs_already(&plan, &staged) {
            self.apply(plan, *staged, None);
            return;
        }
        let before = (!self.reconfigure.first).then(|| {
            let (mark, not_up) = (self.probation.mark().clone(), self.not_up());
            (Arc::clone(&self.cx.plan), mark, not_up)
        });
        self.note_swapping(true);
        let swap = Swap {
            plan: Arc::clone(&plan),
            staged: staged.files.clone(),
            modes: staged.modes.clone(),
            mark: self.reconfigure.request.mark.clone(),
            rejected: self.reconfigure.loaded.rejected.take(),
            before,
        };
        self.cx.job(Job::Swap(Box::new(swap)));
        self.reconfigure.stage = Stage::Swapping { plan, staged };
    }

    /// Nothing has to be written, on no disk.
    fn runs_already(&self, plan: &Arc<Plan>, staged: &Staged) -> bool {
        let disk = staged.files.is_empty() && staged.modes.is_empty();
        let same = !self.reconfigure.first && disk && **plan == *self.cx.plan;
        same && self.probation.is_stored_as_files_have_it()
    }

    /// Enabled services that are not as somebody wants them.
    pub(super) fn not_up(&self) -> Vec<String> {
        let mut enabled = self.enabled();
        let is_job = |name: &String| self.cx.plan.services.get(name).is_some_and(|it| it.job);
        enabled.retain(|name| {
            !is_job(name)
                && !matches!(
                    self.settled(name),
                    Some(Settled::Ready | Settled::Completed | Settled::Held)
                )
        });
        enabled
    }

    pub(super) fn on_swapped(&mut self, result: Result<Swapped, String>) {
        let Stage::Swapping { plan, mut staged } = std::mem::take(&mut self.reconfigure.stage)
        else {
            return;
        };
        let swapped = match result {
            Ok(mut swapped) => {
                let mut spoiled = std::mem::take(&mut swapped.spoiled);
                self.reconfigure.loaded.spoiled(&spoiled);
                staged.broken.append(&mut spoiled);
                Some(swapped)
            }
            Err(error) if !self.reconfigure.first => {
                self.note_swapping(false);
                let message = format!("cannot put the new configuration in place: {error}");
                let hint = Some("nothing has changed");
                self.give_up(ErrorKind::Configuration, message, hint);
                return;
            }
            Err(error) => {
                tracing::error!("cannot store the plan or its files: {error}");
                None
            }
        };
        self.apply(plan, *staged, Some(swapped.unwrap_or_default()));
    }

    /// The plan runs from here on. `swapped`: it is another than before, or may be.
    fn apply(&mut self, plan: Arc<Plan>, staged: Staged, swapped: Option<Swapped>) {
        let impacts = match self.impacts(&plan, &staged) {
            Ok(impacts) => impacts,
            // Only a shutdown refuses a plan that was checked; it ends all of this anyway.
            Err(error) => {
                self.cannot_apply(error);
                return;
            }
        };
        let left = self.on_probation();
        let moved = impacts.iter().filter(|it| it.is_change());
        let mut names: Vec<String> = moved.map(|it| it.name.clone()).collect();
        if names.is_empty() || self.reconfigure.request.source != PlanSource::Files {
            // What the last change has not brought up yet is what this one is judged by.
            let left = left.into_iter().filter(|it| !names.contains(it));
            names.extend(left.collect::<Vec<_>>());
        }
        let mut targets = self.targets(&names);
        for (name, target) in &mut targets {
            let reloads = match impacts.iter().find(|it| it.name == *name && it.is_change()) {
                Some(it) => it.action == plan::PlanImpact::Reload,
                None => self.probation.has_reloaded(name),
            };
            if reloads {
                target.reloads();
            }
        }
        let site = plan::site_changes(&self.cx.plan, &plan);
        if !self.reconfigure.first {
            self.note_way_back(&plan, &targets);
            self.expect_listening(&impacts, &plan);
        }
        self.cx.plan = plan;
        let owners = &staged.owners;
        let changes_hands = |name: &str| owners.contains_key(name);
        self.starts
            .begin_plan(&mut self.cx, staged.resolved, changes_hands);
        self.starts.note_broken(&mut self.cx, staged.broken);
        let access = self.cx.plan.control.clone();
        self.cx.outputs.push_back(Output::Access(access));
        if self.reconfigure.first {
            // Nothing runs that a plan half-applied could leave behind, but much to be lost.
            self.remember_plan();
        }
        let shifts: BTreeMap<_, _> = impacts
            .iter()
            .map(|it| (it.name.clone(), it.shift))
            .collect();
        let made = self.made_beside(&impacts);
        self.apply_to_engine(&shifts);
        self.starts.end_plan();
        self.schedule_follows_plan(staged.zone);
        let notes = self.notes_on_impacts(&impacts, &site, made);
        let is_new = swapped.is_some();
        if let Some(swapped) = swapped {
            self.begin_probation(&impacts, swapped);
        }
        match (
            self.reconfigure.request.change.take(),
            self.reconfigure.request.source,
        ) {
            (Some(id), PlanSource::Before) => self.accept_way_back(&id, targets, notes),
            (Some(id), PlanSource::Files | PlanSource::Kept) => {
                let rollback = self.probation.rollback();
                self.accept_reconfigure(&id, targets, notes, rollback);
            }
            (None, _) => {}
        }
        if is_new {
            self.remember_plan();
        }
        self.end_reconfigure();
    }

    /// Directories that were made or changed of services that go on.
    fn made_beside(&self, impacts: &[ServiceImpact]) -> Vec<String> {
        let changing = impacts.iter().filter(|it| it.is_change());
        let changing: BTreeSet<&str> = changing.map(|it| it.name.as_str()).collect();
        let host = self.reconfigure.loaded.host.iter();
        let unsaid = host.filter(|it| {
            let mut services = it.services.iter();
            !services.any(|name| changing.contains(name.as_str()))
        });
        unsaid.filter_map(staging::past).collect()
    }

    fn notes_on_impacts(
        &self,
        impacts: &[ServiceImpact],
        site: &[String],
        made: Vec<String>,
    ) -> Vec<String> {
        let site = site.iter().map(|what| format!("supervisor: {what}"));
        let impacts = impacts.iter().filter_map(ServiceImpact::sentence);
        let mut notes: Vec<String> = impacts.chain(site).chain(made).collect();
        if notes.is_empty() {
            notes.push("nothing has changed".to_owned());
        }
        notes.splice(0..0, self.reconfigure.loaded.warnings());
        if let Some(kept) = &self.reconfigure.loaded.kept {
            let (at, by) = (&kept.at, &kept.by);
            let back = format!("back to the configuration of {at}, asked for by {by}");
            if self.reconfigure.request.source == PlanSource::Before {
                notes.insert(0, format!("a reload has failed: {back}"));
            } else {
                notes.insert(0, back);
                notes.push(STILL_IN_FILES.to_owned());
            }
        }
        notes
    }

    fn cannot_apply(&mut self, error: ErrorReply) {
        self.note_swapping(false);
        self.give_up(error.kind, error.message, error.hint.as_deref());
    }
}
