//! Hands each input to the component that handles it: the thin part of [`Control`](super::Control),
//! which alone knows all components.
//!
//! Owns nothing. A component owns its state, borrows the shared [`Context`](super::Context), gets
//! what it needs of others as arguments, and returns the actions of others that must follow; a
//! router lends, and carries these actions out. One file for each origin: requests of clients,
//! results of jobs, deadlines, the end of the daemon, a new plan, another control process. Three
//! routers lie elsewhere: `runs/facts.rs` for notices of the keeper, `runs/effects.rs` for effects
//! of the engine, `settle.rs` for the steps that follow every input.

mod plan;
mod reexec;
mod requests;
mod results;
mod services;
mod shutdown;
mod takeover;
mod timeouts;
