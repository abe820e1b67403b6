//! The order in which a control process takes over from the previous one.
//!
//! Numbers of services come first, since all records have them; then a shutdown, or the plan would
//! start what is down; the plan and the records of services; runs, which the records name;
//! operations, whose services are known then. Facts that nobody has taken in come after all that
//! they may concern, and last what is proven or resumed by what is known.

use std::collections::BTreeMap;

use engine::{RunId, ServiceId};
use keeper::message::{Hello, Request, Role};

use crate::control::{
    Control,
    boot::Boot,
    monitors::file_restarts::FileRestarts,
    record_keys::{Key, is_a_services},
    succession::{
        keeper_reexec, reexec,
        takeover::{KnownRuns, LostRun},
        versions,
    },
    text,
};

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
        versions::remember(&mut self.cx);
        self.monitors.file_restarts = FileRestarts::restore(Key::FileRestarts.of(&hello.records));
        self.cx.restore_events(&hello.records);
        self.exits.restore(&mut self.cx, &hello.records);
        for record in self.running.unseen_ends(&self.cx, &self.exits) {
            self.record_exit(record);
        }
        self.daemon.state_warnings.restore(
            &mut self.cx,
            Key::StateWarnings.of(&hello.records),
            boot.aside.clone(),
        );
        let records = hello.records.iter().filter(|(name, _)| is_a_services(name));
        let records: Vec<_> = records.collect();
        self.daemon.shutdown.restore(&hello.records);
        self.reconfigure.restore_hangup(hello);
        let stopping = self.daemon.shutdown.is_asked();
        self.holds.restore(&hello.records);
        self.maintenance.restore(&hello.records);
        let unfinished = self.cx.restore_plan(hello);
        let is_unfinished = unfinished.is_some();
        if records.is_empty() && !stopping {
            self.reconfigure.start_first(&mut self.cx);
        } else {
            let first_own = self.restore_records(&records);
            self.restore_troubles(&hello.records);
            self.monitors.file_watch.restore(&hello.records);
            self.monitors
                .listening
                .restore(Key::Listening.of(&hello.records));
            self.schedule.restore(Key::Schedule.of(&hello.records));
            self.restore_runs(KnownRuns { hello, first_own });
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
        let record = Key::Reexec.of(&hello.records);
        reexec::conclude(&mut self.cx, &mut self.audit, record);
        keeper_reexec::conclude(&mut self.cx, &mut self.audit, hello);
        // Operations requested from the earlier process whose outcome no client has heard.
        self.resume_operations();
        self.tell_init();
    }

    fn restore_records(&mut self, records: &[(&String, &String)]) -> RunId {
        let first_own = self.cx.restore_records(records);
        self.resume_shutdown();
        self.apply_to_engine(&BTreeMap::new());
        self.holds.note_all(&mut self.cx);
        first_own
    }

    fn restore_runs(&mut self, known: KnownRuns<'_>) {
        for info in &known.hello.runs {
            let Some(service) = self.cx.restore_run(info) else {
                continue;
            };
            let run = RunId(info.run);
            if info.role == Role::Main {
                self.leftovers.take_up(service, &info.left);
            }
            for (key, value) in &info.notified {
                self.cx.keep_ready_word(run, key, value);
                self.on_described(run, key, value);
            }
            if info.role == Role::Main && info.exit.is_none() {
                self.running.begin(&self.cx, &self.exits, run);
                let began = engine::Moment(info.spawned_ms);
                self.log_readiness
                    .restore(&mut self.cx, service, run, began);
            }
        }
        self.cx.restore_failures(known.hello);
        let ids: Vec<ServiceId> = self.cx.names.ids().values().copied().collect();
        for id in ids {
            self.restore_lost_run(known, id);
        }
    }

    fn restore_lost_run(&mut self, known: KnownRuns<'_>, id: ServiceId) {
        match known.lost_of_state(&self.cx, id) {
            Some(LostRun::Main(run)) => return self.start_main(id, run),
            Some(LostRun::Helper(run, purpose)) => return self.start_helper(id, run, purpose),
            Some(LostRun::GivenUp(fact)) => self.fact(fact),
            None => {}
        }
        if let Some(fact) = known.lost_main(&self.cx, id) {
            self.fact(fact);
        }
    }
}
