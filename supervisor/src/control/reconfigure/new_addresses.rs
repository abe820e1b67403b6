//! Addresses that a plan gives to services anew: looked at before anything is touched, seen after.
//!
//! Before: whoever has one of them and is no service that gives it up by the same plan refuses the
//! plan, for a dry run too. What lets go of an address only as it ends has it still; the start waits
//! for that (`control/runs/address_waits.rs`). The daemon's first plan is looked at by each start for itself.

use std::{collections::BTreeMap, sync::Arc};

use api::{ErrorKind, ErrorReply};
use plan::{Plan, Problem, Severity};

use crate::{
    control::{
        Control, Job,
        reconfigure::{LastWord, Stage, impact::ServiceImpact},
    },
    listening::{Taken, Wanted},
    port_owner,
    staging::Staged,
    usage::Target,
};

impl Control {
    /// All candidates are right: are the addresses free?
    pub(super) fn checked(&mut self, plan: Arc<Plan>, staged: Box<Staged>) {
        if self.reconfigure.first {
            self.ready_to_swap(plan, staged);
            return;
        }
        let impacts = match self.impacts(&plan, &staged) {
            Ok(impacts) => impacts,
            Err(error) => {
                self.discard_and_say(*staged, LastWord::Refused(error));
                return;
            }
        };
        let wanted: Vec<Wanted> = impacts
            .iter()
            .filter(|it| it.is_risky())
            .flat_map(|it| {
                let added = plan::added_listens(&self.cx.plan, &plan, &it.name).into_iter();
                added.map(|address| Wanted {
                    service: it.name.clone(),
                    address: address.to_owned(),
                })
            })
            .collect();
        if wanted.is_empty() {
            self.ready_to_swap(plan, staged);
            return;
        }
        self.cx.job(Job::Addresses {
            wanted,
            running: self.running(),
            keeper: self.cx.keeper.pid,
        });
        let impacts = impacts.into_iter().map(|it| (it.name, it.action)).collect();
        self.reconfigure.stage = Stage::Addresses {
            plan,
            staged,
            impacts,
        };
    }

    /// Main processes of all services.
    fn running(&self) -> Vec<Target> {
        let names = self.cx.plan.services.keys();
        let running = names.filter_map(|name| {
            let pid = self.pid(self.cx.names.id(name)?)?;
            let name = name.clone();
            Some(Target { name, pid })
        });
        running.collect()
    }

    /// The answer: the addresses that are not free. Where nobody could see it, the plan goes on with a warning:
    /// each start looks for itself.
    pub(super) fn on_addresses(&mut self, taken: Result<Vec<Taken>, String>) {
        let (plan, staged, impacts) = match std::mem::take(&mut self.reconfigure.stage) {
            Stage::Addresses {
                plan,
                staged,
                impacts,
            } => (plan, staged, impacts),
            other => {
                self.reconfigure.stage = other;
                return;
            }
        };
        let taken = taken.unwrap_or_else(|why| {
            self.reconfigure
                .loaded
                .remarks
                .push(unverified(&plan, &why));
            Vec::new()
        });
        let refused = taken
            .iter()
            .filter(|it| !comes_free(it, &impacts, &self.cx.plan));
        let said: Vec<String> = refused.map(|it| refusal(it, &plan)).collect();
        if said.is_empty() {
            self.ready_to_swap(plan, staged);
            return;
        }
        let refused = ErrorReply {
            kind: ErrorKind::Configuration,
            message: said.join("\n"),
            hint: Some("nothing has changed".to_owned()),
        };
        self.discard_and_say(*staged, LastWord::Refused(refused));
    }

    /// The plan that is about to be applied: these services are to be seen where it has them listen.
    pub(super) fn expect_listening(&mut self, impacts: &[ServiceImpact], plan: &Plan) {
        for ServiceImpact { name, .. } in impacts.iter().filter(|it| it.is_risky()) {
            let owned = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect();
            let added = owned(plan::added_listens(&self.cx.plan, plan, name));
            let dropped = owned(plan::dropped_listens(&self.cx.plan, plan, name));
            let id = self.cx.names.intern(name);
            self.listening.expect(&mut self.cx, id, added, dropped);
        }
    }
}

/// Its own process has it, or one that ends by the same plan. Where nobody can be seen to have it, that is who is to
/// have it by the plan that runs.
fn comes_free(taken: &Taken, impacts: &BTreeMap<String, plan::PlanImpact>, running: &Plan) -> bool {
    let ends = |by: &String| {
        *by == taken.service
            || matches!(
                impacts.get(by),
                Some(plan::PlanImpact::Restart | plan::PlanImpact::Stop)
            )
    };
    let port = |address: &str| address.rsplit(':').next().map(str::to_owned);
    let has_port = |by: &String| {
        let service = running.services.get(by);
        let mut listens = service.into_iter().flat_map(|it| &it.listens);
        listens.any(|it| port(it) == port(&taken.address))
    };
    match &taken.by {
        Some(by) => ends(by),
        None => taken.unseen && running.services.keys().any(|it| ends(it) && has_port(it)),
    }
}

fn unverified(plan: &Plan, why: &str) -> Problem {
    Problem {
        severity: Severity::Warning,
        file: plan.paths.site_file(),
        line: None,
        column: None,
        key: String::new(),
        message: format!("whether the addresses that are new are free was not verified: {why}"),
        hint: None,
        variable: None,
    }
}

fn refusal(taken: &Taken, plan: &Plan) -> String {
    let service = &taken.service;
    let hint = plan.services.get(service).map_or("", |it| &it.listens_hint);
    let by = match &taken.by {
        Some(by) => format!(", which is {by}'s"),
        None => String::new(),
    };
    let reason = port_owner::with_hint(format!("{}{by}", taken.reason), hint);
    format!("{service} cannot listen where it is to: {reason}")
}
