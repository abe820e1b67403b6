//! Which operation ended a run, for the report of the run's end in history and status.

use api::ExitCause;
use engine::{Exit, Moment, RunId, ServiceId};

use crate::control::operations::{
    list::Operations,
    operation::Operation,
    target::{Kind, Target},
};

impl Operations {
    /// The operation that stops this run of a target.
    pub(in crate::control) fn that_stops(
        &self,
        service: ServiceId,
        run: RunId,
    ) -> Option<ExitCause> {
        self.under_way(service, run, Kind::Stop)
    }

    /// The operation that restarts this run.
    pub(in crate::control) fn that_restarts(
        &self,
        service: ServiceId,
        run: RunId,
    ) -> Option<ExitCause> {
        self.under_way(service, run, Kind::Restart)
    }

    /// The operation that applies another configuration to this run.
    pub(in crate::control) fn that_reconfigures(
        &self,
        service: ServiceId,
        run: RunId,
    ) -> Option<ExitCause> {
        self.under_way(service, run, Kind::Reconfigure)
    }

    /// The operation whose signal ended this run: the signal killed the run, or asks programs to
    /// end and the run ended by itself. `since`: an earlier signal did not end the run.
    pub(in crate::control) fn that_signalled(
        &self,
        service: ServiceId,
        run: RunId,
        exit: Exit,
        since: Moment,
    ) -> Option<ExitCause> {
        let ends = |signal: i32| match exit {
            Exit::Signal(by) => by == signal,
            Exit::Code(_) => asks_to_end(signal),
        };
        let is_it = |operation: &&Operation| match operation.kind {
            Kind::Signal(signal) => ends(signal) && operation.began >= since,
            Kind::Start
            | Kind::Stop
            | Kind::Restart
            | Kind::Reload
            | Kind::Reconfigure
            | Kind::Job
            | Kind::Lease
            | Kind::Release => false,
        };
        let mut operations = self.list.iter().rev();
        let operation = operations.find(|it| it.about(service, run).is_some() && is_it(it))?;
        Some(operation.as_cause())
    }

    /// The first open operation of a kind that is about this run: of several equal operations, the
    /// first is the cause.
    fn under_way(&self, service: ServiceId, run: RunId, kind: Kind) -> Option<ExitCause> {
        let is_it = |operation: &&Operation| {
            let target = operation.about(service, run);
            let open = target.is_some_and(|target| target.result.is_none());
            operation.kind == kind && operation.begun && open
        };
        self.list.iter().find(is_it).map(Operation::as_cause)
    }
}

impl Operation {
    /// The operation's target for a service, if the operation found this run there.
    fn about(&self, service: ServiceId, run: RunId) -> Option<&Target> {
        let target = self.targets.get(&service);
        target.filter(|it| it.run_before == Some(run))
    }

    fn as_cause(&self) -> ExitCause {
        ExitCause::Change {
            id: self.id.clone(),
            by: self.by.clone(),
            what: self.what.clone(),
        }
    }
}

/// Whether programs usually handle this signal by an orderly exit.
fn asks_to_end(signal: i32) -> bool {
    matches!(text::signal::name(signal), Some("TERM" | "INT" | "QUIT"))
}
