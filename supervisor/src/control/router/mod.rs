//! Which component takes what comes in: the thin part of [`Control`](super::Control) that knows
//! them all.
//!
//! Owner of nothing. A component owns its state, gets the shared [`Context`](super::Context) lent
//! and what it needs of others as arguments, and returns what others are to do; a router lends, and
//! carries that out. One file for each way in: what clients ask, what the time brings, what ends
//! the daemon, what a plan changes, what another control process left or is to get. What the keeper
//! says is routed by `runs/facts.rs`, what the engine wants done by `runs/effects.rs`, and what
//! follows every input by `settle.rs`.

mod plan;
mod reexec;
mod requests;
mod results;
mod services;
mod shutdown;
mod takeover;
mod timeouts;
