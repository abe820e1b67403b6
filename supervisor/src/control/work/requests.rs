//! A request for a job's work on its way to the disk, from where it goes to the engine.
//!
//! The keeper hears of the request before anything is done for it, and until the engine has it: a
//! successor goes on with it, and finds by the engine's record whether the work has begun. Limit:
//! one request is on its way.

use api::{ErrorKind, ErrorReply, EventKind, JobOrder, JobRequest, Progress};
use engine::{Hold, Refusal, ServiceId};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    ask::Peer,
    control::{
        Context, Task,
        holds::Holds,
        operations::{
            Kind, Operations,
            audit::{self, AuditLog},
        },
        record_keys::Key,
        work::Work,
    },
    history::Line,
    service_query::unknown_service,
};

/// Name of an operation that asks for a job's work, in the history.
const WHAT: &str = "job";

/// A request on its way to the disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    job: ServiceId,
    order: JobOrder,
    asked: Line,
    /// The hold, if the job was stopped meanwhile.
    stopped: Option<Hold>,
}

/// Where an operation is entered when it begins.
pub(super) struct Books<'a> {
    pub(super) operations: &'a mut Operations,
    pub(super) holds: &'a Holds,
    pub(super) audit: &'a mut AuditLog,
}

impl Books<'_> {
    fn begin(&mut self, cx: &mut Context, wait: bool, asked: Line) -> mpsc::Receiver<Progress> {
        self.operations
            .begin(cx, self.holds, self.audit, Kind::Job, wait, asked)
    }
}

/// A request whose way to the disk has ended.
#[derive(Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) job: ServiceId,
    /// The client's id.
    pub(super) id: String,
    pub(super) fate: Fate,
}

/// The next step for the request.
#[derive(Debug, PartialEq)]
pub(super) enum Fate {
    /// The engine gets the request.
    Begins,
    /// The engine has the request: an earlier control process came so far, and died before it said
    /// so.
    HasBegun,
    Refused(ErrorReply),
}

/// The job that is asked for; or what can be said against it before its request is on the disk.
pub(super) fn asked_for(cx: &Context, service: &str) -> Result<ServiceId, ErrorReply> {
    let services = &cx.plan.services;
    let unknown = || unknown_service(service, services);
    let planned = services.get(service).ok_or_else(unknown)?;
    if !planned.enabled {
        return Err(ErrorReply {
            kind: ErrorKind::Refused,
            message: format!("{service} is disabled on this host"),
            hint: Some(planned.enable_hint.clone()).filter(|hint| !hint.is_empty()),
        });
    }
    let id = cx.names.id(service).ok_or_else(unknown)?;
    if planned.job {
        Ok(id)
    } else {
        Err(cx.refused(&Refusal::NotJob(id)))
    }
}

impl Work {
    /// Whether this request is on its way to the disk.
    pub(in crate::control) fn has_pending(&self, id: &str) -> bool {
        let pending = self.pending.as_ref();
        pending.is_some_and(|it| it.order.id == id)
    }

    /// The job that is asked for work, until the engine has taken that.
    pub(in crate::control) fn pending_job(&self) -> Option<ServiceId> {
        self.pending.as_ref().map(|it| it.job)
    }

    /// Takes a request in, and has it stored. Its client follows the operation.
    pub(super) fn request(
        &mut self,
        cx: &mut Context,
        books: &mut Books<'_>,
        job: ServiceId,
        request: JobRequest,
        peer: &Peer,
    ) -> mpsc::Receiver<Progress> {
        let service = cx.name(job).to_owned();
        let services = [service.clone()];
        let asked = audit::asked(cx.now.unix_ms, &request.id, peer, WHAT, &services);
        let stream = books.begin(cx, request.wait, asked.clone());
        let order = JobOrder {
            id: request.id,
            by: peer.name.clone(),
            arguments: request.arguments,
        };
        cx.publish(&service, EventKind::Change, WHAT, Some(&peer.name));
        tracing::info!(by = peer.name, service, "asks for its work");
        self.store(
            cx,
            Pending {
                job,
                order,
                asked,
                stopped: None,
            },
        );
        stream
    }

    /// A stop that comes while the request is being stored counts: the work does not begin.
    pub(in crate::control) fn stop_pending(
        &mut self,
        cx: &mut Context,
        services: &[String],
        hold: &Hold,
    ) {
        let is_meant = |it: &&mut Pending| services.iter().any(|name| *name == *cx.name(it.job));
        let Some(pending) = self.pending.as_mut().filter(is_meant) else {
            return;
        };
        pending.stopped = Some(hold.clone());
        let record = record_of(pending);
        cx.remember(Key::Job, record);
    }

    /// The keeper hears of the request before anything is done for it.
    fn store(&mut self, cx: &mut Context, pending: Pending) {
        cx.remember(Key::Job, record_of(&pending));
        let service = cx.name(pending.job).to_owned();
        let order = pending.order.clone();
        self.pending = Some(pending);
        cx.queue_task(Task::StoreOrder { service, order });
    }

    /// The request is on the disk, or is not: now the engine, or nothing.
    pub(super) fn stored(&mut self, cx: &Context, result: Result<(), String>) -> Option<Stored> {
        let Pending {
            job,
            order,
            stopped,
            ..
        } = self.pending.take()?;
        let request = cx.engine.view(job).and_then(|view| view.request);
        let fate = match (result, stopped) {
            (Err(error), _) => Fate::Refused(ErrorReply {
                kind: ErrorKind::Internal,
                message: format!("cannot store what {} is asked to do: {error}", cx.name(job)),
                hint: Some("nothing was done; mend that and ask again".to_owned()),
            }),
            (Ok(()), _) if request.as_ref() == Some(&order.id) => Fate::HasBegun,
            (Ok(()), Some(hold)) => {
                let held = Refusal::Held { service: job, hold };
                Fate::Refused(cx.refused(&held))
            }
            (Ok(()), None) => Fate::Begins,
        };
        Some(Stored {
            job,
            id: order.id,
            fate,
        })
    }

    /// Goes on with the request of an earlier control process, unless everything is being stopped.
    pub(super) fn restore_request(
        &mut self,
        cx: &mut Context,
        books: &mut Books<'_>,
        record: &str,
        stopping: bool,
    ) {
        let Ok(pending) = serde_json::from_str::<Pending>(record) else {
            return;
        };
        if stopping {
            // Operations say that it was not done.
            cx.remember(Key::Job, String::new());
            return;
        }
        if books.operations.follow(&pending.order.id).is_none() {
            drop(books.begin(cx, true, pending.asked.clone()));
        }
        self.store(cx, pending);
    }
}

fn record_of(pending: &Pending) -> String {
    serde_json::to_string(pending).expect("a request is plain data")
}
