//! What drives the control process in a real daemon: the event loop, its timers, the pool of jobs,
//! the link to the keeper.
//!
//! Invariant: this folder decides nothing and contains everything that waits, so that a simulation
//! can replace the folder.

pub(in crate::control) mod clock_step;
pub(in crate::control) mod event_loop;
pub(in crate::control) mod in_order;
pub(in crate::control) mod link;
pub(in crate::control) mod tasks;
