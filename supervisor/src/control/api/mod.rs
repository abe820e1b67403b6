//! The API of the control process: each request becomes a command for the engine, a job or an
//! answer.
//!
//! Owns only what is on its way to clients. The server decides before who may ask;
//! [`super::operations::admission`] decides whether an operation may begin now.

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

use tokio::sync::watch;

use crate::ask::{ASKS_MAX, Ask};

/// State of the API between two requests.
#[derive(Debug, Default)]
pub(in crate::control) struct ApiState {
    /// Counts for scrapes.
    pub(in crate::control) metrics: metrics::Metrics,
    /// Changes when a service has left the plan.
    pub(in crate::control) departures: watch::Sender<()>,
    /// Requests that came before there was a plan to answer from.
    pub(in crate::control) early: Vec<Ask>,
}

impl ApiState {
    /// Keeps a request that came before the first plan. When the queue is full, the request is
    /// dropped and its client hears that nobody answers.
    pub(in crate::control) fn keep_for_later(&mut self, ask: Ask) {
        if self.early.len() < ASKS_MAX {
            self.early.push(ask);
        }
    }
}
