//! How the engine grants leases, indexes them and ends them. [`crate::lease`] says what a lease
//! means.

use alloc::{collections::BTreeSet, vec::Vec};

use crate::{
    engine::Engine,
    event::{Accepted, Refusal},
    ids::{Ids, Moment, ServiceId},
    lease::Lease,
    state::Goal,
};

impl Engine {
    /// Services that a job keeps stopped.
    pub fn leases_of(&self, job: ServiceId) -> BTreeSet<ServiceId> {
        let its = |id: &&ServiceId| self.lease(**id).is_some_and(|lease| lease.job == job);
        self.leased.iter().filter(its).copied().collect()
    }

    /// Whether a job keeps any service stopped.
    pub fn has_leases(&self) -> bool {
        !self.leased.is_empty()
    }

    pub(crate) fn lease(&self, id: ServiceId) -> Option<Lease> {
        self.nodes.get(&id)?.service.record.lease
    }

    /// Refuses targets that a job keeps stopped, or that require a service which a job keeps
    /// stopped.
    pub(crate) fn unleased(&self, targets: &Ids) -> Result<(), Refusal> {
        if self.leased.is_empty() {
            return Ok(());
        }
        for service in targets {
            for requirement in self.with_requirements(&Ids::from([*service])) {
                if let Some(lease) = self.lease(requirement) {
                    return Err(Refusal::Leased {
                        service: *service,
                        requirement,
                        lease,
                    });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn take_leases(
        &mut self,
        now: Moment,
        job: ServiceId,
        services: &Ids,
    ) -> Result<Accepted, Refusal> {
        self.is_job(job)?;
        self.known(services)?;
        let works = self.nodes.get(&job).is_some_and(|node| {
            let record = &node.service.record;
            record.main_run().is_some() && !record.state.is_stopping() && !node.must_be_down
        });
        if !works {
            return Err(Refusal::NoJob(job));
        }
        for service in services {
            let target = Ids::from([*service]);
            if *service == job || self.requirers(&target).contains(&job) {
                let service = *service;
                return Err(Refusal::LeasesItself { job, service });
            }
            if let Some(lease) = self.lease(*service).filter(|it| it.job != job) {
                return Err(Refusal::Leased {
                    service: *service,
                    requirement: *service,
                    lease,
                });
            }
        }
        let mut accepted = Accepted::default();
        self.note_stopped_too(services, &mut accepted);
        for id in services {
            if self.lease(*id).is_none() {
                self.set_lease(*id, Some(Lease { job, since: now }));
                accepted.affected.insert(*id);
            }
        }
        self.note_reruns(services, &mut accepted);
        Ok(accepted)
    }

    /// Gives back all services that a job keeps stopped. Those that are wanted start.
    pub(crate) fn give_back(&mut self, job: ServiceId) -> Accepted {
        let mut accepted = Accepted::default();
        for id in self.leases_of(job) {
            self.set_lease(id, None);
            let wanted = self.nodes.get(&id).map(|it| it.service.record.goal) == Some(Goal::Up);
            if wanted {
                accepted.affected.insert(id);
            }
        }
        self.propagate();
        accepted
    }

    /// Ends the leases of jobs that are over; returns whether there were any.
    pub(crate) fn end_leases(&mut self) -> bool {
        let holders: BTreeSet<ServiceId> = self
            .leased
            .iter()
            .filter_map(|id| Some(self.lease(*id)?.job))
            .collect();
        let over: Vec<ServiceId> = holders.into_iter().filter(|it| self.is_over(*it)).collect();
        for job in &over {
            self.give_back(*job);
        }
        !over.is_empty()
    }

    fn set_lease(&mut self, id: ServiceId, lease: Option<Lease>) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.service.record.lease = lease;
            self.note_lease(id);
            self.moved.insert(id);
            self.tell_changed(id);
        }
    }

    /// Keeps the index of leased services.
    pub(crate) fn note_lease(&mut self, id: ServiceId) {
        if self.lease(id).is_some() {
            self.leased.insert(id);
        } else {
            self.leased.remove(&id);
        }
    }
}
