//! Readiness by a line in the log. The log thread reads and matches; this component knows which
//! runs wait for which line.
//!
//! A run is watched from the moment it was asked for, and a control process that takes up a run
//! looks from then on too, so a line that was logged meanwhile counts. A watch ends with the line,
//! the run, or a plan that asks for another line. Limit: one watch for each run.

use std::collections::BTreeMap;

use engine::{Fact, Moment, Notification, RunId, ServiceId, State};
use plan::ReadyKind;
use tokio::sync::oneshot;

use crate::control::{Context, Now, Task, runs::spawn::log_dir};

/// The runs whose line is awaited.
#[derive(Debug, Default)]
pub(in crate::control) struct LogReadiness {
    awaited: BTreeMap<RunId, Awaited>,
}

#[derive(Debug)]
struct Awaited {
    service: ServiceId,
    pattern: String,
    since_unix_ms: u64,
    /// Dropped when nobody waits any more: the log thread ends the watch.
    _wanted: oneshot::Sender<()>,
}

impl LogReadiness {
    /// The keeper is asked for the process of a run, or was at `since`.
    pub(in crate::control) fn expect(
        &mut self,
        cx: &mut Context,
        service: ServiceId,
        run: RunId,
        since: Moment,
    ) {
        let since_unix_ms = unix_ms(cx.now, since);
        self.await_line_since(cx, service, run, since_unix_ms);
    }

    fn await_line_since(
        &mut self,
        cx: &mut Context,
        service: ServiceId,
        run: RunId,
        since_unix_ms: u64,
    ) {
        let Some(planned) = cx.service(service) else {
            return;
        };
        let ReadyKind::Log(pattern) = &planned.ready.kind else {
            return;
        };
        let (wanted, unwanted) = oneshot::channel();
        let job = Task::AwaitLine {
            run,
            service: planned.name.clone(),
            dir: log_dir(&cx.plan.paths, &planned.name),
            pattern: pattern.clone(),
            since_unix_ms,
            unwanted,
        };
        let awaited = Awaited {
            service,
            pattern: pattern.clone(),
            since_unix_ms,
            _wanted: wanted,
        };
        self.awaited.insert(run, awaited);
        cx.queue_task(job);
    }

    /// A new plan may ask for another line, for none, or for one where there was none.
    pub(in crate::control) fn follow_plan(&mut self, cx: &mut Context) {
        let runs: Vec<RunId> = self.awaited.keys().copied().collect();
        for run in runs {
            let Some(awaited) = self.awaited.get(&run) else {
                continue;
            };
            if planned_line(cx, awaited.service) == Some(awaited.pattern.as_str()) {
                continue;
            }
            let (service, since) = (awaited.service, awaited.since_unix_ms);
            self.awaited.remove(&run);
            self.await_line_since(cx, service, run, since);
        }
        let by_line = cx.plan.services.values();
        let by_line = by_line.filter(|it| it.enabled && matches!(it.ready.kind, ReadyKind::Log(_)));
        let ids = by_line.filter_map(|it| cx.names.id(&it.name));
        for id in ids.collect::<Vec<_>>() {
            let view = cx.engine.view(id);
            if let Some(State::Starting {
                run, spawned_at, ..
            }) = view.map(|view| view.state)
                && !self.awaited.contains_key(&run)
            {
                self.expect(cx, id, run, spawned_at);
            }
        }
    }

    /// A run that an earlier control process had asked for at `spawned`.
    pub(in crate::control) fn restore(
        &mut self,
        cx: &mut Context,
        service: ServiceId,
        run: RunId,
        spawned: Moment,
    ) {
        let view = cx.engine.view(service);
        let waits = match view.map(|view| view.state) {
            Some(State::Starting { run: its, .. } | State::Spawning { run: its, .. }) => its == run,
            _ => false,
        };
        if waits {
            self.expect(cx, service, run, spawned);
        }
    }

    /// The run is over, or never came to be.
    pub(in crate::control) fn forget(&mut self, run: RunId) {
        self.awaited.remove(&run);
    }

    /// The line of a run has been logged. One that an earlier plan asked for does not count.
    pub(in crate::control) fn on_line(&mut self, run: RunId, pattern: &str) -> Option<Fact> {
        let awaited = self.awaited.get(&run);
        awaited.filter(|it| it.pattern == pattern)?;
        self.awaited.remove(&run);
        Some(Fact::Notified {
            run,
            what: Notification::ReadySignal,
        })
    }
}

/// Pattern of the line that makes a service ready, by the plan.
fn planned_line(cx: &Context, service: ServiceId) -> Option<&str> {
    match &cx.service(service)?.ready.kind {
        ReadyKind::Log(pattern) => Some(pattern),
        _ => None,
    }
}

/// A moment on the wall clock.
const fn unix_ms(now: Now, moment: Moment) -> u64 {
    now.unix_ms.saturating_sub(now.moment.since(moment))
}
