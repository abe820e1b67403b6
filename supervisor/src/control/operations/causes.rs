//! Which change ended a run: what is told of that run's end.

use api::ExitCause;
use engine::{Exit, Moment, RunId};

use crate::control::operations::{Kind, Operation, Operations, Target};

impl Operations {
    /// The change that stops the run of a service which it names.
    pub(in crate::control) fn that_stops(&self, service: &str, run: RunId) -> Option<ExitCause> {
        self.under_way(service, run, Kind::Stop)
    }

    /// The change that restarts it.
    pub(in crate::control) fn that_restarts(&self, service: &str, run: RunId) -> Option<ExitCause> {
        self.under_way(service, run, Kind::Restart)
    }

    /// The change that has another configuration applied to it.
    pub(in crate::control) fn that_reconfigures(
        &self,
        service: &str,
        run: RunId,
    ) -> Option<ExitCause> {
        self.under_way(service, run, Kind::Reconfigure)
    }

    /// The change by which a signal was sent to a run that has ended of it: killed by that one, or by
    /// itself after one that asks programs to end. `since`: what was sent before did not end it.
    pub(in crate::control) fn that_signalled(
        &self,
        service: &str,
        run: RunId,
        exit: Exit,
        since: Moment,
    ) -> Option<ExitCause> {
        let ends = |signal: i32| match exit {
            Exit::Signal(by) => by == signal,
            Exit::Code(_) => asks_to_end(signal),
        };
        let is_it = |change: &&Operation| match change.kind {
            Kind::Signal(signal) => ends(signal) && change.at >= since,
            Kind::Start
            | Kind::Stop
            | Kind::Restart
            | Kind::Reload
            | Kind::Reconfigure
            | Kind::Job
            | Kind::Lease
            | Kind::Release => false,
        };
        let mut changes = self.list.iter().rev();
        let change = changes.find(|it| it.about(service, run).is_some() && is_it(it))?;
        Some(change.as_cause())
    }

    /// Of several alike the first has done it.
    fn under_way(&self, service: &str, run: RunId, kind: Kind) -> Option<ExitCause> {
        let is_it = |change: &&Operation| {
            let target = change.about(service, run);
            let open = target.is_some_and(|target| target.result.is_none());
            change.kind == kind && change.begun && open
        };
        self.list.iter().find(is_it).map(Operation::as_cause)
    }
}

impl Operation {
    /// What it is to do with a run.
    fn about(&self, service: &str, run: RunId) -> Option<&Target> {
        let target = self.targets.get(service);
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

/// Programs end in an orderly way when they get it.
fn asks_to_end(signal: i32) -> bool {
    matches!(text::signal::name(signal), Some("TERM" | "INT" | "QUIT"))
}
