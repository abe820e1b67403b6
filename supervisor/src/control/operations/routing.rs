//! Lends operations what they read of other components: nothing is decided here.

use std::collections::{BTreeMap, BTreeSet};

use api::{ErrorReply, Outcome, ServiceStatus};
use engine::ServiceId;

use crate::{
    control::{
        Control,
        operations::{
            admission::{Intent, UnderWay},
            outcome::{Look, Services},
            report::Disk,
            restore::Lost,
            target::Kind,
        },
    },
    history::Line,
};

impl Control {
    /// What is going on now.
    pub(in crate::control) fn under_way(&self) -> UnderWay {
        let name = |id| self.cx.name(id).to_owned();
        let active = self.cx.engine.active_job().map(name);
        UnderWay {
            shutdown: self.cx.is_stopping(),
            reconfigure: self.reconfigure.under_way(),
            reexec: self.daemon.reexec.is_asked(),
            lease: active.clone().filter(|_| self.cx.engine.has_leases()),
            job: active
                .or_else(|| self.work.pending_job().map(name))
                .or_else(|| self.operations.open_job().map(name)),
        }
    }

    /// Refuses what may not be begun now.
    pub(in crate::control) fn admit(&self, intent: Intent) -> Result<(), ErrorReply> {
        let admitted = self.under_way().admit(intent);
        admitted.map_err(|obstacle| obstacle.reply())
    }

    pub(in crate::control) fn outcome_of(&self, id: &str) -> Option<Outcome> {
        self.operations.outcome_of(&self.cx, self.disk(), id)
    }

    const fn disk(&self) -> Disk<'_> {
        Disk {
            holds: &self.holds,
            audit: &self.audit,
        }
    }

    /// Sees which operations have ended for which services, and which are over.
    pub(in crate::control) fn judge_operations(&mut self, look: Look<'_>) {
        let services = Services {
            cx: &self.cx,
            listening: &self.monitors.listening,
            heard: self.daemon.watermark.reached(),
        };
        for ended in self.operations.judge(services, look) {
            let status = self.status_in_plan(ended.service);
            self.operations.conclude(&self.cx, &ended, status);
        }
        let stopping = self.cx.is_stopping();
        self.operations.finish(|id, targets| {
            self.reconfigure
                .way_back_of(&self.cx, stopping, id, targets)
        });
    }

    fn status_in_plan(&self, id: ServiceId) -> Option<ServiceStatus> {
        let service = self.cx.service(id)?;
        Some(self.views().service(service))
    }

    /// Tells the clients whose operations are on the disk.
    pub(in crate::control) fn release_operations(&mut self) {
        let disk = Disk {
            holds: &self.holds,
            audit: &self.audit,
        };
        for id in self.operations.release(&mut self.cx, disk) {
            self.judge_operations(Look::One(&id));
        }
    }

    /// Services have changed: says so to whom it concerns, and sees which operations are over.
    pub(in crate::control) fn advance_operations(&mut self, touched: &BTreeSet<ServiceId>) {
        let awaited = self.operations.awaited(touched).into_iter();
        let states = awaited.filter_map(|id| {
            let status = self.status_in_plan(id)?;
            Some((id, (status.state, status.reason.unwrap_or_default())))
        });
        let states: BTreeMap<_, _> = states.collect();
        self.operations.say_states(&mut self.cx, &states);
        let affected: BTreeSet<ServiceId> = touched
            .union(self.daemon.init_notify.waiting())
            .copied()
            .collect();
        self.judge_operations(Look::At(&affected));
    }

    /// Time has passed, or more has been heard: what has stayed up long enough?
    pub(in crate::control) fn operations_timeout(&mut self) {
        let heard = self.daemon.watermark.reached();
        if self.operations.poll_timeout().is_some_and(|at| at <= heard) {
            self.judge_operations(Look::Due);
        }
    }

    /// Comes after all else that follows an input.
    pub(in crate::control) fn end_operations(&mut self) {
        self.operations.record_ends(&mut self.cx, &mut self.audit);
        let disk = Disk {
            holds: &self.holds,
            audit: &self.audit,
        };
        self.operations.end(&mut self.cx, disk);
    }

    /// A job has written lines of the history, or could not.
    pub(in crate::control) fn on_recorded(&mut self, result: Result<(), (Vec<Line>, String)>) {
        let written = self.audit.on_written(&mut self.cx, result);
        self.operations.on_written(&mut self.audit, written);
    }

    /// After an earlier control process: what has come to its end without anybody looking.
    pub(in crate::control) fn resume_operations(&mut self) {
        let (reconfigure, work) = (&self.reconfigure, &self.work);
        let lost = |id: &str, kind| match kind {
            Kind::Job => (!work.has_pending(id)).then_some(Lost::NotBegun),
            _ => (!reconfigure.is_for(id)).then_some(Lost::NotApplied),
        };
        self.operations.resume(&mut self.cx, &mut self.audit, lost);
        self.judge_operations(Look::All);
    }
}
