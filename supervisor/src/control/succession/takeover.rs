//! What a control process takes up from the one before it: the plan, the records of services, the
//! runs, and what nobody has taken in yet. All of it comes from the keeper.

use std::{collections::BTreeMap, sync::Arc};

use engine::{Fact, Helper, Moment, Record, RunId, State};
use keeper::message::{FRAME_BYTES_MAX, Hello, Request, Role};
use plan::Plan;

use crate::control::{
    Control, Purpose, Run,
    alerts::is_delivery,
    boot::Boot,
    monitors::file_restarts::FileRestarts,
    record_keys::{Key, is_a_services},
    runs::exits::Life,
    text,
};

/// Room in a frame beside the plan: for the name of its record, or for what a spawn says beside what
/// the plan says of a service.
const FRAME_OVERHEAD_BYTES: usize = 1 << 20;

/// Why a run is given up that an earlier control process was about to start.
const LOST: &str = "the control process was replaced while it started this";

const _: () = assert!(plan::PLAN_BYTES_MAX + FRAME_OVERHEAD_BYTES <= FRAME_BYTES_MAX);

impl Control {
    /// Takes up what an earlier control process left with the keeper.
    pub(in crate::control) fn take_over(&mut self, hello: &Hello, boot: Boot) {
        // Before anything gives out another: records have these numbers.
        self.cx.names.restore(Key::Names.of(&hello.records));
        for line in &hello.leftovers {
            tracing::warn!("stopped a process of an earlier supervisor: {line}");
        }
        for remaining in &hello.remaining {
            let (service, what) = (&remaining.service, text::left(&remaining.left));
            tracing::error!(
                service,
                "processes of an earlier supervisor would not go: {what}"
            );
        }
        self.cx.tell(Request::TookOver);
        self.file_restarts = FileRestarts::restore(Key::FileRestarts.of(&hello.records));
        self.cx.restore_events(&hello.records);
        self.exits.restore(&mut self.cx, &hello.records);
        for record in self.running.unseen_ends(&self.cx, &self.exits) {
            self.record_exit(record);
        }
        self.state_warnings.restore(
            &mut self.cx,
            Key::StateWarnings.of(&hello.records),
            boot.aside.clone(),
        );
        let records = hello.records.iter().filter(|(name, _)| is_a_services(name));
        let records: Vec<_> = records.collect();
        if let Some(record) = Key::Signals.of(&hello.records) {
            self.lifecycle.signals = record.parse().unwrap_or(1);
        }
        self.lifecycle.failed = Key::Failed.of(&hello.records).cloned();
        self.reconfigure.restore_hangup(hello);
        let stopping = self.lifecycle.signals > 0;
        self.holds.restore(&hello.records);
        self.restore_maintenance(&hello.records);
        let unfinished = self.restore_plan(hello);
        let is_unfinished = unfinished.is_some();
        if records.is_empty() && !stopping {
            self.reconfigure.start_first(&mut self.cx);
        } else {
            self.restore_records(&records);
            self.restore_troubles(&hello.records);
            self.file_watch.restore(&hello.records);
            self.listening.restore(Key::Listening.of(&hello.records));
            self.restore_schedule(Key::Schedule.of(&hello.records));
            self.restore_runs(hello);
            let record = |key: Key| key.of(&hello.records);
            self.audit.restore(record(Key::AuditLines));
            let (changes, doing) = (record(Key::Operations), record(Key::InFlight));
            let refused = |id: &str| self.audit.keeps(id);
            self.operations.restore(changes, doing, refused);
            self.restore_request(record(Key::Job));
            if !stopping {
                self.go_on_with_attempt(unfinished);
            }
            self.reconfigure.go_on_with_hangup();
        }
        for numbered in hello.facts.clone() {
            self.cx.taken_in(numbered.seq);
            self.on_keeper_fact(numbered.fact);
        }
        self.on_remaining(&hello.remaining);
        self.exits.release_of_removed(&mut self.cx);
        self.running.forget_told(&self.cx, &self.exits);
        self.restore_reconfigure(hello, boot.applied, is_unfinished);
        self.restore_reexec(Key::Reexec.of(&hello.records));
        // What was asked of the earlier one, and whose outcome nobody has been told.
        self.resume_operations();
        self.lifecycle_check();
    }

    /// What runs is what the earlier one had applied, whatever is on disk. Returns the plan that it
    /// had put in place but not applied to the end.
    fn restore_plan(&mut self, hello: &Hello) -> Option<Arc<Plan>> {
        let record = Key::Plan.of(&hello.records)?;
        match serde_json::from_str::<Plan>(record) {
            Ok(running) if running != *self.cx.plan => {
                let stored = std::mem::replace(&mut self.cx.plan, Arc::new(running));
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
        let record = serde_json::to_string(&*self.cx.plan).expect("a plan is plain data");
        self.cx.remember(Key::Plan, record);
    }

    /// Records name other services by number, so each has the same one in all control processes.
    fn restore_records(&mut self, records: &[(&String, &String)]) {
        for (name, record) in records {
            match serde_json::from_str::<Record>(record) {
                Ok(record) => {
                    let id = self.cx.names.intern(name);
                    self.cx.engine.restore(id, record);
                }
                Err(error) => {
                    let why = ::text::json_place(&error);
                    tracing::error!(service = name, "lost its record: {why}");
                }
            }
        }
        // What is numbered from here on was not lost with anybody.
        self.lifecycle.first_own_run = Some(self.cx.engine.allocate_run());
        if self.lifecycle.signals > 0 {
            // First of all, or the plan would start what is down.
            self.begin_shutdown();
        }
        self.apply_to_engine(&BTreeMap::new());
        self.holds.note_all(&mut self.cx);
    }

    fn restore_runs(&mut self, hello: &Hello) {
        for info in &hello.runs {
            let run = RunId(info.run);
            let known = self.cx.engine.service_of(run).is_some();
            let purpose = match (info.role, self.cx.engine.reloaded_by(run)) {
                (Role::Main, _) => Purpose::Main,
                (Role::Helper, Some(main)) => Purpose::ReloadCommand(main),
                (Role::Helper, None) if known => Purpose::Validator,
                // It ends by itself, and has told by then.
                (Role::Helper, None) if is_delivery(&info.service) => continue,
                (Role::Helper, None) => {
                    // An exec probe or a step of a reconfiguration that nobody waits for now.
                    self.cx.tell(Request::Sweep { run: info.run });
                    continue;
                }
            };
            let service = self.cx.names.intern(&info.service);
            let planned = self.cx.service(service);
            let directories = planned.into_iter().flat_map(|it| &it.directories);
            let directories = directories.map(|it| it.path.clone()).collect();
            let pid = info.exit.is_none().then_some(info.pid);
            self.cx.add_run(
                run,
                Run {
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
                },
            );
            if info.role == Role::Main {
                self.leftovers.take_up(service, &info.left);
            }
            for (key, value) in &info.notified {
                self.cx.keep_ready_word(run, key, value);
                self.on_described(run, key, value);
            }
            if info.role == Role::Main && info.exit.is_none() {
                self.running.begin(&self.cx, &self.exits, run);
                self.log_readiness
                    .restore(&mut self.cx, service, run, Moment(info.spawned_ms));
            }
        }
        self.restore_failures(hello);
        self.restore_lost_runs(hello);
    }

    /// A run that never came to be is not among the keeper's runs: only the fact speaks of it.
    fn restore_failures(&mut self, hello: &Hello) {
        for numbered in &hello.facts {
            let keeper::message::Fact::Failed { run, .. } = numbered.fact else {
                continue;
            };
            let run = RunId(run);
            let Some(id) = self.cx.engine.service_of(run) else {
                continue;
            };
            let purpose = match self.cx.engine.reloaded_by(run) {
                Some(main) => Purpose::ReloadCommand(main),
                None if self.cx.engine.main_run(id) == Some(run) => Purpose::Main,
                None => Purpose::Validator,
            };
            let run_of_it = Run::new(id, purpose);
            if !self.cx.runs().contains_key(&run) {
                self.cx.add_run(run, run_of_it);
            }
        }
    }

    /// Runs that were decided upon but whose spawn never reached the keeper: their number is free still, so
    /// they are started. What they were to serve may have gone meanwhile; then they are given up.
    fn restore_lost_runs(&mut self, hello: &Hello) {
        let lost = || Err(LOST.to_owned());
        let ids: Vec<_> = self.cx.names.ids().values().copied().collect();
        for id in ids {
            let Some(view) = self.cx.engine.view(id) else {
                continue;
            };
            let first_own = self.lifecycle.first_own_run;
            let known = |run: RunId| Some(run) >= first_own || is_told(hello, run);
            let is_planned = self.cx.service(id).is_some();
            match view.state {
                State::Spawning { run } if is_planned && !known(run) => {
                    self.start_main(id, run);
                    continue;
                }
                State::Validating { run } if is_planned && !known(run) => {
                    self.start_helper(id, run, Purpose::Validator);
                    continue;
                }
                State::Validating { run } if !known(run) => {
                    let verdict = lost();
                    self.fact(Fact::Validated { run, verdict });
                }
                State::Reloading {
                    up,
                    helper: Some(helper),
                    ..
                } if is_planned && known(up.run) && !known(helper.run()) => {
                    let purpose = match helper {
                        Helper::Validator(_) => Purpose::Validator,
                        Helper::Command(_) => Purpose::ReloadCommand(up.run),
                    };
                    self.start_helper(id, helper.run(), purpose);
                    continue;
                }
                State::Reloading {
                    helper: Some(helper),
                    ..
                } if !known(helper.run()) => {
                    let (run, lost) = (helper.run(), lost());
                    self.fact(match helper {
                        Helper::Validator(_) => Fact::Validated { run, verdict: lost },
                        Helper::Command(_) => Fact::Reloaded { run, outcome: lost },
                    });
                }
                State::Stopping { run, .. } if !known(run) => {
                    // A validator that had not been started yet.
                    let verdict = lost();
                    self.fact(Fact::Validated { run, verdict });
                }
                _ => {}
            }
            if let Some(run) = self.cx.engine.main_run(id)
                && !known(run)
            {
                self.fact(Fact::SpawnFailed {
                    run,
                    transient: true,
                    reason: LOST.to_owned(),
                });
            }
        }
    }
}

/// The keeper knows this run.
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
            assert_eq!(world.status("web").state, "running");
            world.hangs = true;
            world.act(Action::Reload, "web");
            let before = world.spawned.len();
            world.hangs = false;
            world.replace_control();
            let status = world.status("web");
            assert_eq!((status.state.as_str(), status.reason), ("reloading", None));
            assert_eq!(world.spawned.len(), before + 1, "{:?}", world.spawned);
            world.validated(world.spawned[before].1);
            let status = world.status("web");
            assert_eq!((status.state.as_str(), status.reason), ("running", None));
        }
    }
}
