//! Files that only root may read are copied before a service's validator sees its configuration, so
//! before each start and reload.

use engine::RunId;

use super::{Control, Job, Purpose, Run, input::Resolved};
use crate::credentials::NotLaid;

impl Control {
    /// True: the run waits until files are copied.
    pub(super) fn waits_for_credentials(&mut self, service: &plan::Service, run: RunId) -> bool {
        let purpose = self.runs.get(&run).map(|known| &known.purpose);
        let waits = purpose == Some(&Purpose::Validator) && !service.credentials.is_empty();
        if waits {
            self.job(Job::Lay {
                run,
                service: Box::new(service.clone()),
                // The next plan may have laid out its own already.
                prune: self.reconfigure.is_idle(),
            });
        }
        waits
    }

    pub(super) fn on_laid(&mut self, run: RunId, laid: Result<(), NotLaid>) {
        let Some(Run {
            service, purpose, ..
        }) = self.runs.get(&run)
        else {
            return;
        };
        let name = service.clone();
        let resolved = self.resolved.get(&name).cloned();
        let service = self.plan.services.get(&name).cloned();
        let (true, Some(service)) = (self.is_wanted(run, purpose), service) else {
            self.drop_start(run);
            return;
        };
        let Some(Ok(resolved)) = resolved.filter(|_| !self.outdated.remove(&run)) else {
            self.job(Job::Resolve { run, service });
            return;
        };
        match laid {
            Ok(()) => self.start_after_laying(&service, run, &resolved),
            // What it has had is better than not to start; a reload would only seem to be one.
            Err(why) if why.earlier && self.main_run_of(&name).is_none() => {
                let reason = why.reason;
                tracing::warn!(
                    service = name,
                    "starts with the files that it had: {reason}"
                );
                self.publish(
                    &name,
                    "files",
                    &format!("starts with the files that it had: {reason}"),
                    None,
                );
                self.start_after_laying(&service, run, &resolved);
            }
            Err(why) => self.helper_ended(run, Err(why.reason)),
        }
    }

    fn start_after_laying(&mut self, service: &plan::Service, run: RunId, resolved: &Resolved) {
        if service.validate.is_empty() {
            self.helper_ended(run, Ok(String::new()));
        } else {
            self.spawn_helper(service, run, resolved);
        }
    }
}
