//! Why a run has ended: the engine's cause, with the operation that asked for it. Pure: all that is
//! read is lent.

use api::{ExitCause, KillReason};
use engine::{Ended, Exit, Kill, Moment, RunId, ServiceId, StopCause, StopReason};

use crate::control::{Context, monitors::file_restarts::FileRestarts, operations::Operations};

/// Characters of what a probe said that are kept.
const SAID_CHARACTERS_MAX: usize = 300;
/// A signal that was sent longer before the end of a run is not why it ended, in milliseconds;
/// where the plan has the service, its time to stop counts.
const SIGNAL_MS: u64 = 10_000;

/// The state that is needed to name a cause.
pub(in crate::control) struct Causes<'a> {
    pub(in crate::control) cx: &'a Context,
    pub(in crate::control) operations: &'a Operations,
    pub(in crate::control) file_restarts: &'a FileRestarts,
}

impl Causes<'_> {
    /// `at`: when it ended.
    pub(super) fn of(&self, ended: &Ended, at: Moment) -> ExitCause {
        let said: String = ended.said.chars().take(SAID_CHARACTERS_MAX).collect();
        match ended.cause {
            StopCause::Exited => self.cause_of_itself(ended.service, ended.run, ended.exit, at),
            StopCause::Asked(order) => self.cause_of_stop(ended, order),
            StopCause::ReadyTimeout => ExitCause::NotReady { said },
            StopCause::Liveness => ExitCause::Liveness { said },
            StopCause::Watchdog => ExitCause::Watchdog { said },
            StopCause::Outlived => ExitCause::Outlived,
        }
    }

    /// The engine has not asked the run to end; but an operation may have sent it a signal.
    fn cause_of_itself(&self, service: ServiceId, run: RunId, exit: Exit, at: Moment) -> ExitCause {
        let stop = self.cx.service(service).map(|it| it.stop.timeout_ms);
        let since = Moment(at.0.saturating_sub(stop.unwrap_or(SIGNAL_MS)));
        let sent = self.operations.that_signalled(service, run, exit, since);
        sent.unwrap_or(ExitCause::Itself)
    }

    fn cause_of_stop(&self, ended: &Ended, order: StopReason) -> ExitCause {
        let (service, run) = (ended.service, ended.run);
        let on = |id: ServiceId| self.cx.name(id).to_owned();
        match order {
            StopReason::Stop => {
                let change = self.operations.that_stops(service, run);
                change.unwrap_or(ExitCause::Command)
            }
            StopReason::Lease(job) => ExitCause::Job { name: on(job) },
            StopReason::Restart => {
                let files = self.file_restarts.cause(service, run);
                let change = || self.operations.that_restarts(service, run);
                files.or_else(change).unwrap_or(ExitCause::Command)
            }
            StopReason::Plan => {
                let change = self.operations.that_reconfigures(service, run);
                change.unwrap_or(ExitCause::Configuration)
            }
            StopReason::Removed => {
                let change = self.operations.that_reconfigures(service, run);
                change.unwrap_or(ExitCause::Removed)
            }
            StopReason::Shutdown => ExitCause::Shutdown,
            StopReason::Requirement(id) => ExitCause::Dependency { on: on(id) },
            StopReason::Binding(id) => ExitCause::Binding { on: on(id) },
        }
    }
}

pub(super) const fn kill_reason(why: Kill) -> KillReason {
    match why {
        Kill::StopTimeout => KillReason::StopTimeout,
        Kill::ShutdownDeadline => KillReason::ShutdownDeadline,
        Kill::Unasked => KillReason::Unasked,
    }
}

#[cfg(test)]
mod tests;
