//! What clients ask, and what they are told: each request becomes a command for the engine, a job or an answer.
//!
//! Owner: nothing but what is on its way to clients. Who may ask is decided before, by the server; whether something
//! may be begun now, by [`super::operations::admission`].

pub(in crate::control) mod answers;
pub(in crate::control) mod event_stream;
pub(in crate::control) mod logs;
pub(in crate::control) mod metrics;
pub(in crate::control) mod reason;
pub(in crate::control) mod refusals;
pub(in crate::control) mod requests;
pub(in crate::control) mod selection;
pub(in crate::control) mod status;
pub(in crate::control) mod views;
pub(in crate::control) mod why;
