//! The state table in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};

use engine::*;

use super::SUT;
use crate::common::*;

/// For each state and event: the next states, each with its effects.
pub(crate) type Table = BTreeMap<(usize, String), BTreeMap<String, BTreeSet<String>>>;

pub(crate) const LABELS: [&str; 15] = [
    "stopped",
    "waiting",
    "validating",
    "spawning",
    "starting",
    "running",
    "reloading",
    "stopping: asked",
    "stopping: killed",
    "stopping: sweep",
    "backoff",
    "failed",
    "failed: leftovers",
    "completed",
    "gone",
];

pub(crate) fn label(rig: &Rig) -> usize {
    let name = match rig.state(SUT) {
        State::Validating { .. } => "validating",
        State::Stopping {
            phase: StopPhase::Asked { .. },
            ..
        } => "stopping: asked",
        State::Stopping {
            phase: StopPhase::Killed { .. },
            ..
        } => "stopping: killed",
        State::Stopping {
            phase: StopPhase::Sweep { .. },
            ..
        } => "stopping: sweep",
        State::Failed {
            reason: Failure::Leftovers { .. },
        } => "failed: leftovers",
        other => other.name(),
    };
    LABELS
        .iter()
        .position(|it| *it == name)
        .expect("every state has a label")
}

pub(crate) fn effect_names(effects: &[Effect]) -> String {
    let names = effects.iter().filter_map(|effect| match effect {
        Effect::Validate { service, .. } if *service == id(SUT) => Some("validate"),
        Effect::Spawn { service, .. } if *service == id(SUT) => Some("spawn"),
        Effect::Signal {
            service,
            purpose: SignalPurpose::Stop,
            ..
        } if *service == id(SUT) => Some("stop signal"),
        Effect::Signal { service, .. } if *service == id(SUT) => Some("reload signal"),
        Effect::Kill { service, .. } if *service == id(SUT) => Some("kill"),
        Effect::Probe { service, .. } if *service == id(SUT) => Some("probe"),
        Effect::ReloadCommand { .. } => Some("reload command"),
        _ => None,
    });
    names.collect::<Vec<_>>().join(", ")
}

pub(crate) fn render(table: &Table) -> String {
    let mut text = String::from("| state | event | next state | effects |\n|---|---|---|---|\n");
    for ((from, event), outcomes) in table {
        for (to, effects) in outcomes {
            let mut effects: Vec<_> = effects.iter().map(String::as_str).collect();
            if effects.len() > 1 && effects[0].is_empty() {
                effects[0] = "none";
            }
            let effects = effects.join(" or ");
            let from = LABELS[*from];
            text.extend(["| ", from, " | ", event, " | ", to, " | ", &effects, " |\n"]);
        }
    }
    text
}

pub(crate) const BEGIN: &str = "<!-- state table -->\n";
pub(crate) const END: &str = "<!-- /state table -->";
