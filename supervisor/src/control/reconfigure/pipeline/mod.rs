//! The steps from files to candidates in their places: jobs and runs, one after the other.
//!
//! Order: load, accounts, candidates, checks, addresses, swap. Until the swap nothing that runs is
//! changed, so each step may refuse; accounts alone stay once they are made, since others may have
//! seen them. Every step ends with an [`AttemptStep`], and `stage.rs` says which result goes on with
//! it.

mod accounts;
mod addresses;
mod candidates;
mod checks;
mod load;
mod step_run;
mod swap;

use engine::RunId;

use crate::control::{
    Context,
    operations::Operations,
    reconfigure::{attempt_step::AttemptStep, stage::Stage, state::Reconfigure},
};

impl Reconfigure {
    /// A run of a step has ended.
    pub(in crate::control) fn step_ended(
        &mut self,
        cx: &mut Context,
        operations: &mut Operations,
        number: RunId,
        result: Result<(), &str>,
    ) -> AttemptStep {
        match &self.attempt.stage {
            Stage::Accounts { run: Some(run), .. } if *run == number => {
                self.account_made(cx, operations, result)
            }
            Stage::Checking {
                run: Some((run, _)),
                ..
            } if *run == number => self.candidate_checked(cx, operations, result),
            _ => AttemptStep::Wait,
        }
    }
}

#[cfg(test)]
mod tests;
