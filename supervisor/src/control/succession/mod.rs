//! One control process after another: taken over from one that died, handed over to the next, or
//! left without a keeper.
//!
//! Invariant: the keeper holds what a client has heard and what a service is owed, so both outlive
//! this process.

pub(in crate::control) mod keeper_lost;
pub(in crate::control) mod keeper_reexec;
pub(in crate::control) mod reexec;
mod requested;
pub(in crate::control) mod takeover;
pub(in crate::control) mod versions;
