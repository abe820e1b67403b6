//! Which services a request selects, and which services the request must leave alone.

use std::collections::BTreeSet;

use api::{Action, ActionRequest, ErrorKind, ErrorReply};
use engine::{Goal, State};

use crate::{
    control::{Context, api::requests::usage},
    service_query::matching,
};

/// The services that a request selects.
#[derive(Debug)]
pub(in crate::control) struct Selection {
    /// Services to act on, in the order of the plan or of the request.
    pub(in crate::control) names: Vec<String>,
    /// Sentences on services that are left alone though no exception names them.
    pub(in crate::control) left_alone: Vec<String>,
}

impl Context {
    /// The names that a request selects, or why the request selects none.
    pub(in crate::control) fn select(
        &self,
        request: &ActionRequest,
    ) -> Result<Selection, ErrorReply> {
        let mut names = self.select_meant(request)?;
        let mut left_alone = Vec::new();
        if request.services.is_empty() {
            self.spare_for_jobs(&request.action, &mut names, &mut left_alone);
        }
        if request.except.is_empty() {
            return Ok(Selection { names, left_alone });
        }
        let excepted = matching(&request.except, &self.plan.services)?;
        names.retain(|name| !excepted.contains(name));
        if matches!(request.action, Action::Start | Action::Once) {
            self.starts_none_of(&excepted, &names)?;
        } else {
            // Whatever ends a requirement of an excepted service ends that service too.
            for of in &excepted {
                let needs = self.needs_of(of);
                let (spared, rest) = names.into_iter().partition(|name| needs.contains(name));
                let spared: Vec<String> = spared;
                let note = |name: &String| format!("{name} is left as it is: {of} needs it");
                left_alone.extend(spared.iter().map(note));
                names = rest;
            }
        }
        if names.is_empty() {
            return Err(usage(
                "nothing is left: every service is excepted, or needed by one that is",
            ));
        }
        Ok(Selection { names, left_alone })
    }

    /// Removes jobs and leased services from a selection of all: only a request for its work starts
    /// a job, and a leased service stays stopped.
    fn spare_for_jobs(&self, action: &Action, names: &mut Vec<String>, notes: &mut Vec<String>) {
        if matches!(action, Action::Restart) {
            let is_job = |name: &String| self.plan.services.get(name).is_some_and(|it| it.job);
            names.retain(|name| !is_job(name));
        }
        if !matches!(action, Action::Start | Action::Once | Action::Restart) {
            return;
        }
        let lease = |name: &String| {
            let view = self.engine.view(self.names.id(name)?)?;
            Some(self.leased_by(&view)?.job)
        };
        names.retain(|name| {
            let needs = self.needs_of(name);
            let job = std::iter::once(name).chain(&needs).find_map(lease);
            let note =
                |job: &String| format!("{name} is left as it is: the job {job} keeps it stopped");
            notes.extend(job.as_ref().map(note));
            job.is_none()
        });
    }

    /// Refuses a start that would start an excepted service, since a start includes requirements.
    fn starts_none_of(&self, excepted: &[String], names: &[String]) -> Result<(), ErrorReply> {
        for name in names {
            let needs = self.needs_of(name);
            let down = |it: &&String| needs.contains(*it) && self.start_would_touch(it);
            if let Some(of) = excepted.iter().find(down) {
                let all = excepted.join(" ");
                return Err(ErrorReply {
                    kind: ErrorKind::Refused,
                    message: format!("{name} requires {of}, which is excepted and does not run"),
                    hint: Some(format!("except it too: ctl start-except {all} {name}")),
                });
            }
        }
        Ok(())
    }

    fn start_would_touch(&self, name: &str) -> bool {
        let view = self.names.id(name).and_then(|id| self.engine.view(id));
        view.is_some_and(|view| {
            let down = matches!(
                view.state,
                State::Stopped
                    | State::Stopping { .. }
                    | State::Backoff { .. }
                    | State::Failed { .. }
            );
            down || view.goal == Goal::Down || view.hold.is_some()
        })
    }

    /// The services that a service requires, directly or not.
    fn needs_of(&self, name: &str) -> BTreeSet<String> {
        let mut needs = BTreeSet::new();
        let mut todo = vec![name.to_owned()];
        while let Some(name) = todo.pop() {
            let Some(service) = self.plan.services.get(&name) else {
                continue;
            };
            let all = service.requires.union(&service.binds_to);
            let new = all.filter(|on| needs.insert((*on).clone()));
            todo.extend(new.cloned());
        }
        needs
    }

    fn select_meant(&self, request: &ActionRequest) -> Result<Vec<String>, ErrorReply> {
        let services = &self.plan.services;
        if request.services.is_empty() {
            if matches!(request.action, Action::Reload | Action::Signal(_)) {
                return Err(usage(
                    "name the services: a reload or signal to all is rarely meant",
                ));
            }
            return Ok(services
                .values()
                .filter(|it| it.enabled)
                .map(|it| it.name.clone())
                .collect());
        }
        let mut names = matching(&request.services, services)?;
        let enabled = |name: &String| services.get(name).is_some_and(|it| it.enabled);
        if names.iter().any(enabled) {
            // A pattern selects enabled services only; an explicit name always selects its service.
            names.retain(|name| enabled(name) || request.services.contains(name));
        }
        for service in names.iter().filter_map(|name| services.get(name)) {
            if !service.enabled {
                return Err(ErrorReply {
                    kind: ErrorKind::Refused,
                    message: format!("{} is disabled on this host", service.name),
                    hint: Some(service.enable_hint.clone()).filter(|hint| !hint.is_empty()),
                });
            }
        }
        Ok(names)
    }
}
