//! Exhaustive search: every state that one service (with one dependency) can reach, in every world:
//! obedient, stubborn, dying at once, never ready, with leftovers, telling stale facts.
//!
//! Every step checks safety (see `common`), and every state checks liveness. The search also writes
//! the state table of ARCHITECTURE.md; `UPDATE_STATE_TABLE=1` rewrites the table.

mod checks;
mod moves;
mod subjects;
mod table;

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    thread,
};

use checks::*;
use engine::*;
use moves::*;
use serde_json::Value;
use subjects::*;
use table::*;

use crate::common::*;

const DEP: u32 = 0;
const SUT: u32 = 1;
/// Longest time from SIGKILL for the remaining runs to the end of the shutdown, with its own
/// deadline.
const SHUTDOWN_MS_MAX: u64 = 30 + 10_000;
/// Upper limit of states: more mean that some value grows without end.
const MOST_STATES: usize = 20_000;

/// The state of the whole rig without values that grow: times become relative, and runs are
/// renumbered.
fn key(rig: &Rig) -> String {
    let mut procs: Vec<(RunId, Proc)> = rig.procs.iter().map(|(run, it)| (*run, *it)).collect();
    for (_, dead) in procs.iter_mut().filter(|(_, it)| it.phase == Phase::Dead) {
        (dead.asked, dead.killed) = (false, false);
    }
    procs.sort_by_key(|(run, it)| (it.service, *run));
    let runs: Vec<u64> = procs.iter().map(|(run, _)| run.0).collect();
    let rename = |run: u64| {
        runs.iter()
            .position(|it| *it == run)
            .map_or(99, |at| at as u64)
    };
    let mut record = serde_json::to_value(rig.engine.record(id(SUT))).expect("a record");
    canon(&mut record, rig.now.0, &rename);
    let procs: Vec<_> = procs.into_iter().map(|(_, it)| it).collect();
    // Probes about a past reload all count as one.
    let probes: BTreeSet<_> = rig
        .probes
        .iter()
        .map(|(run, kind)| (rename(run.0), asked_now(rig, *kind)))
        .collect();
    let dep = rig
        .engine
        .view(id(DEP))
        .map(|it| (it.goal, it.state.name(), it.lease.is_some()));
    format!("{record} {procs:?} {probes:?} {dep:?}")
}

/// A probe, and whether it concerns a past reload.
fn asked_now(rig: &Rig, kind: ProbeKind) -> (ProbeKind, bool) {
    let ProbeKind::Confirm(of) = kind else {
        return (kind, false);
    };
    let now = matches!(rig.state(SUT), State::Reloading { number, .. } if number == Some(of));
    (ProbeKind::Confirm(RunId(0)), !now)
}

fn canon(value: &mut Value, now: u64, rename: &impl Fn(u64) -> u64) {
    match value {
        Value::Object(map) => {
            // Values that are only shown decide nothing.
            for drop in [
                "since",
                "ready_since",
                "detail",
                "restarts",
                "spawned_at",
                "stop",
                "failed",
                "killed",
                "why",
            ] {
                map.remove(drop);
            }
            if let Some(pending) = map.get_mut("restart_pending") {
                *pending = (!pending.is_null()).into();
            }
            if let Some(cause) = map.get_mut("cause").filter(|it| it.get("Asked").is_some()) {
                *cause = "Asked".into();
            }
            for (name, value) in map.iter_mut() {
                match (name.as_str(), value.as_u64()) {
                    ("run" | "Validator" | "Command" | "number", Some(run)) => {
                        *value = rename(run).into();
                    }
                    ("count" | "attempt", Some(n)) => *value = n.min(3).into(),
                    // A far deadline: whatever its distance, another deadline comes first.
                    ("give_up_at" | "look_at", Some(at)) => *value = u64::from(at > now).into(),
                    ("failures" | "successes", Some(n)) => *value = n.min(2).into(),
                    (_, Some(at)) if at >= 1000 => *value = (at.saturating_sub(now)).into(),
                    ("starts", None) => {
                        let ago = |at: &Value| at.as_u64().map(|at| now - at);
                        let all = value.as_array().expect("a list");
                        *value = all.iter().filter_map(ago).filter(|ms| *ms < 30).collect();
                    }
                    ("last_exit", None) if value.is_array() => *value = value[0].clone(),
                    _ => canon(value, now, rename),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|it| canon(it, now, rename)),
        _ => {}
    }
}

fn explore(spec: Spec) -> (Table, usize) {
    let mut table = Table::new();
    let dependency = Spec {
        restart: Restart {
            policy: Policy::Never,
            reset_after_ms: 0,
            ..daemon().restart
        },
        stop: Stop {
            signal: TERM,
            escalation: None,
            timeout_ms: 20,
        },
        ..daemon()
    };
    let mut first = Rig::with(&[dependency, spec]);
    first.spawned(DEP);
    let mut seen = HashSet::from([key(&first)]);
    let mut todo = VecDeque::from([first]);
    while let Some(rig) = todo.pop_front() {
        check_stale(&rig);
        check_progress(&rig);
        check_liveness(&rig);
        let from = label(&rig);
        for it in moves(&rig) {
            let mut next = rig.clone();
            let effects = effect_names(&make(&mut next, &it));
            let to = label(&next);
            check_refusal_stays(&rig, &next, &effects);
            if from != to || !effects.is_empty() {
                let row = table.entry((from, it.name().to_owned())).or_default();
                row.entry(LABELS[to].to_owned())
                    .or_default()
                    .insert(effects);
            }
            if seen.insert(key(&next)) {
                assert!(seen.len() < MOST_STATES, "the states never end");
                todo.push_back(next);
            }
        }
    }
    (table, seen.len())
}

/// Explores each subject on a thread of its own; returns the joint table.
fn explore_all() -> Table {
    let mut all = Table::new();
    thread::scope(|scope| {
        let each = subjects()
            .into_iter()
            .map(|(name, spec)| (name, scope.spawn(|| explore(spec))));
        for (name, searched) in each.collect::<Vec<_>>() {
            let (table, states) = searched.join().unwrap_or_else(|panic| {
                println!("{name} is what broke a rule");
                std::panic::resume_unwind(panic)
            });
            println!("{name}: {states} states");
            assert!(states > 20, "{name} has been explored");
            for (from, outcomes) in table {
                let row = all.entry(from).or_default();
                for (to, effects) in outcomes {
                    row.entry(to).or_default().extend(effects);
                }
            }
        }
    });
    all
}

#[test]
fn every_state_is_safe_and_live_and_architecture_md_shows_the_table() {
    let table = explore_all();
    let reached: BTreeSet<usize> = table.keys().map(|(from, _)| *from).collect();
    assert_eq!(
        reached,
        (0..14).collect(),
        "every state but `gone` has been left once"
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md");
    let page = std::fs::read_to_string(path).expect("ARCHITECTURE.md can be read");
    let (head, rest) = page
        .split_once(BEGIN)
        .expect("ARCHITECTURE.md has the table's begin mark");
    let (shown, tail) = rest
        .split_once(END)
        .expect("ARCHITECTURE.md has the table's end mark");
    let now = render(&table);
    if std::env::var_os("UPDATE_STATE_TABLE").is_some() {
        let page = format!("{head}{BEGIN}{now}{END}{tail}");
        std::fs::write(path, page).expect("ARCHITECTURE.md can be written");
    } else {
        assert!(
            shown == now,
            "the table has changed; run again with UPDATE_STATE_TABLE=1"
        );
    }
}
