//! The control process: gathers what happens, lets the engine decide, asks the keeper.
//!
//! [`Control`] is sans-IO: one [`Input`] at a time goes in, [`Output`]s come out, and it never
//! waits. The event loop (`event_loop.rs`) and a simulation drive it alike. Effects of the engine
//! are carried out in `effects.rs` alone; facts come in through `facts.rs`.

mod alerts;
mod api;
mod boot;
mod context;
mod driver;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod harness;
mod holds;
mod input;
mod job_results;
mod lifecycle;
mod maintenance;
mod monitors;
mod on_disk;
mod operations;
mod reconfigure;
mod record_keys;
mod recreated;
mod runs;
mod schedule;
mod service_ids;
mod settle;
#[cfg(test)]
mod simulation;
mod state_warnings;
mod status_files;
mod succession;
mod text;
mod watermark;
mod work;

use engine::{Accepted, Command, Event, Fact, Refusal};
use keeper::message::Hello;
use plan::Plan;
use tokio::sync::watch;

use crate::ask::{ASKS_MAX, Ask};

use context::Context;
pub(crate) use driver::event_loop::run;
use input::{Input, Job, Now, Output};
use runs::run::{Purpose, Run};

/// Everything the control process knows.
pub(crate) struct Control {
    cx: Context,
    starts: runs::starts::Starts,
    listening: monitors::listening::Listening,
    metrics: api::metrics::Metrics,
    last_words: runs::last_words::LastWords,
    status_files: status_files::StatusFiles,
    leftovers: runs::leftovers::Leftovers,
    operations: operations::Operations,
    holds: holds::Holds,
    audit: operations::audit::AuditLog,
    exits: runs::exits::Exits,
    running: runs::living::RunningOnDisk,
    reconfigure: reconfigure::Reconfigure,
    log_readiness: runs::log_readiness::LogReadiness,
    alerts: alerts::Alerts,
    host_checks: monitors::host_checks::HostChecks,
    file_watch: monitors::file_watch::FileWatch,
    file_restarts: monitors::file_restarts::FileRestarts,
    log_troubles: runs::log_troubles::LogTroubles,
    /// Changes when a service has left the plan.
    departures: watch::Sender<()>,
    reexec: succession::reexec::Reexec,
    watermark: watermark::Watermark,
    maintenance: maintenance::Maintenance,
    state_warnings: state_warnings::StateWarnings,
    schedule: schedule::Schedule,
    work: work::Work,
    lifecycle: lifecycle::Lifecycle,
    /// Asks that came before there was a plan to answer them from.
    early: Vec<Ask>,
}

impl Control {
    /// A control process that has just met its keeper. It takes up what an earlier one left.
    pub(crate) fn new(now: Now, hello: &Hello, plan: Plan, boot: boot::Boot) -> Self {
        let exits = runs::exits::Exits::new(&boot.kernel_boot_id, hello.started_ms);
        let mut control = Self {
            cx: Context::new(now, hello, &boot, plan),
            starts: runs::starts::Starts::default(),
            listening: monitors::listening::Listening::default(),
            metrics: api::metrics::Metrics::default(),
            last_words: runs::last_words::LastWords::default(),
            status_files: status_files::StatusFiles::new(boot.status_files),
            leftovers: runs::leftovers::Leftovers::default(),
            operations: operations::Operations::default(),
            holds: holds::Holds::new(&boot.kernel_boot_id, boot.holds.clone()),
            audit: operations::audit::AuditLog::default(),
            running: runs::living::RunningOnDisk::new(boot.running.clone()),
            exits,
            reconfigure: reconfigure::Reconfigure::default(),
            log_readiness: runs::log_readiness::LogReadiness::default(),
            alerts: alerts::Alerts::default(),
            host_checks: monitors::host_checks::HostChecks::default(),
            file_watch: monitors::file_watch::FileWatch::default(),
            file_restarts: monitors::file_restarts::FileRestarts::default(),
            log_troubles: runs::log_troubles::LogTroubles::default(),
            departures: watch::Sender::new(()),
            reexec: succession::reexec::Reexec::default(),
            watermark: watermark::Watermark::default(),
            maintenance: maintenance::Maintenance::new(boot.maintenance.clone()),
            state_warnings: state_warnings::StateWarnings::default(),
            schedule: schedule::Schedule::new(boot.seed, boot.handled.clone()),
            work: work::Work::default(),
            lifecycle: lifecycle::Lifecycle::new(now, &boot),
            early: Vec::new(),
        };
        control.take_over(hello, boot);
        control.settle();
        control
    }

    /// Takes in one thing that happened.
    pub(crate) fn handle(&mut self, now: Now, input: Input) {
        self.cx.now = now;
        if self.reexec.is_frozen() {
            self.handle_frozen(input);
        } else {
            self.take_in(input);
        }
        self.cx.release_answers();
    }

    fn take_in(&mut self, input: Input) {
        // Of many starts that are prepared at once, no answer takes another back.
        let may_take_back = !matches!(input, Input::Done(_));
        match input {
            Input::Notice(notice) => self.on_notice(notice),
            Input::Ask(ask) if self.reconfigure.is_first() => self.keep_for_later(ask),
            Input::Ask(ask) => self.on_ask(ask),
            Input::Done(done) => self.on_done(*done),
            Input::Timeout => self.on_timeout(),
        }
        if may_take_back {
            self.give_up_unwanted_starts();
        }
        self.settle();
    }

    /// There is no plan yet to answer from. One too many is dropped: its client hears that nobody
    /// answers.
    fn keep_for_later(&mut self, ask: Ask) {
        if self.early.len() < ASKS_MAX {
            self.early.push(ask);
        }
    }

    /// The next thing to do outside; drain it after every [`Self::handle`].
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.cx.poll_output()
    }

    /// When [`Input::Timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<engine::Moment> {
        if self.reexec.is_frozen() {
            return None;
        }
        let lifecycle = self.lifecycle.poll_timeout();
        self.judgement_timeout()
            .into_iter()
            .chain(lifecycle)
            .chain(self.alerts.poll_timeout())
            .chain(self.host_checks.poll_timeout())
            .chain(self.file_watch.poll_timeout())
            .chain(self.reexec.poll_timeout())
            .chain(self.listening.poll_timeout())
            .chain(self.holds.poll_timeout())
            .chain(self.audit.poll_timeout())
            .chain(self.exits.poll_timeout())
            .chain(self.running.poll_timeout())
            .chain(self.schedule.poll_timeout(self.cx.now))
            .chain(self.work.poll_timeout())
            .chain(self.maintenance.poll_timeout())
            .chain(self.status_files.poll_timeout(self.cx.now.moment))
            .min()
    }

    /// It has to hear, by [`Input::Timeout`], when the wall clock is set.
    pub(crate) fn needs_clock_step_events(&self) -> bool {
        self.schedule.is_used()
    }

    /// Services in the order in which they are to be stopped when nobody is left to ask.
    pub(crate) fn stop_order(&self) -> Vec<(String, plan::Stop)> {
        let services = self
            .cx
            .engine
            .stop_order()
            .into_iter()
            .filter_map(|id| self.cx.service(id));
        services
            .map(|service| (service.name.clone(), service.stop))
            .collect()
    }

    fn on_timeout(&mut self) {
        self.judge_by_the_clock();
        self.holds.timeout(self.cx.now.moment);
        self.audit.timeout(self.cx.now.moment);
        self.exits.release(&mut self.cx, false);
        self.running.timeout(self.cx.now.moment);
        self.maintenance.timeout(self.cx.now.moment);
        self.status_files.timeout(self.cx.now.moment);
        self.lifecycle_timeout();
        self.alerts_timeout();
        self.host_checks.timeout(&mut self.cx);
        self.file_watch.timeout(&mut self.cx);
        self.schedule_timeout();
        self.pass_progress_on();
    }

    fn command(&mut self, command: Command) -> Result<Accepted, Refusal> {
        self.feed_engine(Event::Command(command))
    }

    fn fact(&mut self, fact: Fact) {
        self.metrics.count(&self.cx, &fact);
        // A fact cannot be refused.
        let _ = self.feed_engine(Event::Fact(fact));
    }

    /// Hands one event to the engine and carries out what it wants done.
    fn feed_engine(&mut self, event: Event) -> Result<Accepted, Refusal> {
        let answer = self.cx.engine.handle(self.cx.now.moment, event);
        while let Some(effect) = self.cx.engine.poll_effect() {
            self.carry_out(&effect);
        }
        answer
    }
}
