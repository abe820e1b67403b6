//! Processes that the keeper runs for us: from the engine's request through preparation to the end
//! of the run.
//!
//! Components own what is known of runs beyond the engine: [`starts`] until the keeper is asked,
//! [`leftovers`], [`last_words`], [`log_readiness`] and [`log_troubles`] while they live, [`exits`]
//! and [`living`] how they end. [`effects`] routes what the engine wants, [`facts`] what the keeper
//! says.
//!
//! Invariant: a run is in the context before the keeper hears of it, and until all of it is swept.

mod account;
pub(in crate::control) mod convert;
pub(in crate::control) mod effects;
pub(in crate::control) mod exits;
pub(in crate::control) mod facts;
mod helpers;
pub(in crate::control) mod killed;
pub(in crate::control) mod last_words;
pub(in crate::control) mod leftovers;
pub(in crate::control) mod living;
pub(in crate::control) mod log_readiness;
pub(in crate::control) mod log_troubles;
pub(in crate::control) mod network_probe;
mod notification;
pub(in crate::control) mod notify_readiness;
pub(in crate::control) mod run;
pub(in crate::control) mod socket_groups;
pub(in crate::control) mod spawn;
mod spawn_failure;
pub(in crate::control) mod starts;
