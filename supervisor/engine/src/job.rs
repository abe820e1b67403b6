//! Jobs: oneshots that run when a client asks for their work, one job at a time on a host. When a
//! run fails, the restart policy decides whether another run follows for the same request.

use alloc::{string::String, vec::Vec};

use crate::{
    engine::Engine,
    event::{Accepted, Refusal},
    ids::{Ids, Moment, ServiceId},
    input::Input,
    state::{Failure, State},
};

impl Engine {
    /// The job that is under way, if any.
    pub fn active_job(&self) -> Option<ServiceId> {
        let mut jobs = self.nodes.iter().filter(|(_, it)| it.service.spec.job);
        let active = jobs.find(|(id, _)| !self.is_over(**id));
        active.map(|(id, _)| *id)
    }

    /// Whether a job is over: done, failed, given up or stopped, with nothing of its last run left;
    /// or never begun.
    pub fn is_over(&self, job: ServiceId) -> bool {
        let Some(node) = self.nodes.get(&job) else {
            return true;
        };
        match &node.service.record.state {
            State::Completed => true,
            State::Failed { reason } => !matches!(reason, Failure::Leftovers { .. }),
            State::Stopped => !node.up_wanted(self.shutdown.is_some()),
            State::Waiting { .. }
            | State::Validating { .. }
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reloading { .. }
            | State::Stopping { .. }
            | State::Backoff { .. } => false,
        }
    }

    pub(crate) fn ask_job(
        &mut self,
        now: Moment,
        job: ServiceId,
        request: String,
    ) -> Result<Accepted, Refusal> {
        let target = Ids::from([job]);
        self.is_job(job)?;
        if let Some(active) = self.active_job() {
            return Err(Refusal::JobRuns(active));
        }
        self.requirements_free(&target)?;
        let mut accepted = Accepted::default();
        self.lift(job, &mut accepted);
        if let Some(node) = self.nodes.get_mut(&job) {
            node.service.record.request = Some(request);
        }
        self.tell_changed(job);
        self.propagate();
        self.step(now, job, Input::Start);
        self.stop_what_lost_its_binding(now);
        accepted.affected.insert(job);
        Ok(accepted)
    }

    /// Ends jobs whose requirements nobody brings up; returns whether there were any. Runs only
    /// once all else has settled: until then, the requirements may still be on their way up.
    pub(crate) fn give_up_jobs(&mut self, now: Moment) -> bool {
        let lost = |id: &ServiceId| {
            let mut on = self.nodes.get(id)?.stuck_on.iter();
            Some((*id, *on.find(|on| self.is_down_for_good(**on))?))
        };
        let lost: Vec<_> = self.waiting_jobs.iter().filter_map(lost).collect();
        for (job, on) in &lost {
            self.step(now, *job, Input::GiveUp(*on));
        }
        !lost.is_empty()
    }

    /// Whether neither the service nor what it waits for comes up by itself. A service in backoff
    /// does come up by itself.
    fn is_down_for_good(&self, id: ServiceId) -> bool {
        self.nodes
            .get(&id)
            .is_some_and(|node| match &node.service.record.state {
                State::Failed { .. } => true,
                State::Stopped => !node.up_wanted(self.shutdown.is_some()),
                State::Waiting { .. } => node.stuck_on.iter().any(|on| self.is_down_for_good(*on)),
                State::Validating { .. }
                | State::Spawning { .. }
                | State::Starting { .. }
                | State::Running { .. }
                | State::Reloading { .. }
                | State::Stopping { .. }
                | State::Backoff { .. }
                | State::Completed => false,
            })
    }

    pub(crate) fn is_job(&self, id: ServiceId) -> Result<(), Refusal> {
        self.known(&Ids::from([id]))?;
        let is = self.nodes.get(&id).is_some_and(|it| it.service.spec.job);
        is.then_some(()).ok_or(Refusal::NotJob(id))
    }

    /// Refuses jobs among the targets: only a request for its work starts a job.
    pub(crate) fn no_jobs(&self, targets: &Ids) -> Result<(), Refusal> {
        let is_job = |id: &&ServiceId| self.nodes.get(*id).is_some_and(|it| it.service.spec.job);
        match targets.iter().find(is_job) {
            Some(id) => Err(Refusal::IsJob(*id)),
            None => Ok(()),
        }
    }
}
