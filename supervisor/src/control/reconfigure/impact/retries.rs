//! Services that a comparison of plans leaves as they are, though something of them has failed:
//! `ctl reconfigure` tries again.

use std::collections::BTreeMap;

use engine::{Goal, ReloadOutcome, State, View};
use plan::{Change, Plan, PlanImpact};

use crate::{
    control::{
        Context,
        reconfigure::{impact::known::Known, load_result::LoadResult},
    },
    staging::Staged,
};

/// Why a service starts that has not changed.
pub(super) const LACKED: &str = "what it lacked is there now";
const UNRELOADED: &str = "its last reload has failed";

/// Services that could not start for want of an account, a directory or a program, and have it now.
/// Whoever mends that says `ctl reconfigure`. Sorted by name.
pub(super) fn mended(
    cx: &Context,
    known: &Known<'_>,
    loaded: &LoadResult,
    staged: &Staged,
) -> Vec<String> {
    let has_it = staged.resolved.iter().filter(|(name, resolved)| {
        let found = resolved.is_ok() || loaded.would_have_account(name);
        found && !staged.broken.contains_key(name.as_str())
    });
    let failed = |view: &View| matches!(view.state, State::Failed { .. }) && view.goal == Goal::Up;
    let names = has_it.map(|(name, _)| name);
    let names = names.filter(|name| {
        cx.names
            .id(name)
            .is_some_and(|id| known.starts.is_lacking(id))
    });
    let names = names.filter(|name| view(cx, name).as_ref().is_some_and(failed));
    names.cloned().collect()
}

/// Services that are down and would be validated otherwise before a start: they are not left to
/// wait for their next try.
pub(super) fn validated_anew(cx: &Context, plan: &Plan) -> Vec<String> {
    let down = |view: &View| {
        let down = matches!(view.state, State::Failed { .. } | State::Backoff { .. });
        down && view.goal == Goal::Up
    };
    let otherwise = |service: &plan::Service| {
        let before = cx.plan.services.get(&service.name);
        before.is_some_and(|before| before.validate != service.validate)
    };
    let services = plan.services.values().map(AsRef::as_ref);
    let found = services.filter(|it| otherwise(it));
    let found = found.filter(|it| view(cx, &it.name).as_ref().is_some_and(down));
    found.map(|service| service.name.clone()).collect()
}

/// Has services take their configuration that would only go on, though their last reload has
/// failed: as far as is known, they do not run with the configuration of the plan.
pub(super) fn reload_the_unreloaded(
    cx: &Context,
    plan: &Plan,
    changes: &mut BTreeMap<String, Change>,
) {
    for (name, change) in changes {
        let outcome = view(cx, name).and_then(|view| view.last_reload);
        let failed = outcome.as_ref().is_some_and(ReloadOutcome::is_failure);
        if change.impact > PlanImpact::InPlace || !failed {
            continue;
        }
        let planned = plan.services.get(name);
        let can = planned.is_some_and(|service| service.reload.is_some());
        change.impact = if can {
            PlanImpact::Reload
        } else {
            PlanImpact::Restart
        };
        change.reasons.push(UNRELOADED.to_owned());
    }
}

fn view(cx: &Context, name: &str) -> Option<View> {
    cx.engine.view(cx.names.id(name)?)
}
