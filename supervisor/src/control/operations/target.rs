//! The targets of an operation and the state that the operation awaits.

use std::collections::BTreeMap;

use api::{ActionResult, Verdict};
use engine::{RunId, ServiceId, Settled};
use serde::{Deserialize, Serialize};

use crate::control::Context;

/// What an operation awaits of each target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::control) enum Kind {
    /// The service settles, ready.
    Start,
    /// The service is down.
    Stop,
    /// The service settles with another run.
    Restart,
    /// The service has taken its configuration.
    Reload,
    /// Nothing: the operation is done once accepted. The signal's number.
    Signal(i32),
    /// Each target as its plan says.
    Reconfigure,
    /// The job is over, and its result read.
    Job,
    /// The service is down, and stays down for a job.
    Lease,
    /// The service settles, ready, after a job.
    Release,
}

/// One service of an operation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::control) struct Target {
    /// The service's main run before the operation.
    pub(super) run_before: Option<RunId>,
    /// Whether the service was ready, completed or down before the operation.
    pub(super) at_rest: bool,
    /// Whether there was nothing to do.
    pub(super) already: bool,
    /// Of a reconfiguration: whether the service only reloads its configuration.
    pub(super) reloads: bool,
    /// The outcome for this service; none: still open.
    pub(super) result: Option<ActionResult>,
}

/// The services as they are now, before a command changes them.
pub(in crate::control) fn targets(
    cx: &Context,
    ids: impl IntoIterator<Item = ServiceId>,
) -> BTreeMap<ServiceId, Target> {
    let target = |id: ServiceId| {
        let settled = cx.engine.settled(id);
        let target = Target {
            run_before: cx.engine.main_run(id),
            at_rest: matches!(
                settled,
                Some(Settled::Ready | Settled::Completed | Settled::Held)
            ),
            ..Target::default()
        };
        (id, target)
    };
    ids.into_iter().map(target).collect()
}

impl Target {
    /// A target for which an operation has ended with this result.
    #[cfg(test)]
    pub(in crate::control) fn ended(result: ActionResult) -> Self {
        Self {
            result: Some(result),
            ..Self::default()
        }
    }

    /// Marks a service that a reconfiguration reloads.
    pub(in crate::control) const fn reloads(&mut self) {
        self.reloads = true;
    }

    pub(in crate::control) const fn is_reloaded(&self) -> bool {
        self.reloads
    }

    /// The verdict on this service once it has come to what was wanted.
    pub(super) const fn done(&self) -> Verdict {
        if self.already {
            Verdict::Already
        } else {
            Verdict::Done
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.result.is_some()
    }

    pub(in crate::control) fn has_failed(&self) -> bool {
        let result = self.result.as_ref();
        result.is_some_and(|it| it.verdict == Verdict::Failed)
    }

    /// Marks a target as needless if it had settled before and was not touched.
    pub(in crate::control) const fn needless_if(&mut self, untouched: bool) {
        self.already = untouched && self.at_rest;
    }
}
