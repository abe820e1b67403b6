//! What a job keeps stopped, and gives back.

use std::collections::BTreeSet;

use api::{ErrorKind, ErrorReply, LeaseRequest, LeasedBy, Progress, ReleaseRequest};
use engine::{Command, Goal, Lease, Refusal, ServiceId, View};
use tokio::sync::mpsc;

use crate::{
    ask::Peer,
    control::{
        Context, Control,
        api::requests::{Change, usage},
        operations::{
            Kind,
            admission::{Intent, Obstacle, when_it_ends},
        },
        text,
    },
    service_query::{matching, unknown_service},
};

impl Context {
    /// Who keeps a service stopped.
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

    /// Why something is refused because of a job.
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

impl Control {
    /// A job has services stopped.
    pub(super) fn ask_lease(
        &mut self,
        id: &str,
        request: &LeaseRequest,
        peer: &Peer,
    ) -> Result<mpsc::Receiver<Progress>, ErrorReply> {
        let job = self.job_named(&request.job)?;
        self.admit(Intent::Lease)?;
        if request.services.is_empty() {
            return Err(usage("name the services that are to stop"));
        }
        let names = matching(&request.services, &self.cx.plan.services)?;
        let services: BTreeSet<ServiceId> = names
            .iter()
            .filter_map(|name| self.cx.names.id(name))
            .collect();
        let what = format!("lease for {}", request.job);
        let command = Command::Lease { job, services };
        self.change(Change {
            id,
            kind: Kind::Lease,
            command,
            what: &what,
            names,
            left_alone: Vec::new(),
            peer,
            wait: true,
        })
    }

    /// A job gives back what it has had stopped.
    pub(super) fn ask_release(
        &mut self,
        id: &str,
        request: &ReleaseRequest,
        peer: &Peer,
    ) -> Result<mpsc::Receiver<Progress>, ErrorReply> {
        let job = self.job_named(&request.job)?;
        let leases = self.cx.engine.leases_of(job).into_iter();
        let wanted = leases.filter(|id| {
            let view = self.cx.engine.view(*id);
            view.is_some_and(|view| view.goal == Goal::Up && view.hold.is_none())
        });
        let names = wanted.filter_map(|id| self.cx.names.name(id).map(str::to_owned));
        let names = names.collect();
        let what = format!("release by {}", request.job);
        self.change(Change {
            id,
            kind: Kind::Release,
            command: Command::Release { job },
            what: &what,
            names,
            left_alone: Vec::new(),
            peer,
            wait: true,
        })
    }

    fn job_named(&self, name: &str) -> Result<ServiceId, ErrorReply> {
        let services = &self.cx.plan.services;
        let planned = services.get(name).filter(|it| it.enabled);
        let id = planned.and_then(|_| self.cx.names.id(name));
        id.ok_or_else(|| unknown_service(name, services))
    }
}
