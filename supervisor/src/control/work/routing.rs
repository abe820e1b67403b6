//! Lends other components' state to jobs' work, and asks the engine. Invariant: this module decides
//! nothing.

use api::{ErrorReply, EventKind, JobRequest, Progress};
use engine::{Command, ServiceId};
use tokio::sync::mpsc;

use crate::{
    ask::{Peer, Wish},
    control::{
        Control,
        api::requests::Change,
        operations::{JudgeScope, Kind, admission::Intent, result::Read, targets},
        record_keys::Key,
        work::{
            leases,
            requests::{Books, Fate, Stored, asked_for},
        },
    },
};

type Stream = Result<mpsc::Receiver<Progress>, ErrorReply>;

impl Control {
    /// Handles a request about a job, from a client or from a job itself.
    pub(in crate::control) fn ask_work(&mut self, id: &str, wish: Wish, peer: &Peer) -> Stream {
        if let Some(known) = self.operations.follow(id) {
            return Ok(known);
        }
        match wish {
            Wish::Work(service, request) => self.ask_job(&service, request, peer),
            Wish::Lease(request) => {
                let job = leases::job(&self.cx, &request.job)?;
                self.admit(Intent::Lease)?;
                let names = leases::services(&self.cx, &request)?;
                let services = names.iter().filter_map(|name| self.cx.names.id(name));
                let services = services.collect();
                let what = format!("lease for {}", request.job);
                let command = Command::Lease { job, services };
                self.change_for_job(id, Kind::Lease, command, &what, names, peer)
            }
            Wish::Release(request) => {
                let job = leases::job(&self.cx, &request.job)?;
                let names = leases::given_back(&self.cx, job);
                let what = format!("release by {}", request.job);
                let command = Command::Release { job };
                self.change_for_job(id, Kind::Release, command, &what, names, peer)
            }
        }
    }

    fn change_for_job(
        &mut self,
        id: &str,
        kind: Kind,
        command: Command,
        what: &str,
        names: Vec<String>,
        peer: &Peer,
    ) -> Stream {
        self.change(Change {
            id,
            kind,
            command,
            what,
            names,
            left_alone: Vec::new(),
            peer,
            wait: true,
        })
    }

    fn ask_job(&mut self, service: &str, request: JobRequest, peer: &Peer) -> Stream {
        let job = asked_for(&self.cx, service)?;
        self.admit(Intent::Job)?;
        let mut books = Books {
            operations: &mut self.operations,
            holds: &self.holds,
            audit: &mut self.audit,
        };
        let work = &mut self.work;
        Ok(work.request(&mut self.cx, &mut books, job, request, peer))
    }

    /// Runs a job whose scheduled time has come.
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

    /// Restores the request of an earlier control process.
    pub(in crate::control) fn restore_request(&mut self, record: Option<&String>) {
        let mut books = Books {
            operations: &mut self.operations,
            holds: &self.holds,
            audit: &mut self.audit,
        };
        if let Some(record) = record {
            let stopping = self.cx.is_stopping();
            self.work
                .restore_request(&mut self.cx, &mut books, record, stopping);
        }
    }

    /// A request is on the disk, or is not.
    pub(in crate::control) fn order_stored(&mut self, result: Result<(), String>) {
        let Some(Stored { job, id, fate }) = self.work.stored(&self.cx, result) else {
            return;
        };
        match fate {
            Fate::Refused(error) => self.refuse_job(job, &id, &error),
            Fate::HasBegun => {
                let targets = targets(&self.cx, [job]);
                self.operations
                    .accept(&id, targets, [job].into(), Vec::new());
            }
            Fate::Begins => self.begin_job(job, &id),
        }
        self.operations.remember(&mut self.cx);
        self.cx.remember(Key::Job, String::new());
    }

    fn begin_job(&mut self, job: ServiceId, id: &str) {
        let targets = targets(&self.cx, [job]);
        let request = id.to_owned();
        match self.command(Command::Job { job, request }) {
            Ok(accepted) => {
                let notes = self.notes(&accepted, Kind::Job);
                self.operations.accept(id, targets, [job].into(), notes);
            }
            Err(refusal) => {
                let error = self.cx.refused(&refusal);
                self.refuse_job(job, id, &error);
            }
        }
    }

    fn refuse_job(&mut self, job: ServiceId, id: &str, error: &ErrorReply) {
        let service = self.cx.name(job).to_owned();
        tracing::warn!(service, "does not begin its work: {}", error.message);
        self.cx
            .publish(&service, EventKind::Failure, &error.message, None);
        self.operations
            .refuse(&mut self.cx, &mut self.audit, id, error);
    }

    /// Passes progress messages of jobs on to clients.
    pub(in crate::control) fn pass_progress_on(&mut self) {
        for (operation, line) in self.work.progress_due(&mut self.cx) {
            let answer = self.operations.progress(&operation, line);
            self.cx.answer(answer);
        }
    }

    /// Has the results read of jobs that are over.
    pub(in crate::control) fn look_for_results(&mut self) {
        self.work
            .read_results(&mut self.cx, &mut self.operations, &mut self.api.metrics);
    }

    /// Takes the result of a job.
    pub(in crate::control) fn result_read(&mut self, id: &str, read: Read) {
        self.work
            .result_read(&mut self.cx, &mut self.operations, id, read);
        self.judge_operations(JudgeScope::One(id));
    }
}
