//! Starts: from a run that the engine wants to the request for its process to the keeper.
//!
//! Owner of every start until that request, and of the reasons that keep services from starting. A
//! start goes through these steps, and can be given up at each:
//!
//! 1. [`Starts::prepare`] asks for the needs of the run: ids, program, addresses, directories. A
//!    job looks them up and makes missing files; all starts of one input share one job
//!    ([`Starts::ask`]). Look-ups for the plan that is just being applied ([`Starts::begin_plan`])
//!    are fresh, and are not repeated.
//! 2. `prepared.rs` takes the answer, which may come when the run is no longer wanted, or under
//!    another plan.
//! 3. `directory_waits.rs` and `address_waits.rs` wait for a run that is on its way down and still
//!    has a directory or an address.
//! 4. `spawn.rs` makes the request to the keeper.
//!
//! A main run keeps the ids with which it was started: its probes and reload commands act as that
//! account, even if the account's name means other ids by now, and ask no name server each time.
//!
//! Each step returns by [`StartStep`] what follows for other components; a start never blocks. Limit:
//! one preparation for each run.

mod address_waits;
mod directory_waits;
mod prepared;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use engine::{Detail, Fact, RunId, ServiceId};

use address_waits::AddressWaits;
pub(in crate::control) use directory_waits::in_use as directories_in_use;

use crate::{
    control::{Context, Purpose, Run, Task, runs::spawn},
    prepare::{self, Needs, Prepared, Resolved, Start},
    staging::{Broken, Resolutions},
    unready::Unready,
};

/// Why a withdrawn start came to nothing.
const NOT_STARTED: &str = "it was stopped before it could start";

/// All starts that are under way, and what keeps services from starting.
#[derive(Debug, Default)]
pub(in crate::control) struct Starts {
    /// Ids and programs, as long as the plan is being applied for which they were looked up.
    fresh: Resolutions,
    /// Starts that this input has asked for.
    asked: Vec<Start>,
    /// Runs whose needs are being looked up, with the flag that ends the lookup early.
    preparing: BTreeMap<RunId, Arc<AtomicBool>>,
    address_waits: AddressWaits,
    /// Runs that wait for a directory, with the run that has it.
    directory_waits: BTreeMap<RunId, RunId>,
    /// Runs that were asked for under an earlier plan.
    outdated: BTreeSet<RunId>,
    /// Services whose last start lacked an account, a program or a place for good.
    lacking: BTreeSet<ServiceId>,
    /// Services whose files or directories could not be made, and why.
    broken: BTreeMap<ServiceId, String>,
    /// Jobs under way, each of which looks something up.
    lookups: usize,
}

/// The consequence of a step of a start for other components.
#[must_use = "the run goes no further without it"]
#[derive(Debug)]
pub(in crate::control) enum StartStep {
    /// Nothing yet: the run waits, or its helper has been asked for.
    Nothing,
    /// A lookup is about to read files of a main process.
    Prepares(RunId),
    /// The keeper has been asked for the main process.
    Spawns(ServiceId, RunId),
    /// The run will not start; the engine has to hear this fact.
    Refused(Fact),
    /// A helper has ended without a process.
    HelperEnded(RunId, Result<String, String>),
}

impl Starts {
    /// The engine wants the main process of a service.
    pub(in crate::control) fn start_main(
        &mut self,
        cx: &mut Context,
        id: ServiceId,
        run: RunId,
    ) -> StartStep {
        let Some(service) = cx.service(id).cloned() else {
            return StartStep::Nothing;
        };
        cx.add_run(run, Run::new(id, Purpose::Main));
        match service.broken.as_ref().or_else(|| self.broken.get(&id)) {
            Some(why) => {
                let reason = format!("{why}; mend it, then: ctl reconfigure");
                refuse(cx, run, false, reason.into())
            }
            None => self.prepare(cx, run, &service),
        }
    }

    /// The engine wants a validator, a reload command or an exec probe.
    pub(in crate::control) fn start_helper(
        &mut self,
        cx: &mut Context,
        id: ServiceId,
        run: RunId,
        purpose: Purpose,
    ) -> StartStep {
        let Some(service) = cx.service(id).cloned() else {
            return StartStep::Nothing;
        };
        let known = known_of_run(cx, &service, &purpose);
        cx.add_run(run, Run::new(id, purpose));
        match known {
            Some(resolved) => spawn_helper(cx, &service, run, &resolved),
            None => self.prepare(cx, run, &service),
        }
    }

    /// Finds out, and makes, what a run needs; it goes on in [`Self::on_prepared`].
    fn prepare(&mut self, cx: &mut Context, run: RunId, service: &plan::Service) -> StartStep {
        let Some(known) = cx.run(run) else {
            return StartStep::Nothing;
        };
        let main = known.purpose == Purpose::Main;
        let validator = known.purpose == Purpose::Validator;
        let lays = validator && !service.credentials.is_empty();
        let frees = main && (prepare::has_names(service) || !service.stale_sockets.is_empty());
        let reload_token = (validator && service.has_reload_token()).then_some(run.0);
        if !lays
            && reload_token.is_none()
            && !frees
            && let Some(found) = self.fresh.get(&service.name).cloned()
        {
            return self.go_on(cx, run, found.map(Prepared::of));
        }
        let needs = Needs {
            disk: main || validator,
            addresses: main,
            // Whether others are removed is said in [`Self::ask`].
            credentials: lays.then_some(false),
            reload_token,
        };
        let in_use = if needs.disk {
            directories_in_use(cx, run)
        } else {
            Vec::new()
        };
        self.lookups += 1;
        let unwanted = Arc::default();
        self.preparing.insert(run, Arc::clone(&unwanted));
        self.asked.push(Start {
            run,
            service: Box::new(service.clone()),
            needs,
            state_dir: cx.plan.paths.state_dir.clone(),
            in_use,
            unwanted,
        });
        if main {
            StartStep::Prepares(run)
        } else {
            StartStep::Nothing
        }
    }

    /// After every input: has all that it has asked for prepared together. `plan_rests`: no other
    /// plan may have laid out its own copies of credentials already, so those that nobody has a use
    /// for are removed.
    pub(in crate::control) fn ask(&mut self, cx: &mut Context, plan_rests: bool) {
        let mut starts = std::mem::take(&mut self.asked);
        for start in &mut starts {
            if let Some(removes) = &mut start.needs.credentials {
                *removes = plan_rests;
            }
        }
        if !starts.is_empty() {
            cx.queue_task(Task::Prepare(starts));
        }
    }

    /// Runs whose needs are being found out and that nobody wants any more. [`Self::give_up`] each.
    pub(in crate::control) fn unwanted(&self, cx: &Context) -> Vec<RunId> {
        let preparing = self.preparing.keys().copied();
        preparing.filter(|run| !cx.is_wanted(*run)).collect()
    }

    /// The run waits no longer for what it would have needed. That may never be found out, where a
    /// name service or a file server does not answer.
    pub(in crate::control) fn give_up(&mut self, cx: &mut Context, run: RunId) -> StartStep {
        if let Some(unwanted) = self.preparing.remove(&run) {
            unwanted.store(true, Ordering::Relaxed);
        }
        drop_start(cx, run)
    }

    /// A lookup may still be under way, whose answer another control process would not get.
    pub(in crate::control) const fn is_looking_up(&self) -> bool {
        self.lookups > 0
    }

    /// In words, whom a run waits for, if it does.
    pub(in crate::control) fn waits_for(&self, cx: &Context, run: RunId) -> Option<String> {
        self.address_waits.reason(cx, run)
    }
}

/// Plans and starts.
impl Starts {
    /// A plan is being applied, with what was looked up for it. `more`: a start of this service has
    /// more to be done.
    pub(in crate::control) fn begin_plan(
        &mut self,
        cx: &mut Context,
        found: Resolutions,
        more: impl Fn(&str) -> bool,
    ) {
        self.note_lacking(cx, &found);
        self.fresh = found;
        self.fresh.retain(|name, _| !more(name));
        // What is being looked up for the old plan is of no use for the new one.
        self.outdated = cx.runs().keys().copied().collect();
    }

    /// Ends the application of a plan: its lookups are no longer fresh.
    pub(in crate::control) fn end_plan(&mut self) {
        self.fresh.clear();
    }

    /// Which services of a plan lack something for good.
    pub(in crate::control) fn note_lacking(&mut self, cx: &mut Context, found: &Resolutions) {
        let lasts = |found: &Result<_, Unready>| found.as_ref().is_err_and(|why| !why.transient);
        let lacking = found.iter().filter(|(_, found)| lasts(found));
        self.lacking = lacking.map(|(name, _)| cx.names.intern(name)).collect();
    }

    /// Services whose files or directories could not be made for this plan.
    pub(in crate::control) fn note_broken(
        &mut self,
        cx: &mut Context,
        broken: BTreeMap<String, Broken>,
    ) {
        let broken = broken.into_iter();
        self.broken = broken
            .map(|(name, it)| (cx.names.intern(&name), it.why))
            .collect();
    }

    /// The service could not start for want of something, which whoever mends it says by `ctl
    /// reconfigure`.
    pub(in crate::control) fn is_lacking(&self, id: ServiceId) -> bool {
        self.broken.contains_key(&id) || self.lacking.contains(&id)
    }
}

/// Access for tests.
#[cfg(test)]
impl Starts {
    /// Whether files and directories of all services could be made.
    pub(in crate::control) fn is_whole(&self) -> bool {
        self.broken.is_empty()
    }
}

/// The main process is not started.
fn refuse(cx: &mut Context, run: RunId, transient: bool, reason: Detail) -> StartStep {
    cx.remove_run(run);
    StartStep::Refused(Fact::SpawnFailed {
        run,
        transient,
        reason,
    })
}

/// Drops a run that is not to be started any more.
fn drop_start(cx: &mut Context, run: RunId) -> StartStep {
    match cx.run(run).map(|known| &known.purpose) {
        Some(Purpose::Main) => refuse(cx, run, true, NOT_STARTED.into()),
        Some(Purpose::Validator) => {
            cx.remove_run(run);
            let verdict = Err(NOT_STARTED.to_owned());
            StartStep::Refused(Fact::Validated { run, verdict })
        }
        _ => {
            cx.remove_run(run);
            StartStep::Nothing
        }
    }
}

/// A validator, reload command or exec probe: as the service's user, in its environment.
fn spawn_helper(
    cx: &mut Context,
    service: &plan::Service,
    run: RunId,
    resolved: &Resolved,
) -> StartStep {
    match spawn::helper(cx, service, run, resolved) {
        Ok(request) => {
            cx.tell(request);
            StartStep::Nothing
        }
        Err(reason) => StartStep::HelperEnded(run, Err(reason)),
    }
}

/// The main run that a helper belongs to, if its program is known.
fn known_of_run(cx: &Context, service: &plan::Service, purpose: &Purpose) -> Option<Arc<Resolved>> {
    let (Purpose::Probe(of, _) | Purpose::ReloadCommand(of)) = purpose else {
        return None;
    };
    let resolved = cx.run(*of)?.resolved.as_ref()?;
    let program = spawn::program_of(service, purpose)?;
    let known = resolved.helpers.contains_key(&program);
    known.then(|| Arc::clone(resolved))
}
