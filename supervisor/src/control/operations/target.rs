//! What is awaited of the services of a change.

use api::{ActionResult, Verdict};
use engine::RunId;
use serde::{Deserialize, Serialize};

/// What is awaited of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::control) enum Kind {
    /// To come to rest, ready.
    Start,
    /// To be down.
    Stop,
    /// To come to rest with another run.
    Restart,
    /// To have taken its configuration.
    Reload,
    /// Nothing: it is done when it is accepted. The signal's number.
    Signal(i32),
    /// Each target as its plan says.
    Reconfigure,
    /// To be over, and its result read.
    Job,
    /// To be down, and to stay so for a job.
    Lease,
    /// To come to rest, ready, after a job.
    Release,
}

/// One service of a change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::control) struct Target {
    /// Its main run before the change.
    pub(super) run_before: Option<RunId>,
    /// It was ready, completed or down before the change.
    pub(super) at_rest: bool,
    /// There was nothing to do.
    pub(super) already: bool,
    /// Of a reconfiguration: it only takes its new configuration.
    #[serde(default)]
    pub(super) reloads: bool,
    /// Once it is over.
    pub(super) result: Option<ActionResult>,
}

impl Target {
    /// A reconfiguration reloads it.
    pub(in crate::control) const fn reloads(&mut self) {
        self.reloads = true;
    }

    pub(in crate::control) const fn is_reloaded(&self) -> bool {
        self.reloads
    }

    pub(super) const fn is_over(&self) -> bool {
        self.result.is_some()
    }

    pub(in crate::control) fn has_failed(&self) -> bool {
        let result = self.result.as_ref();
        result.is_some_and(|it| it.verdict == Verdict::Failed)
    }

    /// There was nothing to do for it, if it had come to rest before.
    pub(in crate::control) const fn needless_if(&mut self, untouched: bool) {
        self.already = untouched && self.at_rest;
    }
}
