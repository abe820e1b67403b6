//! From changed files to a changed host, step by step, with nothing half-applied.
//!
//! `pipeline/` loads and checks, creates missing accounts, writes candidates beside the files, lets
//! each service's own program check them and swaps them in. Only then the engine gets the plan
//! (`apply.rs`). A step that fails leaves everything as it was, but for new accounts and secrets. A
//! dry run takes the same steps and ends before the swap (`impact/` computes the effect for both).
//! The same steps serve three further cases: a rollback to a plan that has worked (`probation.rs`);
//! the automatic return to the previous plan after a failed reload (`go_back.rs`); and the daemon's
//! start, where the last good plan runs if the files are rejected. One attempt at a time: a second
//! one is refused.
//!
//! [`Reconfigure`] owns the stage of the attempt, whether the running plan has worked, and the plan
//! to go back to. A step that needs another component ends with an [`attempt_step::AttemptStep`]:
//! `routing.rs` carries it out and continues the attempt. The steps name each other and never this
//! file.

mod apply;
mod attempt;
mod attempt_step;
mod begin;
mod finish;
mod go_back;
mod hangup;
mod impact;
mod last_word;
mod load_result;
mod pipeline;
mod probation;
mod request;
mod routing;
mod stage;
mod state;
mod takeover;
mod way_back;

pub(super) use impact::specs;
#[cfg(test)]
pub(super) use probation::Verdicts;
pub(super) use state::Reconfigure;
