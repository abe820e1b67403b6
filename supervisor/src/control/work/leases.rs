//! Leases of jobs, as clients see and request them. Pure; the engine holds the leases themselves.

use api::{ErrorKind, ErrorReply, LeaseRequest, LeasedBy};
use engine::{Goal, Lease, Refusal, ServiceId, View};

use crate::{
    control::{
        Context,
        api::requests::usage,
        operations::admission::{Obstacle, when_it_ends},
        text,
    },
    service_query::{matching, unknown_service},
};

impl Context {
    /// The job that keeps a service stopped.
    pub(in crate::control) fn leased_by(&self, view: &View) -> Option<LeasedBy> {
        let lease = view.lease?;
        Some(LeasedBy {
            job: self.names.name(lease.job)?.to_owned(),
            since: text::time(self.lease_unix_ms(lease)),
        })
    }

    fn lease_unix_ms(&self, lease: Lease) -> u64 {
        let ago = self.now.moment.since(lease.since);
        self.now.unix_ms.saturating_sub(ago)
    }

    /// `stopped for the job backup (since …)`.
    pub(in crate::control) fn lease_reason(&self, view: &View) -> Option<String> {
        let LeasedBy { job, since } = self.leased_by(view)?;
        Some(format!("stopped for the job {job} (since {since})"))
    }

    /// The reply to a client whose command is refused because of a job.
    pub(in crate::control) fn refused_for_job(&self, refusal: &Refusal) -> ErrorReply {
        let name = |id: &ServiceId| self.names.name(*id).unwrap_or("?").to_owned();
        let (kind, message, hint) = match refusal {
            Refusal::Leased {
                service,
                requirement,
                lease,
            } => {
                let what = if service == requirement {
                    name(service)
                } else {
                    format!("{} requires {}, which", name(service), name(requirement))
                };
                let (job, since) = (name(&lease.job), text::time(self.lease_unix_ms(*lease)));
                let message = format!("{what} is kept stopped by the job {job} since {since}");
                (ErrorKind::Leased, message, Some(when_it_ends(&job)))
            }
            Refusal::JobRuns(id) => {
                let job = name(id);
                return Obstacle::Job(job).reply();
            }
            Refusal::NotJob(id) => (ErrorKind::Refused, format!("{} is no job", name(id)), None),
            Refusal::IsJob(id) => {
                let message = format!(
                    "{} is a job, which runs when its work is asked for",
                    name(id)
                );
                (ErrorKind::Refused, message, None)
            }
            Refusal::LeasesItself { job, service } => {
                let (job, service) = (name(job), name(service));
                let message =
                    format!("the job {job} cannot have {service} stopped, which it is or requires");
                (ErrorKind::Refused, message, None)
            }
            Refusal::NoJob(id) => {
                let message = format!("the job {} does not run", name(id));
                (ErrorKind::Refused, message, None)
            }
            other => return self.refused(other),
        };
        ErrorReply {
            kind,
            message,
            hint,
        }
    }
}

/// The job that asks for a lease, or gives one back.
pub(super) fn job(cx: &Context, name: &str) -> Result<ServiceId, ErrorReply> {
    let services = &cx.plan.services;
    let planned = services.get(name).filter(|it| it.enabled);
    let id = planned.and_then(|_| cx.names.id(name));
    id.ok_or_else(|| unknown_service(name, services))
}

/// The services that a job asks to have stopped.
pub(super) fn services(cx: &Context, request: &LeaseRequest) -> Result<Vec<String>, ErrorReply> {
    if request.services.is_empty() {
        return Err(usage("name the services that are to stop"));
    }
    matching(&request.services, &cx.plan.services)
}

/// The services that come up when a job gives back what it has had stopped.
pub(super) fn given_back(cx: &Context, job: ServiceId) -> Vec<String> {
    let leases = cx.engine.leases_of(job).into_iter();
    let wanted = leases.filter(|id| {
        let view = cx.engine.view(*id);
        view.is_some_and(|view| view.goal == Goal::Up && view.hold.is_none())
    });
    wanted.map(|id| cx.name(id).to_owned()).collect()
}
