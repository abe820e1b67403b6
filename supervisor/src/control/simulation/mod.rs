//! The real control machine on a fake keeper and virtual time, all of it from one seed.
//!
//! Facts come late, answers in any order, disks are full, processes are stubborn, and the control
//! process dies at any point, even in the middle of its output. Every step and the end check the
//! promises of the design. A failure prints its seed and its last events:
//!
//! - `MATTERVISOR_SEED=N` repeats one simulation;
//! - `MATTERVISOR_SEEDS=N` runs so many instead of the usual number.

mod checks;
mod clients;
mod conclusion;
mod dice;
mod disk;
mod disk_jobs;
mod facts;
mod jobs;
mod judge;
mod keeper;
mod keeper_checks;
mod lives;
mod maintenance;
mod plan_jobs;
mod plans;
mod processes;
mod run;
mod script;
mod services;
mod words;
mod world;

use run::Simulation;

/// Simulations of an ordinary test run.
const SEEDS: u64 = 300;
/// Simulations in which most changes are reloads.
const RELOADING_SEEDS: u64 = 150;
/// Simulations in which administrators begin and end maintenance.
const MAINTAINED_SEEDS: u64 = 150;
/// Simulations in which control hangs, and dies at its birth.
const TROUBLED_SEEDS: u64 = 150;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a seed is a number"))
}

fn simulate(seed: u64) {
    conclude(Simulation::new(seed));
}

fn conclude(mut simulation: Simulation) -> Simulation {
    simulation.chaos();
    if !simulation.over() {
        simulation.conclude();
    }
    simulation
}

#[test]
fn simulation_keeps_every_promise() {
    if let Some(seed) = number("MATTERVISOR_SEED") {
        return simulate(seed);
    }
    for seed in 0..number("MATTERVISOR_SEEDS").unwrap_or(SEEDS) {
        simulate(seed);
    }
}

/// Besides all else, control takes nothing in for a while, or dies again and again just after it
/// took over.
#[test]
fn simulation_keeps_every_promise_although_control_hangs() {
    if let Some(seed) = number("MATTERVISOR_SEED") {
        conclude(Simulation::troubled(seed));
        return;
    }
    let seeds = number("MATTERVISOR_SEEDS").unwrap_or(TROUBLED_SEEDS);
    let troubles: u64 = (0..seeds)
        .map(|seed| conclude(Simulation::troubled(seed)).troubles)
        .sum();
    assert!(
        troubles > seeds,
        "{troubles} troubles in {seeds} simulations"
    );
}

/// Most changes are reloads, many of which fail: control goes back from them.
#[test]
fn simulation_keeps_every_promise_although_reloads_fail() {
    if let Some(seed) = number("MATTERVISOR_SEED") {
        conclude(Simulation::reloading(seed));
        return;
    }
    let seeds = number("MATTERVISOR_SEEDS").unwrap_or(RELOADING_SEEDS);
    let ways_back: u64 = (0..seeds)
        .map(|seed| conclude(Simulation::reloading(seed)).jobs.ways_back)
        .sum();
    assert!(
        ways_back > 0,
        "{ways_back} ways back in {seeds} simulations"
    );
}

/// Administrators begin and end maintenance while control dies.
#[test]
fn simulation_keeps_what_is_said_of_maintenance() {
    if let Some(seed) = number("MATTERVISOR_SEED") {
        conclude(Simulation::maintained(seed));
        return;
    }
    let seeds = number("MATTERVISOR_SEEDS").unwrap_or(MAINTAINED_SEEDS);
    let mut seen = 0;
    for seed in 0..seeds {
        let it = conclude(Simulation::maintained(seed));
        seen += it.administrators.seen;
    }
    assert!(seen * 4 > seeds, "{seen} times users were told");
}

/// The control process had forgotten that it was told to stop.
#[test]
fn simulation_1_and_6_end_although_control_dies_after_sigterm() {
    simulate(1);
    simulate(6);
}

/// Files of the old plan were taken for those of the new one.
#[test]
fn simulation_26_and_92_keep_the_candidates_of_two_plans_apart() {
    simulate(26);
    simulate(92);
}

/// With a full disk at the first start, the death of control stopped every service.
#[test]
fn simulation_8_and_40_keep_the_plan_although_the_disk_is_full() {
    simulate(8);
    simulate(40);
}

/// The keeper lacked what a client had heard, or the history had, when control died.
#[test]
fn simulation_94_and_265_keep_what_was_accepted() {
    simulate(94);
    conclude(Simulation::troubled(265));
}

/// A run had said that it is ready before a plan asked for that word.
#[test]
fn simulation_462_hears_what_was_said_under_an_earlier_plan() {
    conclude(Simulation::troubled(462));
}

/// A change that a dead control process had refused still counted as being done.
#[test]
fn simulation_966_may_ask_again_for_what_was_refused() {
    simulate(966);
}
