//! The result of an operation that asks for a job's work, read when the job is over. The result
//! stays in the job's directory: each control process reads it again instead of remembering it.

use api::JobResult;
use engine::ServiceId;

use crate::control::operations::{
    list::Operations,
    operation::Operation,
    result::{Due, Reading},
    target::Kind,
};

impl Operation {
    pub(super) const fn is_result_read(&self) -> bool {
        matches!(self.job, Reading::Read(_) | Reading::Unreadable(_))
    }

    /// Whether everything is known that the client hears at the end.
    pub(super) fn is_told_whole(&self) -> bool {
        self.kind != Kind::Job || self.is_result_read()
    }
}

impl Operations {
    /// The job whose work was requested and is not over.
    pub(in crate::control) fn open_job(&self) -> Option<ServiceId> {
        let mut open = self.jobs().filter(|it| !it.finished);
        open.find_map(|it| it.targets.keys().next()).copied()
    }

    /// Results to read now; each appears once.
    pub(in crate::control) fn results_to_read(
        &mut self,
        is_over: impl Fn(ServiceId) -> bool,
    ) -> Vec<Due> {
        let mut due = Vec::new();
        let jobs = self.list.iter_mut().filter(|it| it.kind == Kind::Job);
        for operation in jobs.filter(|it| it.job == Reading::Unread) {
            let service = operation.targets.keys().next().copied();
            let over = |id: &ServiceId| operation.finished || (operation.accepted && is_over(*id));
            if let Some(service) = service.filter(over) {
                operation.job = Reading::Asked;
                due.push(Due {
                    service,
                    id: operation.id.clone(),
                    ended: (!operation.finished).then_some(operation.began),
                });
            }
        }
        due
    }

    /// Takes the result of a request; returns its job.
    pub(in crate::control) fn result_read(
        &mut self,
        id: &str,
        result: Result<Option<JobResult>, String>,
    ) -> Option<ServiceId> {
        let operation = self.get(id)?;
        operation.job = result.map_or_else(Reading::Unreadable, Reading::Read);
        operation.targets.keys().next().copied()
    }

    /// Whether the work of this job was requested and its result is not read yet.
    pub(in crate::control) fn awaits_result(&self, service: ServiceId) -> bool {
        let mut unread = self.jobs().filter(|it| !it.is_result_read());
        unread.any(|it| it.targets.contains_key(&service))
    }

    fn jobs(&self) -> impl Iterator<Item = &Operation> {
        self.list.iter().filter(|it| it.kind == Kind::Job)
    }
}
