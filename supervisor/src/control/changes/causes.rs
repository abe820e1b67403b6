//! Which change ended a run: what is told of that run's end.

use api::ExitCause;
use engine::RunId;

use super::{Change, Changes, Kind};

impl Changes {
    /// The change that a run is being stopped for.
    pub(in crate::control) fn that_stops(&self, service: &str, run: RunId) -> Option<ExitCause> {
        self.cause(service, run, |change| match change.kind {
            Kind::Stop | Kind::Restart | Kind::Reconfigure | Kind::Lease => {
                change.begun && !change.finished
            }
            Kind::Start | Kind::Reload | Kind::Signal(_) | Kind::Job | Kind::Release => false,
        })
    }

    /// The change by which this signal was sent to a run.
    pub(in crate::control) fn that_signalled(
        &self,
        service: &str,
        run: RunId,
        signal: i32,
    ) -> Option<ExitCause> {
        self.cause(service, run, |change| change.kind == Kind::Signal(signal))
    }

    fn cause(
        &self,
        service: &str,
        run: RunId,
        is_it: impl Fn(&Change) -> bool,
    ) -> Option<ExitCause> {
        let of_the_run = |change: &&Change| {
            let target = change.targets.get(service);
            target.is_some_and(|it| it.run_before == Some(run))
        };
        let mut changes = self.list.iter().rev().filter(of_the_run);
        let change = changes.find(|change| is_it(change))?;
        Some(ExitCause::Change {
            id: change.id.clone(),
            by: change.by.clone(),
            what: change.what.clone(),
        })
    }
}
