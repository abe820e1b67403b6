//! Lends other components' state to operations. Invariant: this module decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use api::{ErrorReply, Outcome, ServiceStatus};
use engine::ServiceId;

use crate::{
    control::{
        Control,
        operations::{
            admission::{Intent, UnderWay},
            outcome::{JudgeScope, Services},
            report::Disk,
            restore::Lost,
            target::Kind,
        },
    },
    history::Line,
};

impl Control {
    /// The operations under way now.
    pub(in crate::control) fn under_way(&self) -> UnderWay {
        let name = |id| self.cx.name(id).to_owned();
        let active = self.cx.engine.active_job().map(name);
        UnderWay {
            shutdown: self.cx.is_stopping(),
            reconfigure: self.reconfigure.under_way(),
            reexec: self.daemon.reexec.is_asked() || self.daemon.keeper_reexec.is_asked(),
            lease: active.clone().filter(|_| self.cx.engine.has_leases()),
            job: active
                .or_else(|| self.work.pending_job().map(name))
                .or_else(|| self.operations.open_job().map(name)),
        }
    }

    /// Refuses an operation that may not begin now.
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

    /// Judges which operations have ended for which services, and which are over.
    pub(in crate::control) fn judge_operations(&mut self, look: JudgeScope<'_>) {
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

    /// Tells clients that their operations are accepted, where they are on the disk.
    pub(in crate::control) fn release_operations(&mut self) {
        let disk = Disk {
            holds: &self.holds,
            audit: &self.audit,
        };
        for id in self.operations.release(&mut self.cx, disk) {
            self.judge_operations(JudgeScope::One(&id));
        }
    }

    /// Reports changed services to waiting clients, and judges which operations are over.
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
        self.judge_operations(JudgeScope::At(&affected));
    }

    /// Judges operations again, since time has passed or more has been heard.
    pub(in crate::control) fn operations_timeout(&mut self) {
        let heard = self.daemon.watermark.reached();
        if self.operations.poll_timeout().is_some_and(|at| at <= heard) {
            self.judge_operations(JudgeScope::Due);
        }
    }

    /// Ends operations; comes after all else that follows an input.
    pub(in crate::control) fn end_operations(&mut self) {
        self.operations.record_ends(&mut self.cx, &mut self.audit);
        let disk = Disk {
            holds: &self.holds,
            audit: &self.audit,
        };
        self.operations.end(&mut self.cx, disk);
    }

    /// Takes the result of a write to the history.
    pub(in crate::control) fn on_recorded(&mut self, result: Result<(), (Vec<Line>, String)>) {
        let written = self.audit.on_written(&mut self.cx, result);
        self.operations.on_written(&mut self.audit, written);
    }

    /// Judges operations that ended during the takeover from an earlier control process.
    pub(in crate::control) fn resume_operations(&mut self) {
        let (reconfigure, work) = (&self.reconfigure, &self.work);
        let lost = |id: &str, kind| match kind {
            Kind::Job => (!work.has_pending(id)).then_some(Lost::NotBegun),
            _ => (!reconfigure.is_for(id)).then_some(Lost::NotApplied),
        };
        self.operations.resume(&mut self.cx, &mut self.audit, lost);
        self.judge_operations(JudgeScope::All);
    }
}
