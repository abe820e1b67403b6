//! Requests for work: from a client or a schedule to the engine, by way of the disk.

use api::{ErrorKind, ErrorReply, JobOrder, JobRequest, Progress};
use engine::{Command, Hold, Refusal};
use tokio::sync::mpsc;

use crate::{
    ask::{Peer, Wish},
    control::{
        Control, Job,
        operations::{Kind, admission::Intent, audit, targets},
        record_keys::Key,
        work::Pending,
    },
    service_query::unknown_service,
};

type Stream = Result<mpsc::Receiver<Progress>, ErrorReply>;

/// As a change is named in the history that asks for a job's work.
const WHAT: &str = "job";

impl Control {
    /// Somebody wants something of a job, or a job does.
    pub(in crate::control) fn ask_work(&mut self, id: &str, wish: Wish, peer: &Peer) -> Stream {
        if let Some(known) = self.operations.follow(id) {
            return Ok(known);
        }
        match wish {
            Wish::Work(service, request) => self.ask_job(&service, request, peer),
            Wish::Lease(request) => self.ask_lease(id, &request, peer),
            Wish::Release(request) => self.ask_release(id, &request, peer),
        }
    }

    fn ask_job(&mut self, service: &str, request: JobRequest, peer: &Peer) -> Stream {
        self.may_ask(service)?;
        let services = [service.to_owned()];
        let asked = audit::asked(self.cx.now.unix_ms, &request.id, peer, WHAT, &services);
        let stream = self.operations.begin(
            &mut self.cx,
            &self.holds,
            &mut self.audit,
            Kind::Job,
            request.wait,
            asked.clone(),
        );
        let order = JobOrder {
            id: request.id,
            by: peer.name.clone(),
            arguments: request.arguments,
        };
        self.cx.publish(service, "change", WHAT, Some(&peer.name));
        tracing::info!(by = peer.name, service, "asks for its work");
        self.store_request(Pending {
            service: service.to_owned(),
            order,
            asked,
            stopped: None,
        });
        Ok(stream)
    }

    /// What can be said before the engine is asked: it is asked once the request is on the disk.
    fn may_ask(&self, service: &str) -> Result<(), ErrorReply> {
        let services = &self.cx.plan.services;
        let planned = services
            .get(service)
            .ok_or_else(|| unknown_service(service, services))?;
        if !planned.enabled {
            return Err(ErrorReply {
                kind: ErrorKind::Refused,
                message: format!("{service} is disabled on this host"),
                hint: Some(planned.enable_hint.clone()).filter(|hint| !hint.is_empty()),
            });
        }
        let id = self.cx.names.id(service);
        if let Some(id) = id.filter(|_| !planned.job) {
            return Err(self.cx.refused(&Refusal::NotJob(id)));
        }
        self.admit(Intent::Job)
    }

    /// A stop that comes while the request is being stored counts: the work does not begin.
    pub(in crate::control) fn stop_pending(&mut self, services: &[String], hold: &Hold) {
        let pending = self.work.pending.as_mut();
        let Some(pending) = pending.filter(|it| services.contains(&it.service)) else {
            return;
        };
        pending.stopped = Some(hold.clone());
        let record = record_of(pending);
        self.cx.remember(Key::Job, record);
    }

    /// The keeper hears of it before anything is done for it.
    fn store_request(&mut self, pending: Pending) {
        self.cx.remember(Key::Job, record_of(&pending));
        let (service, order) = (pending.service.clone(), pending.order.clone());
        self.work.pending = Some(pending);
        self.cx.job(Job::StoreOrder { service, order });
    }

    /// The request is on the disk, or is not: now the engine, or nothing.
    pub(in crate::control) fn order_stored(&mut self, result: Result<(), String>) {
        let Some(pending) = self.work.pending.take() else {
            return;
        };
        let Pending { service, order, .. } = &pending;
        match result {
            Ok(()) => self.begin_job(&pending),
            Err(error) => {
                let message = format!("cannot store what {service} is asked to do: {error}");
                let hint = Some("nothing was done; mend that and ask again".to_owned());
                let error = ErrorReply {
                    kind: ErrorKind::Internal,
                    message,
                    hint,
                };
                self.refuse_job(service, &order.id, &error);
            }
        }
        self.operations.remember(&mut self.cx);
        self.cx.remember(Key::Job, String::new());
    }

    fn begin_job(&mut self, pending: &Pending) {
        let (service, request) = (pending.service.as_str(), pending.order.id.as_str());
        let Some(job) = self.cx.names.id(service) else {
            return;
        };
        let targets = targets(&self.cx, [job]);
        let view = self.cx.engine.view(job);
        let begun = view.and_then(|view| view.request).as_deref() == Some(request);
        let mut notes = Vec::new();
        // An earlier control process may have come so far, and not have told.
        if !begun {
            if let Some(hold) = pending.stopped.clone() {
                let held = Refusal::Held { service: job, hold };
                let error = self.cx.refused(&held);
                self.refuse_job(service, request, &error);
                return;
            }
            let command = Command::Job {
                job,
                request: request.to_owned(),
            };
            match self.command(command) {
                Ok(accepted) => notes = self.notes(&accepted, Kind::Job),
                Err(refusal) => {
                    let error = self.cx.refused(&refusal);
                    self.refuse_job(service, request, &error);
                    return;
                }
            }
        }
        self.operations
            .accept(request, targets, [job].into(), notes);
    }

    fn refuse_job(&mut self, service: &str, id: &str, error: &ErrorReply) {
        tracing::warn!(service, "does not begin its work: {}", error.message);
        self.cx.publish(service, "failure", &error.message, None);
        self.operations
            .refuse(&mut self.cx, &mut self.audit, id, error);
    }

    /// What an earlier control process had in hand goes on.
    pub(in crate::control) fn restore_request(&mut self, record: Option<&String>) {
        let pending = record.and_then(|it| serde_json::from_str::<Pending>(it).ok());
        let Some(pending) = pending else {
            return;
        };
        if self.cx.is_stopping() {
            // `resume_operations` says that it was not done.
            self.cx.remember(Key::Job, String::new());
            return;
        }
        if self.operations.follow(&pending.order.id).is_none() {
            let asked = pending.asked.clone();
            drop(self.operations.begin(
                &mut self.cx,
                &self.holds,
                &mut self.audit,
                Kind::Job,
                true,
                asked,
            ));
        }
        self.store_request(pending);
    }

    /// The time of a job has come.
    pub(in crate::control) fn run_job_by_schedule(&mut self, service: &str) -> Result<(), String> {
        let schedule = self.cx.plan.services.get(service);
        let schedule = schedule.and_then(|it| it.schedule.as_ref());
        let arguments = schedule.map(|it| it.arguments.clone()).unwrap_or_default();
        let request = JobRequest {
            id: format!("schedule-{service}-{}", self.cx.now.unix_ms),
            arguments: serde_json::json!(arguments),
            wait: true,
        };
        let peer = Peer {
            uid: 0,
            name: "its schedule".to_owned(),
        };
        let asked = self.ask_job(service, request, &peer);
        asked.map(drop).map_err(|error| error.message)
    }
}

fn record_of(pending: &Pending) -> String {
    serde_json::to_string(pending).expect("a request is plain data")
}
