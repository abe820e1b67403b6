//! From changed files to a changed host, step by step, with nothing half-applied.
//!
//! `pipeline/` loads and checks, makes missing accounts, writes candidates beside the files, lets
//! each service's own program check them and swaps them in. Only then the engine is told
//! (`apply.rs`). A step that fails leaves everything as it was. A dry run takes the same steps and
//! turns back before the swap (`impact/` says what either does). A rollback takes them with a plan
//! that has worked (`probation.rs` knows whether one has); so does a plan that goes back by itself,
//! as a reload with another has failed (`go_back.rs`). At the daemon's start the same steps bring
//! up the first plan; there a configuration that does not check is refused aloud and the last good
//! plan runs. One at a time: a second one is refused.
//!
//! [`Reconfigure`] owns how far the attempt is, whether the running plan has worked, and which plan
//! there is to go back to. A step that needs another component ends with a [`next::Next`]:
//! `routing.rs` carries that out and comes back. The steps name each other and never this file.

mod apply;
mod attempt;
mod begin;
mod finish;
mod go_back;
mod hangup;
mod impact;
mod last_word;
mod load_result;
mod next;
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
