//! What has changed of services: the world hears of it, people are alerted, files that changed are
//! taken.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Command, RunId, ServiceId, State, View};

use crate::control::{
    Control,
    alerts::{self, Condition, Tell},
    monitors::{file_watch::FilesChanged, inotify::Seen},
    record_keys::TROUBLE,
    schedule::RunEnd,
    text,
};

impl Control {
    /// Publishes the present state of a service.
    pub(in crate::control) fn publish_state(&mut self, id: ServiceId) {
        let Some(view) = self.cx.engine.view(id) else {
            return;
        };
        self.api.metrics.restarts(id, view.restarts);
        let views = self.views();
        let (healthy, reason) = (views.healthy(id, &view), views.reason(id, &view));
        self.cx.publish_state(id, &view, healthy, &reason);
    }

    /// Sorts the services that an input has touched by how they stand, and takes in who stopped
    /// them.
    pub(in crate::control) fn sort_touched(&mut self, touched: &BTreeSet<ServiceId>) {
        self.daemon.init_notify.sort(&self.cx, touched);
        self.holds.note_touched(&mut self.cx, touched);
    }

    /// Tells the init the progress of the services.
    pub(in crate::control) fn tell_init(&mut self) {
        let idle = self.reconfigure.is_idle();
        self.daemon.init_notify.check(&mut self.cx, idle);
    }

    /// Takes in how runs have ended of what runs by the clock.
    pub(in crate::control) fn note_outcomes(&mut self, touched: &BTreeSet<ServiceId>) {
        for id in touched {
            let name = self.cx.name(*id).to_owned();
            let Some(view) = self.cx.engine.view(*id) else {
                continue;
            };
            // The result of a job says whether the run counts, and why it has failed.
            if !self.schedule.has(&name) || self.operations.awaits_result(*id) {
                continue;
            }
            let result = self.work.result_of(*id, &view);
            let aside = result.is_some_and(|it| it.aside);
            let reason = || self.views().reason(*id, &view).to_string();
            if let Some(end) = RunEnd::of(&view, aside, reason) {
                let told = self.alerts.is_trouble_told(*id);
                self.schedule.note_outcome(&mut self.cx, &name, &end, told);
            }
        }
    }

    /// Restores the troubles of services that an earlier control process knew and has reported.
    pub(in crate::control) fn restore_troubles(&mut self, records: &BTreeMap<String, String>) {
        let ids: Vec<ServiceId> = self.cx.names.ids().values().copied().collect();
        for id in ids {
            if let Some(view) = self.cx.engine.view(id) {
                let record = records.get(&format!("{TROUBLE}{}", self.cx.name(id)));
                let look = self.look(id, &view);
                self.alerts.restore(id, record, &look);
            }
        }
    }

    /// Looks at the services that an input has touched, whether people are to be alerted.
    pub(in crate::control) fn look_for_trouble(&mut self, touched: &BTreeSet<ServiceId>) {
        for id in touched {
            let Some(view) = self.cx.engine.view(*id) else {
                self.alerts.forget(*id);
                continue;
            };
            let look = self.look(*id, &view);
            let tells = self.alerts.look(&mut self.cx, *id, &look);
            self.alert(*id, tells);
        }
    }

    /// Messages that were held back are due, or a service has been calm for long enough.
    pub(super) fn alerts_timeout(&mut self) {
        while let Some((id, tells)) = self.alerts.timeout(&mut self.cx) {
            self.alert(id, tells);
        }
    }

    fn look(&self, id: ServiceId, view: &View) -> Condition {
        let healthy = self.views().healthy(id, view);
        let result = self.work.result_of(id, view);
        let awaits_result = self.operations.awaits_result(id);
        Condition::of(self.cx.service(id), view, healthy, result, awaits_result)
    }

    fn alert(&mut self, id: ServiceId, tells: Vec<Tell>) {
        for tell in tells {
            let Some(view) = self.cx.engine.view(id) else {
                return;
            };
            let probe = view.unhealthy.as_ref().map(text::unhealthy);
            let certificate = self.monitors.file_watch.certificate_trouble(id);
            let unhealthy = certificate.or_else(|| probe.map(str::to_owned));
            let why = alerts::Why {
                reason: self.views().reason(id, &view).to_string(),
                unhealthy: unhealthy.unwrap_or_default(),
            };
            self.alerts.tell(&mut self.cx, id, tell, &why);
        }
    }

    /// Takes the end of a delivery.
    pub(in crate::control) fn delivery_ended(&mut self, run: RunId, ok: bool, detail: &str) {
        let result = if ok { Ok(()) } else { Err(detail) };
        self.alerts.on_delivered(&mut self.cx, run, result);
    }

    /// Takes the result of a check of watched files and certificates.
    pub(in crate::control) fn on_files_seen(&mut self, seen: Seen) {
        for changed in self.monitors.file_watch.on_seen(&mut self.cx, seen) {
            self.take_files(changed);
        }
    }

    /// Lets a service that runs take the files of its own that have changed.
    fn take_files(&mut self, changed: FilesChanged) {
        let FilesChanged {
            id,
            restarts,
            files,
            detail,
        } = changed;
        let name = self.cx.name(id).to_owned();
        tracing::info!(service = name, "{detail}");
        self.cx.publish(&name, api::EventKind::Files, &detail, None);
        if let Some(run) = self.restarted_for_files(id).filter(|_| restarts) {
            self.monitors
                .file_restarts
                .note(&mut self.cx, id, run, &files);
        }
        let command = if restarts {
            Command::Restart
        } else {
            Command::Reload
        };
        if let Err(refusal) = self.command(command([id].into())) {
            self.monitors.file_restarts.forget(&mut self.cx, id);
            let error = self.cx.refused(&refusal).message;
            tracing::warn!(service = name, "{detail}, but that was refused: {error}");
            self.cx.publish(&name, api::EventKind::Files, &error, None);
        }
    }

    /// The run that a restart for files ends; none: it goes down already, for another cause.
    fn restarted_for_files(&self, id: ServiceId) -> Option<RunId> {
        let run = self.cx.engine.main_run(id)?;
        let view = self.cx.engine.view(id)?;
        let goes_down = matches!(view.state, State::Stopping { .. });
        let restarts = self.operations.that_restarts(id, run);
        (!goes_down && restarts.is_none()).then_some(run)
    }
}
