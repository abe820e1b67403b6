//! What clients ask, and what they are told: each request becomes a command for the engine, a job
//! or an answer.
//!
//! Owner: nothing but what is on its way to clients. Who may ask is decided before, by the server;
//! whether something may be begun now, by [`super::operations::admission`].

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

/// What the API keeps from one question to the next.
#[derive(Debug, Default)]
pub(in crate::control) struct ApiState {
    /// What is counted for scrapes.
    pub(in crate::control) metrics: metrics::Metrics,
    /// Changes when a service has left the plan.
    pub(in crate::control) departures: watch::Sender<()>,
    /// Questions that came before there was a plan to answer them from.
    pub(in crate::control) early: Vec<Ask>,
}

impl ApiState {
    /// There is no plan yet to answer from. One question too many is dropped: its client hears that
    /// nobody answers.
    pub(in crate::control) fn keep_for_later(&mut self, ask: Ask) {
        if self.early.len() < ASKS_MAX {
            self.early.push(ask);
        }
    }
}
