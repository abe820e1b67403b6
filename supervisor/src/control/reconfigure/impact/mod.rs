//! What a plan does to each service, worked out in one place for a dry run and for the real one.
//!
//! `plan::changes` compares the two plans. What no comparison of plans sees is added: services that
//! lacked something which is there now, or whose last reload has failed (`retries.rs`); what the
//! engine restarts because of others, which a copy of the engine says; how a service stands at this
//! moment (`action.rs`).

mod action;
pub(super) mod known;
mod retries;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{ErrorReply, Preview, ServiceChange};
use engine::{Command, Event, ProcessImpact, ServiceId, State};
use plan::{Change, Plan, PlanImpact, Severity};

use crate::{
    control::{
        Context,
        reconfigure::{attempt::Attempt, impact::known::Known, stage::StagedPlan},
        runs::convert,
    },
    staging::Staged,
};

/// The impact on one service, and the reason.
#[derive(Debug)]
pub(super) struct ServiceImpact {
    pub(super) service: ServiceId,
    /// The impact on the process, for the engine.
    pub(super) shift: ProcessImpact,
    pub(super) action: PlanImpact,
    reasons: Vec<String>,
    note: String,
}

impl ServiceImpact {
    pub(super) fn is_change(&self) -> bool {
        self.action != PlanImpact::Keep
    }

    /// The service has another process or configuration than before, which may turn out not to
    /// work.
    pub(super) const fn is_risky(&self) -> bool {
        matches!(
            self.action,
            PlanImpact::Reload | PlanImpact::Restart | PlanImpact::Start
        )
    }

    /// One line for people, of a service that changes or of which there is something to know.
    pub(super) fn sentence(&self, cx: &Context) -> Option<String> {
        let name = cx.name(self.service);
        if !self.is_change() {
            return (!self.note.is_empty()).then(|| format!("{name} {}", self.note));
        }
        let note = match self.note.as_str() {
            "" => String::new(),
            note => format!(" ({note})"),
        };
        let (verb, why) = (verb(self.action), self.reasons.join(", "));
        Some(format!("{name} {verb}: {why}{note}"))
    }

    fn told(self, cx: &Context) -> ServiceChange {
        ServiceChange {
            name: cx.name(self.service).to_owned(),
            action: self.action,
            reasons: self.reasons,
            note: self.note,
        }
    }
}

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

/// The engine's reaction to a plan, beyond the requested impacts.
#[derive(Debug, Default)]
struct Foresight {
    /// Services that restart, or run again, because of others.
    bounced: BTreeSet<ServiceId>,
    /// Completed services that do not run again.
    resting: BTreeSet<ServiceId>,
}

/// What a new plan does to every service that is enabled, before or after; sorted by name.
pub(super) fn impacts(
    cx: &mut Context,
    known: &Known<'_>,
    attempt: &Attempt,
    StagedPlan { plan, staged }: &StagedPlan,
) -> Result<Vec<ServiceImpact>, ErrorReply> {
    let changes = changes(cx, known, attempt, plan, staged);
    let changes: Vec<(ServiceId, String, Change)> = changes
        .into_iter()
        .map(|(name, change)| (cx.names.intern(&name), name, change))
        .collect();
    let shifts = changes.iter().map(|(id, _, it)| (*id, shift(it.impact)));
    let shifts: BTreeMap<ServiceId, ProcessImpact> = shifts.collect();
    let foresight = if attempt.first {
        Foresight::default()
    } else {
        foresee(cx, plan, &shifts)?
    };
    let Foresight { bounced, resting } = foresight;
    let restarted: Vec<String> = changes
        .iter()
        .filter(|(id, _, it)| it.impact == PlanImpact::Restart || bounced.contains(id))
        .map(|(_, name, _)| name.clone())
        .collect();
    let impacts = changes.into_iter().map(|(service, name, mut change)| {
        let (action, note) = if bounced.contains(&service) {
            let on = needs_of(plan, &name, &restarted);
            change.reasons.push(format!("with {}", on.join(", ")));
            (PlanImpact::Restart, String::new())
        } else {
            match action::of(cx, known.holds, service, change.impact) {
                (PlanImpact::Restart, _) if resting.contains(&service) => {
                    (PlanImpact::InPlace, "it is read at its next run".to_owned())
                }
                other => other,
            }
        };
        let moved = (action == PlanImpact::Keep)
            .then(|| cx.moved_account(service, staged.resolved.get(&name)))
            .flatten();
        ServiceImpact {
            service,
            shift: shift(change.impact),
            action,
            reasons: change.reasons,
            note: moved.unwrap_or(note),
        }
    });
    Ok(impacts.collect())
}

/// What each service has to take, of what the plans and the disk say and of what failed before.
fn changes(
    cx: &Context,
    known: &Known<'_>,
    attempt: &Attempt,
    plan: &Plan,
    staged: &Staged,
) -> BTreeMap<String, Change> {
    let mut changes = plan::changes(&cx.plan, plan);
    let altered = staged.files.iter().filter(|file| file.altered);
    let altered = altered.map(|file| (file.service.as_str(), file.path.as_path()));
    plan::add_altered(&mut changes, plan, altered);
    retries::reload_the_unreloaded(cx, plan, &mut changes);
    let owners = staged.owners.iter();
    let owners = owners.flat_map(|(name, all)| all.iter().map(move |it| (name, it)));
    plan::add_owner_changes(
        &mut changes,
        owners.map(|(name, it)| (name.as_str(), it.path.as_path())),
    );
    for name in retries::mended(cx, known, &attempt.loaded, staged) {
        if let Some(change) = changes.get_mut(&name) {
            change.impact = change.impact.max(PlanImpact::Restart);
            change.reasons.push(retries::LACKED.to_owned());
        }
    }
    for name in retries::validated_anew(cx, plan) {
        if let Some(change) = changes.get_mut(&name) {
            change.impact = change.impact.max(PlanImpact::Restart);
        }
    }
    changes
}

/// What becomes of services that no change of their own explains: a copy of the engine is told, and
/// says so.
fn foresee(
    cx: &mut Context,
    plan: &Arc<Plan>,
    shifts: &BTreeMap<ServiceId, ProcessImpact>,
) -> Result<Foresight, ErrorReply> {
    let specs = specs(cx, plan, shifts);
    let mut engine = cx.engine.clone();
    let accepted = engine.handle(cx.now.moment, Event::Command(Command::Apply(specs)));
    let accepted = accepted.map_err(|refusal| cx.refused(&refusal))?;
    let bounced = accepted.dependents.union(&accepted.reruns);
    let own = |id: &&ServiceId| {
        shifts
            .get(id)
            .is_none_or(|it| *it != ProcessImpact::Restart)
    };
    let rests = |id: &&ServiceId| {
        let view = engine.view(**id);
        view.is_some_and(|view| view.state == State::Completed)
    };
    Ok(Foresight {
        bounced: bounced.filter(own).copied().collect(),
        resting: shifts.keys().filter(rests).copied().collect(),
    })
}

/// The engine's view of a plan.
pub(in crate::control) fn specs(
    cx: &mut Context,
    plan: &Plan,
    shifts: &BTreeMap<ServiceId, ProcessImpact>,
) -> Vec<(ServiceId, Box<engine::Spec>, ProcessImpact)> {
    let enabled = plan.services.values().filter(|it| it.enabled);
    let enabled: Vec<&plan::Service> = enabled.map(AsRef::as_ref).collect();
    for service in &enabled {
        cx.names.intern(&service.name);
    }
    let spec = |service: &&plan::Service| {
        let spec = convert::spec(service, cx.names.ids());
        let id = cx.names.ids()[&service.name];
        let shift = shifts.get(&id).copied().unwrap_or(ProcessImpact::Keep);
        (id, Box::new(spec), shift)
    };
    enabled.iter().map(spec).collect()
}

/// The report of a dry run.
pub(super) fn preview(
    cx: &mut Context,
    known: &Known<'_>,
    attempt: &mut Attempt,
    staged: &StagedPlan,
) -> Result<Preview, ErrorReply> {
    let impacts = impacts(cx, known, attempt, staged)?;
    let loaded = std::mem::take(&mut attempt.loaded);
    let remarks = loaded.remarks.into_iter();
    let remarks = remarks.filter(|it| it.severity != Severity::Error);
    Ok(Preview {
        rollback: loaded.kept,
        services: impacts.into_iter().map(|it| it.told(cx)).collect(),
        site: plan::site_changes(&cx.plan, &staged.plan),
        host: loaded.host,
        checks: loaded.checks,
        remarks: remarks.map(crate::load_plan::to_api).collect(),
    })
}

/// Which of the restarted services this one needs.
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

/// The impact of a change on the process, for the engine.
const fn shift(impact: PlanImpact) -> ProcessImpact {
    match impact {
        PlanImpact::Keep | PlanImpact::InPlace | PlanImpact::Stop => ProcessImpact::Keep,
        PlanImpact::Reload => ProcessImpact::Reload,
        // A service that left with an earlier plan may not be down yet: it runs what that said.
        PlanImpact::Restart | PlanImpact::Start => ProcessImpact::Restart,
    }
}
