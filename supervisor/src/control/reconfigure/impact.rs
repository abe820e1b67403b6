//! What a plan does to each service, worked out in one place for a dry run and for the real one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{ErrorReply, Preview, ServiceChange};
use engine::{Command, Event, Goal, Shift, State, View};
use plan::{Plan, PlanImpact, Severity};

use crate::{
    control::{Control, runs::convert, text},
    staging::Staged,
};

/// Why one starts that has not changed.
const LACKED: &str = "what it lacked is there now";

/// As a sentence about a service says it.
const fn verb(impact: PlanImpact) -> &'static str {
    match impact {
        PlanImpact::Keep => "goes on",
        PlanImpact::InPlace => "updated in place",
        PlanImpact::Reload => "reloads",
        PlanImpact::Restart => "restarts",
        PlanImpact::Start => "starts",
        PlanImpact::Stop => "stops",
    }
}

/// What becomes of one service, and why.
#[derive(Debug)]
pub(super) struct ServiceImpact {
    pub(super) name: String,
    /// What the engine is told.
    pub(super) shift: Shift,
    pub(super) action: PlanImpact,
    reasons: Vec<String>,
    note: String,
}

impl ServiceImpact {
    pub(super) fn is_change(&self) -> bool {
        self.action != PlanImpact::Keep
    }

    /// It has another process or configuration than before, which may turn out not to work.
    pub(super) const fn is_risky(&self) -> bool {
        matches!(
            self.action,
            PlanImpact::Reload | PlanImpact::Restart | PlanImpact::Start
        )
    }

    /// One line for people, of one that changes or of which there is something to know.
    pub(super) fn sentence(&self) -> Option<String> {
        if !self.is_change() {
            let known = !self.note.is_empty();
            return known.then(|| format!("{} {}", self.name, self.note));
        }
        let note = match self.note.as_str() {
            "" => String::new(),
            note => format!(" ({note})"),
        };
        let (name, verb, why) = (&self.name, verb(self.action), self.reasons.join(", "));
        Some(format!("{name} {verb}: {why}{note}"))
    }

    fn told(self) -> ServiceChange {
        ServiceChange {
            name: self.name,
            action: self.action,
            reasons: self.reasons,
            note: self.note,
        }
    }
}

/// What the engine would make of a plan, beyond what is asked of it.
#[derive(Debug, Default)]
struct Foresight {
    /// Services that restart, or run again, because of others.
    bounced: BTreeSet<String>,
    /// Completed services that stay so.
    resting: BTreeSet<String>,
}

impl Control {
    /// What a new plan does to every service that is enabled, before or after.
    pub(super) fn impacts(
        &mut self,
        plan: &Arc<Plan>,
        staged: &Staged,
    ) -> Result<Vec<ServiceImpact>, ErrorReply> {
        let mut changes = plan::changes(&self.cx.plan, plan);
        let files = staged
            .files
            .iter()
            .filter(|file| file.altered)
            .map(|file| (file.service.as_str(), file.path.as_path()));
        plan::add_altered(&mut changes, plan, files);
        self.reload_the_unreloaded(plan, &mut changes);
        let owners = staged.owners.iter();
        let owners = owners.flat_map(|(name, all)| all.iter().map(move |it| (name, it)));
        plan::add_owner_changes(
            &mut changes,
            owners.map(|(name, it)| (name.as_str(), it.path.as_path())),
        );
        for name in self.mended(staged) {
            if let Some(change) = changes.get_mut(&name) {
                change.impact = change.impact.max(PlanImpact::Restart);
                change.reasons.push(LACKED.to_owned());
            }
        }
        for name in self.judged_anew(plan) {
            if let Some(change) = changes.get_mut(&name) {
                change.impact = change.impact.max(PlanImpact::Restart);
            }
        }
        let shifts: BTreeMap<String, Shift> = changes
            .iter()
            .map(|(name, change)| (name.clone(), shift(change.impact)))
            .collect();
        let Foresight { bounced, resting } = self.foresee(plan, &shifts)?;
        let restarted: Vec<String> = changes
            .iter()
            .filter(|(name, change)| {
                change.impact == PlanImpact::Restart || bounced.contains(name.as_str())
            })
            .map(|(name, _)| name.clone())
            .collect();
        let impacts = changes.into_iter().map(|(name, mut change)| {
            let (action, note) = if bounced.contains(&name) {
                let on = needs_of(plan, &name, &restarted);
                change.reasons.push(format!("with {}", on.join(", ")));
                (PlanImpact::Restart, String::new())
            } else {
                match self.action(&name, change.impact) {
                    (PlanImpact::Restart, _) if resting.contains(&name) => {
                        (PlanImpact::InPlace, "it is read at its next run".to_owned())
                    }
                    other => other,
                }
            };
            let note = match action {
                PlanImpact::Keep => {
                    let id = self.cx.names.id(&name);
                    id.and_then(|id| self.cx.moved_account(id, staged.resolved.get(&name)))
                }
                _ => None,
            }
            .unwrap_or(note);
            ServiceImpact {
                shift: shift(change.impact),
                name,
                action,
                reasons: change.reasons,
                note,
            }
        });
        Ok(impacts.collect())
    }

    /// What becomes of services that no change of their own explains: a copy of the engine is told, and
    /// says so.
    fn foresee(
        &mut self,
        plan: &Arc<Plan>,
        shifts: &BTreeMap<String, Shift>,
    ) -> Result<Foresight, ErrorReply> {
        if self.reconfigure.first {
            return Ok(Foresight::default());
        }
        let specs = self.specs(plan, shifts);
        let mut engine = self.cx.engine.clone();
        let accepted = engine.handle(self.cx.now.moment, Event::Command(Command::Apply(specs)));
        let accepted = accepted.map_err(|refusal| self.cx.refused(&refusal))?;
        let bounced = accepted.dependents.union(&accepted.reruns);
        let bounced = bounced.filter_map(|id| self.cx.names.name(*id));
        let own = |name: &&str| shifts.get(*name).is_none_or(|it| *it != Shift::Restart);
        let rests = |name: &&String| {
            let view = self.cx.names.id(name).and_then(|id| engine.view(id));
            view.is_some_and(|view| view.state == State::Completed)
        };
        Ok(Foresight {
            bounced: bounced.filter(own).map(str::to_owned).collect(),
            resting: shifts.keys().filter(rests).cloned().collect(),
        })
    }

    /// The engine's view of a plan.
    pub(in crate::control) fn specs(
        &mut self,
        plan: &Plan,
        shifts: &BTreeMap<String, Shift>,
    ) -> Vec<(engine::ServiceId, Box<engine::Spec>, Shift)> {
        let enabled = plan.services.values().filter(|it| it.enabled);
        let enabled: Vec<&plan::Service> = enabled.map(AsRef::as_ref).collect();
        for service in &enabled {
            self.cx.names.intern(&service.name);
        }
        let spec = |service: &&plan::Service| {
            let spec = convert::spec(service, self.cx.names.ids());
            let shift = shifts.get(&service.name).copied().unwrap_or(Shift::Keep);
            (self.cx.names.ids()[&service.name], Box::new(spec), shift)
        };
        enabled.iter().map(spec).collect()
    }

    /// What a change means for a service as it is now.
    fn action(&self, name: &str, kind: PlanImpact) -> (PlanImpact, String) {
        let id = self.cx.names.id(name);
        let view = id.and_then(|id| self.cx.engine.view(id));
        let plain = |action| (action, String::new());
        match (kind, view) {
            (PlanImpact::Keep, _) => plain(PlanImpact::Keep),
            (PlanImpact::InPlace, _) | (PlanImpact::Stop, None) => plain(PlanImpact::InPlace),
            (PlanImpact::Start, _) => match self.holds.of(name) {
                Some(hold) => (PlanImpact::InPlace, stays_stopped(hold)),
                None => plain(PlanImpact::Start),
            },
            (PlanImpact::Stop, Some(view)) => match view.state {
                State::Stopped | State::Failed { .. } | State::Completed => {
                    (PlanImpact::InPlace, "it does not run now".to_owned())
                }
                _ => plain(PlanImpact::Stop),
            },
            (PlanImpact::Reload | PlanImpact::Restart, None) => plain(PlanImpact::Start),
            (PlanImpact::Reload | PlanImpact::Restart, Some(view)) => self.renewal(kind, &view),
        }
    }

    /// How one that is in the plan already takes what only a process can.
    fn renewal(&self, kind: PlanImpact, view: &View) -> (PlanImpact, String) {
        let in_place = |note: String| (PlanImpact::InPlace, note);
        match &view.state {
            State::Stopped => in_place(match &view.hold {
                Some(hold) => stays_stopped(hold),
                None => "it does not run now".to_owned(),
            }),
            State::Waiting { on } => {
                let on = on.iter().filter_map(|id| self.cx.names.name(*id));
                let on: Vec<_> = on.collect();
                in_place(format!("it waits for {}", on.join(", ")))
            }
            State::Stopping { .. } if view.goal == Goal::Up => (
                PlanImpact::Restart,
                "it is being stopped already".to_owned(),
            ),
            State::Stopping { .. } => in_place("it is being stopped".to_owned()),
            State::Failed { .. } | State::Backoff { .. } => (
                PlanImpact::Start,
                format!("it is in {} now", view.state.name()),
            ),
            State::Running { .. } | State::Reloading { .. } if kind == PlanImpact::Reload => {
                (PlanImpact::Reload, String::new())
            }
            State::Running { .. }
            | State::Reloading { .. }
            | State::Validating { .. }
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Completed => (PlanImpact::Restart, String::new()),
        }
    }

    /// What a dry run ends with.
    pub(super) fn preview(
        &mut self,
        plan: &Arc<Plan>,
        staged: &Staged,
    ) -> Result<Preview, ErrorReply> {
        let impacts = self.impacts(plan, staged)?;
        let found = std::mem::take(&mut self.reconfigure.loaded);
        let remarks = found
            .remarks
            .into_iter()
            .filter(|it| it.severity != Severity::Error);
        Ok(Preview {
            rollback: found.kept,
            services: impacts.into_iter().map(ServiceImpact::told).collect(),
            site: plan::site_changes(&self.cx.plan, plan),
            host: found.host,
            checks: found.checks,
            remarks: remarks.map(crate::load_plan::to_api).collect(),
        })
    }
}

fn stays_stopped(hold: &engine::Hold) -> String {
    let at = text::time(hold.at_unix_ms);
    format!("stopped by {} at {at}, and stays so", hold.by)
}

/// What of the restarted ones a service needs.
fn needs_of(plan: &Plan, name: &str, restarted: &[String]) -> Vec<String> {
    let Some(service) = plan.services.get(name) else {
        return Vec::new();
    };
    let needs = service.requires.union(&service.binds_to);
    needs
        .filter(|on| restarted.contains(on))
        .map(|on| format!("{on}, which it requires"))
        .collect()
}

/// What the engine is told of a change.
const fn shift(kind: PlanImpact) -> Shift {
    match kind {
        PlanImpact::Keep | PlanImpact::InPlace | PlanImpact::Stop => Shift::Keep,
        PlanImpact::Reload => Shift::Reload,
        // One that left with an earlier plan may not be down yet: it runs what was then.
        PlanImpact::Restart | PlanImpact::Start => Shift::Restart,
    }
}
