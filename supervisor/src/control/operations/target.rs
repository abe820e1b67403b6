//! What is awaited of the services of an operation.

use std::collections::BTreeMap;

use api::{ActionResult, Verdict};
use engine::{RunId, ServiceId, Settled};
use serde::{Deserialize, Serialize};

use crate::control::Context;

/// What an operation awaits of each target.
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

/// One service of an operation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::control) struct Target {
    /// Its main run before the operation.
    pub(super) run_before: Option<RunId>,
    /// The service was ready, completed or down before the operation.
    pub(super) at_rest: bool,
    /// There was nothing to do.
    pub(super) already: bool,
    /// Of a reconfiguration: the service only takes its new configuration.
    pub(super) reloads: bool,
    /// How the operation has ended for this service; none: it has not.
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

    /// A reconfiguration reloads this service.
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

    /// There was nothing to do for a service that had come to rest before and was not touched.
    pub(in crate::control) const fn needless_if(&mut self, untouched: bool) {
        self.already = untouched && self.at_rest;
    }
}
