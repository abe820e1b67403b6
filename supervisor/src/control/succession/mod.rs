//! One control process after another: taken over from one that died, handed over to the next, or
//! left without a keeper.
//!
//! Invariant: what a client has heard, and what a service is owed, outlives this process, since the
//! keeper holds it.

pub(in crate::control) mod keeper_lost;
pub(in crate::control) mod reexec;
pub(in crate::control) mod takeover;
