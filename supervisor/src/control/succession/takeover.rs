//! The takeover from the previous control process: the plan, the records of services, the runs. All
//! of them come from the keeper.
//!
//! Owns nothing: plan, records and runs go into the [`Context`]; `router/takeover.rs` has the order
//! in which the components take over their parts. Invariant: each run that the engine's records
//! name is known afterwards, started anew, or given up, so no service waits for a run that does not
//! exist.

use std::{collections::BTreeMap, sync::Arc};

use engine::{Fact, Helper, Moment, Record, RunId, ServiceId, State};
use keeper::message::{FRAME_BYTES_MAX, Hello, Request, Role, RunInfo};
use plan::Plan;

use crate::control::{
    Context, Purpose, Run, alerts::is_delivery, record_keys::Key, runs::exits::Life,
};

/// Room in a frame beside the plan: for the name of its record, or for what a spawn says beside
/// what the plan says of a service.
const FRAME_OVERHEAD_BYTES: usize = 1 << 20;

/// Why a run is given up that an earlier control process was about to start.
const LOST: &str = "the control process was replaced while it started this";

const _: () = assert!(plan::PLAN_BYTES_MAX + FRAME_OVERHEAD_BYTES <= FRAME_BYTES_MAX);

impl Context {
    /// What runs is what the earlier one had applied, whatever is on disk. Returns the plan that it
    /// had put in place but not applied to the end.
    pub(in crate::control) fn restore_plan(&mut self, hello: &Hello) -> Option<Arc<Plan>> {
        let record = Key::Plan.of(&hello.records)?;
        match serde_json::from_str::<Plan>(record) {
            Ok(running) if running != *self.plan => {
                let stored = std::mem::replace(&mut self.plan, Arc::new(running));
                // None at all: the disk was full when it was to be stored.
                (!stored.services.is_empty()).then_some(stored)
            }
            Ok(_) => None,
            Err(error) => {
                let why = ::text::json_place(&error);
                tracing::error!("cannot read which plan ran, takes the stored one: {why}");
                None
            }
        }
    }

    /// The keeper holds the plan that has been applied, so that it outlives this process even when
    /// the disk is full. Said after all that rests on the plan: a control process that dies before
    /// applies it once more.
    pub(in crate::control) fn remember_plan(&mut self) {
        let record = serde_json::to_string(&*self.plan).expect("a plan is plain data");
        self.remember(Key::Plan, record);
    }

    /// Gives the engine the records of services. Returns the first run that can be no earlier
    /// control process's.
    pub(in crate::control) fn restore_records(&mut self, records: &[(&String, &String)]) -> RunId {
        for (name, record) in records {
            match serde_json::from_str::<Record>(record) {
                Ok(record) => {
                    let id = self.names.intern(name);
                    self.engine.restore(id, record);
                }
                Err(error) => {
                    let why = ::text::json_place(&error);
                    tracing::error!(service = name, "lost its record: {why}");
                }
            }
        }
        // What is numbered from here on was not lost with anybody.
        self.engine.allocate_run()
    }

    /// Takes in a run that the keeper has. None: nobody waits for it now.
    pub(in crate::control) fn restore_run(&mut self, info: &RunInfo) -> Option<ServiceId> {
        let run = RunId(info.run);
        let known = self.engine.service_of(run).is_some();
        let purpose = match (info.role, self.engine.reloaded_by(run)) {
            (Role::Main, _) => Purpose::Main,
            (Role::Helper, Some(main)) => Purpose::ReloadCommand(main),
            (Role::Helper, None) if known => Purpose::Validator,
            // A delivery ends by itself, and reports its result itself.
            (Role::Helper, None) if is_delivery(&info.service) => return None,
            (Role::Helper, None) => {
                // An exec probe, or a step of a reconfiguration.
                self.tell(Request::Sweep { run: info.run });
                return None;
            }
        };
        let service = self.names.intern(&info.service);
        let planned = self.service(service);
        let directories = planned.into_iter().flat_map(|it| &it.directories);
        let directories = directories.map(|it| it.path.clone()).collect();
        let pid = info.exit.is_none().then_some(info.pid);
        let restored = Run {
            service: Some(service),
            pid,
            purpose,
            resolved: None,
            directories,
            ready_words: BTreeMap::new(),
            life: Life {
                pid: Some(info.pid),
                began: Some(Moment(info.spawned_ms)),
                ended: None,
                core: info.core,
            },
        };
        self.add_run(run, restored);
        Some(service)
    }

    /// A run that never came to be is not among the keeper's runs: only the fact speaks of it.
    pub(in crate::control) fn restore_failures(&mut self, hello: &Hello) {
        for numbered in &hello.facts {
            let keeper::message::Fact::Failed { run, .. } = numbered.fact else {
                continue;
            };
            let run = RunId(run);
            let Some(id) = self.engine.service_of(run) else {
                continue;
            };
            let purpose = match self.engine.reloaded_by(run) {
                Some(main) => Purpose::ReloadCommand(main),
                None if self.engine.main_run(id) == Some(run) => Purpose::Main,
                None => Purpose::Validator,
            };
            let run_of_it = Run::new(id, purpose);
            if self.run(run).is_none() {
                self.add_run(run, run_of_it);
            }
        }
    }
}

/// What becomes of a run that was decided upon but whose spawn never reached the keeper: its number
/// is free still.
#[derive(Debug)]
pub(in crate::control) enum LostRun {
    /// A main run is started.
    Main(RunId),
    /// A validator or reload command is started.
    Helper(RunId, Purpose),
    /// What it was to serve may have gone meanwhile: the run is given up.
    GivenUp(Fact),
}

/// Runs that are known: to the keeper, or begun by this control process.
#[derive(Clone, Copy)]
pub(in crate::control) struct KnownRuns<'a> {
    pub(in crate::control) hello: &'a Hello,
    pub(in crate::control) first_own: RunId,
}

impl KnownRuns<'_> {
    fn has(self, run: RunId) -> bool {
        run >= self.first_own || is_told(self.hello, run)
    }

    /// The run that a service's state rests on, if it was lost.
    pub(in crate::control) fn lost_of_state(self, cx: &Context, id: ServiceId) -> Option<LostRun> {
        let lost = || Err(LOST.to_owned());
        let is_planned = cx.service(id).is_some();
        Some(match cx.engine.view(id)?.state {
            State::Spawning { run, .. } if is_planned && !self.has(run) => LostRun::Main(run),
            State::Validating { run, .. } if is_planned && !self.has(run) => {
                LostRun::Helper(run, Purpose::Validator)
            }
            // In state `stopping` it is a validator that had not been started yet.
            State::Validating { run, .. } | State::Stopping { run, .. } if !self.has(run) => {
                LostRun::GivenUp(Fact::Validated {
                    run,
                    verdict: lost(),
                })
            }
            State::Reloading {
                up,
                helper: Some(helper),
                ..
            } if !self.has(helper.run()) => {
                let run = helper.run();
                match helper {
                    _ if is_planned && self.has(up.run) => match helper {
                        Helper::Validator(_) => LostRun::Helper(run, Purpose::Validator),
                        Helper::Command(_) => LostRun::Helper(run, Purpose::ReloadCommand(up.run)),
                    },
                    Helper::Validator(_) => LostRun::GivenUp(Fact::Validated {
                        run,
                        verdict: lost(),
                    }),
                    Helper::Command(_) => LostRun::GivenUp(Fact::Reloaded {
                        run,
                        outcome: lost(),
                    }),
                }
            }
            _ => return None,
        })
    }

    /// The main run of a service, if it was lost and is not started.
    pub(in crate::control) fn lost_main(self, cx: &Context, id: ServiceId) -> Option<Fact> {
        let run = cx.engine.main_run(id).filter(|run| !self.has(*run))?;
        Some(Fact::SpawnFailed {
            run,
            transient: true,
            reason: LOST.into(),
        })
    }
}

/// Whether the keeper knows this run.
fn is_told(hello: &Hello, run: RunId) -> bool {
    let mut facts = hello.facts.iter();
    let in_facts = facts.any(|it| fact_run(&it.fact) == Some(run.0));
    in_facts || hello.runs.iter().any(|it| it.run == run.0)
}

/// The run that a keeper's fact is about.
const fn fact_run(fact: &keeper::message::Fact) -> Option<u64> {
    use keeper::message::Fact as Told;
    match fact {
        Told::Spawned { run, .. }
        | Told::Failed { run, .. }
        | Told::Exited { run, .. }
        | Told::Swept { run, .. }
        | Told::Notified { run, .. } => Some(*run),
        Told::Signalled { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use api::Action;

    use crate::{control::harness::Harness, store::Handled};

    const RELOADS: [&str; 2] = [
        "validate = ['/bin/true']\n[reload]\nsignal = 'HUP'\n",
        "[reload]\ncommand = ['/bin/true']\n",
    ];

    /// The validator or command of a reload had been decided upon and not been started.
    #[test]
    fn a_reload_that_was_being_prepared_goes_on() {
        for reload in RELOADS {
            let web = format!("command = ['/bin/web']\n{reload}");
            let mut world = Harness::new(&[("web", &web)], Handled::default());
            if reload.starts_with("validate") {
                let validator = world.spawned[0].1;
                world.validated(validator);
            }
            let main = world.spawned.last().unwrap().1;
            world.spawned(main);
            assert_eq!(world.status("web").state, api::ServiceState::Running);
            world.hangs = true;
            world.act(Action::Reload, "web");
            let before = world.spawned.len();
            world.hangs = false;
            world.replace_control();
            let status = world.status("web");
            assert_eq!(
                (status.state, status.reason),
                (api::ServiceState::Reloading, None)
            );
            assert_eq!(world.spawned.len(), before + 1, "{:?}", world.spawned);
            world.validated(world.spawned[before].1);
            let status = world.status("web");
            assert_eq!(
                (status.state, status.reason),
                (api::ServiceState::Running, None)
            );
        }
    }
}
