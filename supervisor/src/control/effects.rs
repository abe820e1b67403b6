//! Carries out what the engine wants done. The only file that matches on [`Effect`].

use engine::{Effect, ProbeKind, RunId, ServiceId};
use keeper::message::Request;

use super::{Control, Job, Purpose, Run};

impl Control {
    pub(super) fn carry_out(&mut self, effect: &Effect) {
        match *effect {
            Effect::Changed { service } => self.on_changed(service),
            Effect::Validate { service, run } => self.start_validator(service, run),
            Effect::Spawn { service, run } => self.start_main(service, run),
            Effect::Signal {
                service: _,
                run,
                signal,
                stop,
            } => {
                self.tell(Request::Signal {
                    run: run.0,
                    signal,
                    cont: stop,
                });
            }
            Effect::Kill { service: _, run } => self.tell(Request::Sweep { run: run.0 }),
            Effect::Probe {
                service,
                run,
                probe,
            } => self.start_probe(service, run, probe),
            Effect::ReloadCommand { service, run, of } => self.start_reload(service, run, of),
            Effect::Forget { service } => self.forget(service),
            Effect::ShutdownComplete { clean } => self.shutdown_complete(clean),
        }
    }

    /// The record goes to the keeper before the effects that rest on it.
    fn on_changed(&mut self, id: ServiceId) {
        self.touched.insert(id);
        let Some(name) = self.names.name(id).map(str::to_owned) else {
            return;
        };
        if let Some(record) = self.engine.record(id) {
            let record = serde_json::to_string(&record).expect("a record is plain data");
            self.tell(Request::Remember {
                service: name,
                record,
            });
        }
        self.publish_state(id);
    }

    fn start_validator(&mut self, id: ServiceId, run: RunId) {
        let Some(service) = self.service(id) else {
            return;
        };
        let argv = service.validate.clone();
        self.start_helper(id, run, argv, None, Purpose::Validator);
    }

    fn start_reload(&mut self, id: ServiceId, run: RunId, of: RunId) {
        let Some(service) = self.service(id) else {
            return;
        };
        if let Some(plan::Reload::Command(argv)) = &service.reload {
            let argv = argv.clone();
            self.start_helper(id, run, argv, None, Purpose::ReloadCommand(of));
        }
    }

    fn start_probe(&mut self, id: ServiceId, run: RunId, probe: ProbeKind) {
        let Some(service) = self.service(id) else {
            return;
        };
        let spec = match probe {
            ProbeKind::Ready => match &service.ready.kind {
                plan::ReadyKind::Probe(spec) => Some(spec),
                plan::ReadyKind::Exec | plan::ReadyKind::Notify => None,
            },
            ProbeKind::Liveness => service.liveness.as_ref(),
            ProbeKind::Health => service.health.as_ref(),
        };
        let Some(spec) = spec.cloned() else { return };
        match spec.ask {
            plan::Ask::Exec(argv) => {
                let number = self.engine.allocate_run();
                let purpose = Purpose::Probe(run, probe);
                self.start_helper(id, number, argv, Some(spec.timeout_ms), purpose);
            }
            ask => self.job(Job::Probe {
                run,
                probe,
                ask,
                timeout_ms: spec.timeout_ms,
            }),
        }
    }

    fn start_helper(
        &mut self,
        id: ServiceId,
        run: RunId,
        argv: Vec<String>,
        timeout_ms: Option<u64>,
        purpose: Purpose,
    ) {
        let Some(service) = self.service(id) else {
            return;
        };
        let name = service.name.clone();
        let spawn = self.helper_spawn(service, run, argv, timeout_ms);
        self.runs.insert(
            run,
            Run {
                service: name,
                pid: None,
                purpose,
            },
        );
        match spawn {
            Ok(spawn) => self.tell(Request::Spawn(Box::new(spawn))),
            Err(reason) => self.helper_ended(run, Err(reason)),
        }
    }

    fn forget(&mut self, id: ServiceId) {
        // Whoever waits for it to be gone looks again.
        self.touched.insert(id);
        self.status_texts.remove(&id);
        let Some(name) = self.names.name(id).map(str::to_owned) else {
            return;
        };
        // A service that left the plan for good, not one that has come back meanwhile.
        self.tell(Request::Forget { service: name });
    }
}
