//! The fifth step: addresses that a plan gives to services anew are checked before anything is
//! touched.
//!
//! A plan is refused, also in a dry run, if a process has such an address and is no service that
//! gives the address up by the same plan. A process that ends by the same plan may still have its
//! address; the start waits for that end (`control/runs/starts/address_waits.rs`). For the daemon's
//! first plan each start checks its own addresses. After the plan is applied, the services must
//! listen where the plan says (`control/monitors/listening.rs`).

use std::collections::BTreeMap;

use engine::ServiceId;
use plan::{Plan, PlanImpact, Problem, Severity};

use crate::{
    control::{
        Context, Task,
        api::reason::Reason,
        reconfigure::{
            attempt_step::AttemptStep,
            impact::{impacts, known::Known},
            last_word::{LastWord, refused},
            stage::{Stage, StagedPlan},
            state::Reconfigure,
        },
    },
    listening::{Taken, Wanted},
    usage::Target,
};

impl Reconfigure {
    /// Works out what the plan does to each service, and has the addresses looked for that are new.
    /// `staged`: all its candidates are right.
    pub(in crate::control) fn weigh(
        &mut self,
        cx: &mut Context,
        known: &Known<'_>,
        staged: StagedPlan,
    ) -> AttemptStep {
        if self.attempt.first {
            return self.ready_to_swap(cx, known, staged);
        }
        let impacts = match impacts(cx, known, &self.attempt, &staged) {
            Ok(impacts) => impacts,
            Err(error) => {
                let last = LastWord::Refused(error);
                return self.attempt.discard(cx, *staged.staged, last);
            }
        };
        let wanted: Vec<Wanted> = impacts
            .iter()
            .filter(|it| it.is_risky())
            .flat_map(|it| {
                let service = cx.name(it.service);
                let added = plan::added_listens(&cx.plan, &staged.plan, service).into_iter();
                added.map(|address| Wanted {
                    service: service.to_owned(),
                    address: address.to_owned(),
                })
            })
            .collect();
        if wanted.is_empty() {
            return self.ready_to_swap(cx, known, staged);
        }
        cx.queue_task(Task::Addresses {
            wanted,
            running: running(cx),
            keeper: cx.keeper.pid,
        });
        let impacts = impacts.into_iter().map(|it| (it.service, it.action));
        let impacts = impacts.collect();
        self.attempt.stage = Stage::Addresses { staged, impacts };
        AttemptStep::Wait
    }

    /// `taken`: the addresses that are not free. Where nobody could see that, the plan goes on with
    /// a warning: each start looks for itself.
    pub(in crate::control) fn on_addresses(
        &mut self,
        cx: &mut Context,
        known: &Known<'_>,
        taken: Result<Vec<Taken>, String>,
    ) -> AttemptStep {
        let (staged, impacts) = match std::mem::take(&mut self.attempt.stage) {
            Stage::Addresses { staged, impacts } => (staged, impacts),
            other => {
                self.attempt.stage = other;
                return AttemptStep::Wait;
            }
        };
        let taken = taken.unwrap_or_else(|why| {
            let remarks = &mut self.attempt.loaded.remarks;
            remarks.push(unverified(&staged.plan, &why));
            Vec::new()
        });
        let in_the_way = taken.iter().filter(|it| !comes_free(cx, it, &impacts));
        let said: Vec<String> = in_the_way.map(|it| refusal(it, &staged.plan)).collect();
        if said.is_empty() {
            return self.ready_to_swap(cx, known, staged);
        }
        let last = refused(said.join("\n"), "nothing has changed");
        self.attempt.discard(cx, *staged.staged, last)
    }
}

/// Main processes of all services.
fn running(cx: &Context) -> Vec<Target> {
    let names = cx.plan.services.keys();
    let running = names.filter_map(|name| {
        let run = cx.main_run_of(name)?;
        let pid = cx.run(run)?.pid?;
        let name = name.clone();
        Some(Target { name, pid })
    });
    running.collect()
}

/// The service's own process has the address, or one that ends by the same plan. Where nobody can
/// be seen to have it, that is who is to have it by the plan that runs.
fn comes_free(cx: &Context, taken: &Taken, impacts: &BTreeMap<ServiceId, PlanImpact>) -> bool {
    let ends = |by: &String| {
        let impact = cx.names.id(by).and_then(|id| impacts.get(&id));
        let ends = matches!(impact, Some(PlanImpact::Restart | PlanImpact::Stop));
        *by == taken.service || ends
    };
    let port = |address: &str| address.rsplit(':').next().map(str::to_owned);
    let has_port = |by: &String| {
        let service = cx.plan.services.get(by);
        let mut listens = service.into_iter().flat_map(|it| &it.listens);
        listens.any(|it| port(it) == port(&taken.address))
    };
    match &taken.by {
        Some(by) => ends(by),
        None => taken.unseen && cx.plan.services.keys().any(|it| ends(it) && has_port(it)),
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
        denied: false,
    }
}

fn refusal(taken: &Taken, plan: &Plan) -> String {
    let service = &taken.service;
    let hint = plan.services.get(service).map_or("", |it| &it.listens_hint);
    let by = match &taken.by {
        Some(by) => format!(", which is {by}'s"),
        None => String::new(),
    };
    let mut reason = Reason::default();
    reason.push_address_in_use(format!("{}{by}", taken.reason));
    reason.push_hint(hint);
    format!("{service} cannot listen where it is to: {reason}")
}
