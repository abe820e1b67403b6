//! What a change of the plan means for a service as it stands at this moment, with a note on why.

use engine::{Goal, Hold, ServiceId, State, View};
use plan::PlanImpact;

use crate::control::{Context, holds::Holds, service_state::service_state, text};

/// What becomes of a service that has to take this much of a plan.
pub(super) fn of(
    cx: &Context,
    holds: &Holds,
    service: ServiceId,
    impact: PlanImpact,
) -> (PlanImpact, String) {
    let plain = |action| (action, String::new());
    match (impact, cx.engine.view(service)) {
        (PlanImpact::Keep, _) => plain(PlanImpact::Keep),
        (PlanImpact::InPlace, _) | (PlanImpact::Stop, None) => plain(PlanImpact::InPlace),
        (PlanImpact::Start, _) => match holds.of(cx.name(service)) {
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
        (PlanImpact::Reload | PlanImpact::Restart, Some(view)) => renewal(cx, impact, &view),
    }
}

/// How a service that is in the plan already takes what its process has to take.
fn renewal(cx: &Context, impact: PlanImpact, view: &View) -> (PlanImpact, String) {
    let in_place = |note: String| (PlanImpact::InPlace, note);
    match &view.state {
        State::Stopped => in_place(match &view.hold {
            Some(hold) => stays_stopped(hold),
            None => "it does not run now".to_owned(),
        }),
        State::Waiting { on } => {
            let on: Vec<&str> = on.iter().map(|id| cx.name(*id)).collect();
            in_place(format!("it waits for {}", on.join(", ")))
        }
        State::Stopping { .. } if view.goal == Goal::Up => (
            PlanImpact::Restart,
            "it is being stopped already".to_owned(),
        ),
        State::Stopping { .. } => in_place("it is being stopped".to_owned()),
        State::Failed { .. } | State::Backoff { .. } => (
            PlanImpact::Start,
            format!("it is in {} now", service_state(&view.state).as_str()),
        ),
        State::Running { .. } | State::Reloading { .. } if impact == PlanImpact::Reload => {
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

fn stays_stopped(hold: &Hold) -> String {
    let at = text::time(hold.at_unix_ms);
    format!("stopped by {} at {at}, and stays so", hold.by)
}
