//! Addresses that a reload cannot move.
//!
//! A program that reloads binds its new addresses while it still has its old ones, and nobody says
//! when it has let go of those. So an address that overlaps one that its own service gives up takes
//! a restart; and so does one that goes from one service to another: of both, since the one that is
//! to have the address waits until a run that ends has let go of it, and for nothing else.

use std::collections::BTreeMap;

use api::PlanImpact;

use crate::{
    check::ports::overlap,
    compare::change::Change,
    model::{Plan, Service},
};

/// Turns reloads that cannot do what `listens` says into restarts.
pub(crate) fn check(old: &Plan, new: &Plan, changes: &mut BTreeMap<String, Change>) {
    let mut restarts: Vec<(String, String)> = Vec::new();
    for (name, change) in &*changes {
        if change.impact <= PlanImpact::InPlace {
            continue;
        }
        for address in added(old, new, name) {
            for (giver, given) in given_up(old, new, changes) {
                if !overlap(address, given) {
                    continue;
                }
                if giver == name {
                    let why = format!("it has {address} only once it has let go of {given}");
                    restarts.push((name.clone(), why));
                } else {
                    restarts.push((name.clone(), format!("{address} comes to it from {giver}")));
                    restarts.push((giver.clone(), format!("{given} goes from it to {name}")));
                }
            }
        }
    }
    for (name, why) in restarts {
        if let Some(change) = changes.get_mut(&name)
            && change.impact == PlanImpact::Reload
        {
            change.because(PlanImpact::Restart, why);
        }
    }
}

/// Addresses that a service is to listen on and did not before, by the plans.
pub fn added<'p>(old: &Plan, new: &'p Plan, name: &str) -> Vec<&'p str> {
    let before = enabled(old, name).map_or(&[][..], |it| &it.listens);
    let after = enabled(new, name).map_or(&[][..], |it| &it.listens);
    differ(after, before)
}

/// Addresses that a service listens on and is not to any more, by the plans.
pub fn dropped<'p>(old: &'p Plan, new: &Plan, name: &str) -> Vec<&'p str> {
    added(new, old, name)
}

/// Addresses that processes give up, each with its service.
fn given_up<'c>(
    old: &'c Plan,
    new: &Plan,
    changes: &'c BTreeMap<String, Change>,
) -> impl Iterator<Item = (&'c String, &'c str)> {
    let moved = changes
        .iter()
        .filter(|(_, it)| it.impact > PlanImpact::InPlace);
    let given = moved.map(|(name, _)| (name, dropped(old, new, name)));
    let given: Vec<_> = given.collect();
    given
        .into_iter()
        .flat_map(|(name, given)| given.into_iter().map(move |it| (name, it)))
}

fn enabled<'p>(plan: &'p Plan, name: &str) -> Option<&'p Service> {
    let service = plan.services.get(name)?;
    service.enabled.then_some(&**service)
}

fn differ<'a>(these: &'a [String], those: &[String]) -> Vec<&'a str> {
    let only = these.iter().filter(|it| !those.contains(it));
    only.map(String::as_str).collect()
}
