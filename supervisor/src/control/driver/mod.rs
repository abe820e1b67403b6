//! What drives the control process in a real daemon: the event loop, its timers, the pool of jobs,
//! the link to the keeper.
//!
//! Nothing is decided here, and everything that waits is here: a simulation takes the place of this
//! folder.

pub(in crate::control) mod clock_step;
pub(in crate::control) mod event_loop;
pub(in crate::control) mod in_order;
pub(in crate::control) mod jobs;
pub(in crate::control) mod link;
