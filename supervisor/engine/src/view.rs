//! The state of a service as people may see it, and whether the service has come to rest.

use alloc::string::String;

use run_model::Exit;

use crate::{
    detail::Detail,
    ids::{Moment, ServiceId},
    lease::Lease,
    state::{Goal, Hold, State},
    up::ReloadOutcome,
};

/// Everything about a service that may be shown. A copy that does not follow later changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Whether the service is meant to be up.
    pub goal: Goal,
    /// Who stopped it, if somebody did.
    pub hold: Option<Hold>,
    /// What the service is at the moment.
    pub state: State,
    /// Whether the service is up and ready, or completed.
    pub ready: bool,
    /// The verdict of the health probe and the watchdog; `None` without either, or before the first
    /// verdict.
    pub healthy: Option<bool>,
    /// The lease of the job that keeps the service stopped, if any.
    pub lease: Option<Lease>,
    /// Of a job: the request that the job works on, or worked on last.
    pub request: Option<String>,
    /// When the service came into this state.
    pub since: Moment,
    /// When the run became ready, while the run is up; a reload does not change the time.
    pub up_since: Option<Moment>,
    /// Whether the service, started by [`crate::Command::Once`], stays down when its run ends.
    pub once: bool,
    /// Whether the oneshot waits for its time and has not run since the daemon started.
    pub unrun: bool,
    /// Whether the process that is being made or stopped is the validator's.
    pub validating: bool,
    /// Automatic restarts since the last manual start.
    pub restarts: u32,
    /// How the last run ended, and when.
    pub last_exit: Option<(Exit, Moment)>,
    /// Why the last start failed, or what a start waits for.
    pub detail: Detail,
    /// Why `healthy` is false.
    pub unhealthy: Option<Unhealthy>,
    /// How the last reload of this run ended; none: no reload yet, or a reload is under way.
    pub last_reload: Option<ReloadOutcome>,
}

/// Why a run that is up is not healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unhealthy {
    /// The health probe fails; in words for people, may be empty.
    Probe(String),
    /// The watchdog has heard nothing in time, or the run itself has triggered the watchdog.
    Watchdog {
        /// Whether the run has triggered the watchdog.
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
    /// The work of the service is done.
    Completed,
    /// Failed for good.
    Failed,
    /// Down, as somebody wants it.
    Held,
    /// Crashed; the next start is due later.
    Backoff,
    /// Waiting for a service that has itself settled without being ready.
    WaitingOn(ServiceId),
}
