//! The step that puts a new plan in the place of the current one.
//!
//! The step has two halves, since the engine is told between them, and its effects concern all
//! components: [`Reconfigure::begin_apply`] works out what the plan does while the old plan is
//! still there to compare with, [`Reconfigure::end_apply`] puts the new plan on probation and
//! reports to the client.

use std::collections::{BTreeMap, BTreeSet};

use engine::{ProcessImpact, ServiceId};
use plan::{Plan, PlanImpact};

use crate::{
    control::{
        Context, Output,
        monitors::listening::Listening,
        operations::{Operations, Target, targets},
        reconfigure::{
            impact::{ServiceImpact, impacts, known::Known},
            last_word::LastWord,
            probation::{Applied, Verdicts},
            request::PlanSource,
            stage::StagedPlan,
            state::Reconfigure,
        },
    },
    plan_store::Swapped,
    staging::{self, Staged},
};

/// Note on a rollback that is done.
const STILL_IN_FILES: &str = "the files still hold the other configuration: ctl diff-config shows it. A boot does not apply it unless a file changes; ctl reconfigure does";

/// A plan that is taking the place of the current one.
#[derive(Debug)]
pub(in crate::control) struct Applying {
    /// The result of staging: ids and programs, directories that change owner, services that cannot
    /// start.
    pub(in crate::control) staged: Staged,
    /// The impact on each service's process, for the engine.
    pub(in crate::control) shifts: BTreeMap<ServiceId, ProcessImpact>,
    /// Whether this is the daemon's first plan.
    pub(in crate::control) first: bool,
    impacts: Vec<ServiceImpact>,
    /// Changes of the supervisor's own settings, in words.
    site: Vec<String>,
    targets: BTreeMap<ServiceId, Target>,
    /// The result of the swap; none: the plan is the current one.
    swapped: Option<Swapped>,
}

impl Applying {
    /// Whether the plan is, or may be, another than the current one.
    pub(in crate::control) const fn is_new(&self) -> bool {
        self.swapped.is_some()
    }
}

impl Reconfigure {
    /// Makes the plan current. `swapped`: the plan differs from before, or may.
    pub(in crate::control) fn begin_apply(
        &mut self,
        cx: &mut Context,
        known: &Known<'_>,
        operations: &mut Operations,
        listening: &mut Listening,
        staged: StagedPlan,
        swapped: Option<Swapped>,
    ) -> Result<Applying, LastWord> {
        let impacts = impacts(cx, known, &self.attempt, &staged);
        let impacts = impacts.map_err(|error| {
            // Only a shutdown refuses a plan that was checked; a shutdown ends the attempt anyway.
            self.probation.note_swapping(cx, false);
            LastWord::Refused(error)
        })?;
        let targets = self.apply_targets(cx, &impacts);
        let StagedPlan { plan, staged } = staged;
        let site = plan::site_changes(&cx.plan, &plan);
        if !self.attempt.first {
            self.note_way_back(cx, operations, &plan, &targets);
            expect_listening(cx, listening, &impacts, &plan);
        }
        let shifts = impacts.iter().map(|it| (it.service, it.shift)).collect();
        let access = plan.control.clone();
        cx.output(Output::Access(access));
        cx.plan = plan;
        Ok(Applying {
            staged: *staged,
            shifts,
            first: self.attempt.first,
            impacts,
            site,
            targets,
            swapped,
        })
    }

    /// The services by which the operation is judged.
    fn apply_targets(
        &self,
        cx: &Context,
        impacts: &[ServiceImpact],
    ) -> BTreeMap<ServiceId, Target> {
        let changing = impacts.iter().filter(|it| it.is_change());
        let changing: BTreeMap<ServiceId, PlanImpact> =
            changing.map(|it| (it.service, it.action)).collect();
        let mut services: BTreeSet<ServiceId> = changing.keys().copied().collect();
        if services.is_empty() || self.attempt.request.source != PlanSource::Files {
            // Services that the previous plan has not brought up yet count for this attempt too.
            services.extend(self.probation.on_probation(cx));
        }
        let mut targets = targets(cx, services);
        for (service, target) in &mut targets {
            let reloads = match changing.get(service) {
                Some(action) => *action == PlanImpact::Reload,
                None => self.probation.has_reloaded(*service),
            };
            if reloads {
                target.reloads();
            }
        }
        targets
    }

    /// Called once the engine has been told. Returns the operation whose way back this is, if it is
    /// one: its services may have come to rest already.
    pub(in crate::control) fn end_apply(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        verdicts: Verdicts<'_>,
        applying: Applying,
    ) -> Option<String> {
        let notes = self.notes(cx, &applying);
        let Applying {
            impacts,
            targets,
            swapped,
            ..
        } = applying;
        if let Some(swapped) = swapped {
            let risky = impacts.iter().filter(|it| it.is_risky());
            let changed = risky.map(|it| (it.service, it.action == PlanImpact::Reload));
            let applied = Applied {
                by: self.attempt.request.by.clone(),
                changed: changed.collect(),
                first: self.attempt.first,
                rolled_back: self.attempt.loaded.rolled_back,
                swapped,
            };
            self.probation.begin(cx, verdicts, applied);
        }
        let id = self.attempt.request.operation.take()?;
        if self.attempt.request.source == PlanSource::Before {
            operations.accept_way_back(cx, &id, targets, notes);
            return Some(id);
        }
        let rollback = self.probation.rollback();
        operations.accept_reconfigure(cx, &id, targets, notes, rollback);
        None
    }

    /// Notes for the client on what the plan has done.
    fn notes(&self, cx: &Context, applying: &Applying) -> Vec<String> {
        let loaded = &self.attempt.loaded;
        let site = applying.site.iter();
        let site = site.map(|what| format!("supervisor: {what}"));
        let impacts = applying.impacts.iter().filter_map(|it| it.sentence(cx));
        let made = self.made_beside(cx, &applying.impacts);
        let mut notes: Vec<String> = impacts.chain(site).chain(made).collect();
        if notes.is_empty() {
            notes.push("nothing has changed".to_owned());
        }
        notes.splice(0..0, loaded.warnings());
        if let Some(kept) = &loaded.kept {
            let (at, by) = (&kept.at, &kept.by);
            let back = format!("back to the configuration of {at}, asked for by {by}");
            if self.attempt.request.source == PlanSource::Before {
                notes.insert(0, format!("a reload has failed: {back}"));
            } else {
                notes.insert(0, back);
                notes.push(STILL_IN_FILES.to_owned());
            }
        }
        notes
    }

    /// Directories made or changed for services that go on.
    fn made_beside(&self, cx: &Context, impacts: &[ServiceImpact]) -> Vec<String> {
        let changing = impacts.iter().filter(|it| it.is_change());
        let changing: BTreeSet<&str> = changing.map(|it| cx.name(it.service)).collect();
        let host = self.attempt.loaded.host.iter();
        let unsaid = host.filter(|it| {
            let mut services = it.services.iter();
            !services.any(|name| changing.contains(name.as_str()))
        });
        unsaid.filter_map(staging::past).collect()
    }
}

/// Expects changed services to listen where the plan has them listen.
fn expect_listening(
    cx: &mut Context,
    listening: &mut Listening,
    impacts: &[ServiceImpact],
    plan: &Plan,
) {
    for impact in impacts.iter().filter(|it| it.is_risky()) {
        let name = cx.name(impact.service).to_owned();
        let owned = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect();
        let added = owned(plan::added_listens(&cx.plan, plan, &name));
        let dropped = owned(plan::dropped_listens(&cx.plan, plan, &name));
        listening.expect(cx, impact.service, added, dropped);
    }
}
