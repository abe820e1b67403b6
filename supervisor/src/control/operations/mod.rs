//! Operations that clients asked for: their progress, and how each ended.
//!
//! An operation carries an id made by its client. The keeper remembers the list, so a client whose
//! connection broke when the control process died learns the outcome from the next one. A request
//! that arrives again is not done again: what a control process is about to do is remembered before
//! it is done (`in_flight.rs`). What a client is told of an operation has been seen to be on the
//! disk, or is said not to be (`report.rs`).
//!
//! [`Operations`] owns the list (`list.rs`); `routing.rs` lends it what it reads. Limit:
//! `OPERATIONS_MAX`. The parts name each other and never this file.

pub(in crate::control) mod admission;
pub(in crate::control) mod audit;
mod begin;
mod causes;
mod going_back;
mod in_flight;
mod job;
mod list;
mod operation;
mod outcome;
mod report;
mod restore;
pub(in crate::control) mod result;
mod routing;
mod target;
mod way_back;

pub(super) use going_back::{GoingBack, Way};
pub(super) use list::Operations;
pub(super) use outcome::JudgeScope;
pub(super) use target::{Kind, Target, targets};

#[cfg(test)]
mod tests;
