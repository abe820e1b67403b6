//! The passage of time, deadline by deadline.

use engine::{Event, Fact, Notification, RunId};

use super::{Phase, Proc, Rig, Role};

impl Rig {
    /// Lets this time pass, deadline by deadline.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now.after(ms);
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.send(Event::Timeout { heard: self.now })
                .expect("a timeout is never refused");
        }
        self.now = end;
    }

    pub(crate) fn next_deadline(&mut self) -> bool {
        let Some(at) = self.engine.poll_timeout() else {
            return false;
        };
        self.now = at.max(self.now);
        self.send(Event::Timeout { heard: self.now })
            .expect("a timeout is never refused");
        true
    }

    /// Like `next_deadline`, but every watched run reports in time that it is alive.
    pub(crate) fn next_deadline_of_the_living(&mut self) -> bool {
        let Some(at) = self.engine.poll_timeout() else {
            return false;
        };
        self.now = at.max(self.now);
        let watched = |(run, it): (&RunId, &Proc)| {
            let speaks = it.role == Role::Main && it.phase == Phase::Alive && !it.killed;
            let spec = self.specs.get(&it.service)?;
            (speaks && spec.watchdog.is_some()).then_some(*run)
        };
        for run in self.procs.iter().filter_map(watched).collect::<Vec<_>>() {
            self.fact(Fact::Notified {
                run,
                what: Notification::Alive,
            });
        }
        self.send(Event::Timeout { heard: self.now })
            .expect("a timeout is never refused");
        true
    }
}
