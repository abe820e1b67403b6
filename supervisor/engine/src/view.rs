//! What people may be shown of a service, and whether it has come to rest.

use alloc::string::String;

use run_model::Exit;

use crate::{
    detail::Detail,
    ids::{Moment, ServiceId},
    lease::Lease,
    state::{Goal, Hold, State},
    up::ReloadOutcome,
};

/// Everything about a service that may be shown. A copy: it does not follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What is wanted.
    pub goal: Goal,
    /// Who stopped it, if somebody did.
    pub hold: Option<Hold>,
    /// What it is.
    pub state: State,
    /// Up and ready, or completed.
    pub ready: bool,
    /// The verdict of the health probe and the watchdog; `None` without either, or before the
    /// first.
    pub healthy: Option<bool>,
    /// The job that keeps it stopped, if one does.
    pub lease: Option<Lease>,
    /// Of a job: names the request that it works on, or has worked on last.
    pub request: Option<String>,
    /// When it came into this state.
    pub since: Moment,
    /// When its run became ready, while it is up: no reload changes that.
    pub up_since: Option<Moment>,
    /// It is not restarted when it ends by itself: it was started by [`crate::Command::Once`].
    pub once: bool,
    /// A oneshot that has not run since the daemon started, and waits for its time.
    pub unrun: bool,
    /// The process that is being made or stopped is its validator's, not its own.
    pub validating: bool,
    /// Automatic restarts since the last manual start.
    pub restarts: u32,
    /// How the last run ended, and when.
    pub last_exit: Option<(Exit, Moment)>,
    /// Why the last start failed, or what a start waits for.
    pub detail: Detail,
    /// Why `healthy` is a no.
    pub unhealthy: Option<Unhealthy>,
    /// How the last reload of this run ended; none: there was none, or one is under way.
    pub last_reload: Option<ReloadOutcome>,
}

/// Why a run that is up is not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unhealthy {
    /// Its health probe says no; in words for people, may be empty.
    Probe(String),
    /// Its watchdog has heard nothing in time, or was triggered by the run itself.
    Watchdog {
        /// The run has done it.
        triggered: bool,
    },
}

/// Whether a service has come to rest after a start, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Still under way.
    No,
    /// Up and ready.
    Ready,
    /// Its work is done.
    Completed,
    /// Failed for good.
    Failed,
    /// Down, as somebody wants it.
    Held,
    /// Crashed; the next start is due later.
    Backoff,
    /// Waiting on something that has itself settled without being ready.
    WaitingOn(ServiceId),
}
