//! Routes each effect of the engine to the component that carries it out. The only file that
//! matches on [`Effect`].
//!
//! Order: the keeper gets the record of a service before the effects that rest on it.

use api::ExitRecord;
use engine::{Effect, Ended, ProbeKind, RunId, ServiceId, SignalPurpose};
use keeper::message::Request;

use crate::control::{
    Control, Purpose, Task,
    runs::{
        exits::Causes,
        starts::{StartStep, directories_in_use},
    },
};

impl Control {
    pub(in crate::control) fn carry_out(&mut self, effect: &Effect) {
        match *effect {
            Effect::Changed { service } => self.on_changed(service),
            Effect::Validate { service, run } => {
                self.start_helper(service, run, Purpose::Validator);
            }
            Effect::Spawn { service, run } => self.start_main(service, run),
            Effect::Signal {
                service,
                run,
                signal,
                purpose,
            } => {
                if purpose == SignalPurpose::Reload {
                    self.reloads(service);
                }
                self.cx.tell(Request::Signal {
                    run: run.0,
                    signal,
                    cont: purpose == SignalPurpose::Stop,
                });
            }
            Effect::Kill { service: _, run } => self.cx.tell(Request::Sweep { run: run.0 }),
            Effect::Probe {
                service,
                run,
                probe,
            } => self.start_probe(service, run, probe),
            Effect::ReloadCommand { service, run, of } => {
                self.reloads(service);
                self.start_helper(service, run, Purpose::ReloadCommand(of));
            }
            Effect::Ended(ref ended) => self.on_ended(ended),
            Effect::Forget { service } => self.forget(service),
            Effect::ShutdownComplete { clean } => self.shutdown_complete(clean),
        }
    }

    fn reloads(&mut self, id: ServiceId) {
        self.monitors.listening.look_anew(&mut self.cx, id);
    }

    /// The state of a service has changed.
    fn on_changed(&mut self, id: ServiceId) {
        self.cx.touch(id);
        let Some(name) = self.cx.names.name(id).map(str::to_owned) else {
            return;
        };
        if let Some(record) = self.cx.engine.record(id) {
            let record = serde_json::to_string(&record).expect("a record is plain data");
            self.cx.remember_as(name, record);
        }
        self.publish_state(id);
    }

    fn start_probe(&mut self, id: ServiceId, run: RunId, probe: ProbeKind) {
        let Some(service) = self.cx.service(id) else {
            return;
        };
        let Some(spec) = probe_of(service, probe).cloned() else {
            return;
        };
        match asked(&spec, probe) {
            plan::Ask::Exec(_) => {
                let number = self.cx.engine.allocate_run();
                self.api.metrics.probe_starts(number, self.cx.now.moment);
                self.start_helper(id, number, Purpose::Probe(run, probe));
            }
            ask => self.cx.queue_task(Task::Probe {
                run,
                probe,
                ask,
                timeout_ms: spec.timeout_ms,
            }),
        }
    }

    /// A main run is over: its end is told, and goes to the history.
    fn on_ended(&mut self, ended: &Ended) {
        let causes = Causes {
            cx: &self.cx,
            operations: &self.operations,
            file_restarts: &self.monitors.file_restarts,
        };
        let record = self.exits.record(&causes, ended);
        self.record_exit(record);
        self.monitors
            .file_restarts
            .ended(&mut self.cx, ended.service, ended.run);
    }

    pub(in crate::control) fn record_exit(&mut self, record: ExitRecord) {
        let left_out = self.exits.take(&mut self.cx, record);
        self.running.forget(&left_out);
    }

    /// Starts the main process of a service, once all that it needs is known and free.
    pub(in crate::control) fn start_main(&mut self, id: ServiceId, run: RunId) {
        self.last_words.clear_status(id);
        let next = self.starts.start_main(&mut self.cx, id, run);
        self.follow_start(next);
    }

    pub(in crate::control) fn start_helper(&mut self, id: ServiceId, run: RunId, purpose: Purpose) {
        let next = self.starts.start_helper(&mut self.cx, id, run, purpose);
        self.follow_start(next);
    }

    /// Passes on what a step of a start means for others.
    pub(in crate::control) fn follow_start(&mut self, next: StartStep) {
        match next {
            StartStep::Nothing => {}
            StartStep::Prepares(run) => {
                debug_assert!(
                    self.is_alone(run),
                    "{run:?} is started beside another run of its service"
                );
                self.status_files.write_again();
            }
            StartStep::Spawns(id, run) => {
                let now = self.cx.now.moment;
                self.log_readiness.expect(&mut self.cx, id, run, now);
            }
            StartStep::Refused(fact) => self.fact(fact),
            StartStep::HelperEnded(run, result) => self.helper_ended(run, result),
        }
    }

    /// No other main run of its service has a directory. Only leftovers of an earlier run may: the
    /// keeper refuses the start beside them.
    fn is_alone(&self, run: RunId) -> bool {
        let service = self.cx.run(run).and_then(|known| known.service);
        service.is_none_or(|id| {
            let has_leftovers = self.leftovers.of(id).is_some();
            let in_use = directories_in_use(&self.cx, run);
            has_leftovers || in_use.iter().all(|it| it.service != self.cx.name(id))
        })
    }

    /// After every input: starts whose wait for an address has ended go on, one after the other,
    /// for one may take the next one's address.
    pub(in crate::control) fn end_address_waits(&mut self) {
        for run in self.starts.ended_address_waits(&self.cx) {
            let next = self.starts.end_address_wait(&mut self.cx, run);
            self.follow_start(next);
        }
    }

    pub(in crate::control) fn end_directory_waits(&mut self) {
        for run in self.starts.ended_directory_waits(&self.cx) {
            let next = self.starts.end_directory_wait(&mut self.cx, run);
            self.follow_start(next);
        }
    }

    /// Gives up starts that nobody wants any more, without waiting for their lookups.
    pub(in crate::control) fn give_up_unwanted_starts(&mut self) {
        for run in self.starts.unwanted(&self.cx) {
            let next = self.starts.give_up(&mut self.cx, run);
            self.follow_start(next);
        }
    }

    fn forget(&mut self, id: ServiceId) {
        // Operations that wait for the service to be gone look again.
        self.cx.touch(id);
        self.last_words.forget(id);
        self.api.metrics.forget(id);
        let Some(name) = self.cx.names.name(id).map(str::to_owned) else {
            return;
        };
        self.leftovers.forget(id);
        self.exits.release_of(&mut self.cx, id);
        self.log_troubles.forget(id);
        self.api.departures.send_replace(());
        // The engine forgets only what has left the plan for good, not what has come back
        // meanwhile.
        self.cx.tell(Request::Forget { service: name });
    }
}

/// What one attempt of a probe asks.
pub(in crate::control) fn asked(spec: &plan::Probe, probe: ProbeKind) -> plan::Ask {
    match probe {
        ProbeKind::Confirm(reload) => spec.ask.filled(&plan::reload_token::token(reload.0)),
        ProbeKind::Ready | ProbeKind::Liveness | ProbeKind::Health => spec.ask.clone(),
    }
}

/// A service's probe of this kind.
pub(in crate::control) fn probe_of(
    service: &plan::Service,
    probe: ProbeKind,
) -> Option<&plan::Probe> {
    match probe {
        ProbeKind::Ready => match &service.ready.kind {
            plan::ReadyKind::Probe(spec) => Some(spec),
            plan::ReadyKind::Exec
            | plan::ReadyKind::Notify
            | plan::ReadyKind::Fd(_)
            | plan::ReadyKind::Log(_)
            | plan::ReadyKind::Delay(_) => None,
        },
        ProbeKind::Liveness => service.liveness.as_ref(),
        ProbeKind::Health => service.health.as_ref(),
        ProbeKind::Confirm(_) => service.reload.as_ref()?.confirm.as_ref(),
    }
}
