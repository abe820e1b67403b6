//! The control process: gathers what happens, lets the engine decide, asks the keeper.
//!
//! [`Control`] is sans-IO: one [`Input`] at a time goes in, [`Output`]s come out, and it never
//! waits. The event loop (`event_loop.rs`) and a simulation drive it alike. Effects of the engine
//! are carried out in `effects.rs` alone; facts come in through `facts.rs`.

mod alerts;
mod api;
mod boot;
mod context;
mod daemon;
mod driver;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod harness;
mod holds;
mod init_notify;
mod input;
mod maintenance;
mod monitors;
mod on_disk;
mod operations;
mod reconfigure;
mod record_keys;
mod recreated;
mod router;
mod runs;
mod schedule;
mod service_ids;
mod settle;
mod shutdown;
#[cfg(test)]
mod simulation;
mod stability;
mod state_warnings;
mod status_files;
mod succession;
mod text;
mod watermark;
mod work;

use engine::{Accepted, Command, Event, Fact, Refusal};
use keeper::message::Hello;
use plan::Plan;

use context::Context;
pub(crate) use driver::event_loop::run;
use input::{Input, Job, Now, Output};
use runs::run::{Purpose, Run};

/// The control process: one component a field, each with state of its own that no other touches.
pub(crate) struct Control {
    /// What all read: the engine, the plan, the time; and the outputs, in their order.
    cx: Context,
    // What clients have asked for.
    /// Operations: their targets, their progress, how they ended.
    operations: operations::Operations,
    /// Lines on their way to the history of operations.
    audit: operations::audit::AuditLog,
    /// The way of a plan from files to services, and the proof that it works.
    reconfigure: reconfigure::Reconfigure,
    /// Requests, progress and results of jobs.
    work: work::Work,
    // Runs.
    /// Runs that are to start, and what they wait for.
    starts: runs::starts::Starts,
    /// Runs that wait for a line of their log.
    log_readiness: runs::log_readiness::LogReadiness,
    /// How runs ended, on the way to the history.
    exits: runs::exits::Exits,
    /// Which main runs live, on the way to the disk.
    running: runs::living::RunningOnDisk,
    /// What SIGKILL did not end, and children that belong to no run.
    leftovers: runs::leftovers::Leftovers,
    /// What services and their helpers said last.
    last_words: runs::last_words::LastWords,
    /// Logs that cannot be written or rotated.
    log_troubles: runs::log_troubles::LogTroubles,
    // What outlives the daemon, on the way to the disk.
    /// Who stopped what.
    holds: holds::Holds,
    /// Whether there is maintenance.
    maintenance: maintenance::Maintenance,
    /// What runs by the clock, and what of it was handled.
    schedule: schedule::Schedule,
    /// What status files say.
    status_files: status_files::StatusFiles,
    // Who looks, and who tells.
    /// Looks at disks, programs, files and sockets.
    monitors: monitors::Monitors,
    /// Troubles of services, and messages about them.
    alerts: alerts::Alerts,
    /// What the API keeps from one question to the next.
    api: api::ApiState,
    /// The daemon's own life.
    daemon: daemon::Daemon,
}

impl Control {
    /// A control process that has just met its keeper. It takes up what an earlier one left.
    pub(crate) fn new(now: Now, hello: &Hello, plan: Plan, boot: boot::Boot) -> Self {
        let boot_id = &boot.kernel_boot_id;
        let mut control = Self {
            cx: Context::new(now, hello, &boot, plan),
            operations: operations::Operations::default(),
            audit: operations::audit::AuditLog::default(),
            reconfigure: reconfigure::Reconfigure::default(),
            work: work::Work::default(),
            starts: runs::starts::Starts::default(),
            log_readiness: runs::log_readiness::LogReadiness::default(),
            exits: runs::exits::Exits::new(boot_id, hello.started_ms),
            running: runs::living::RunningOnDisk::new(boot.running.clone()),
            leftovers: runs::leftovers::Leftovers::default(),
            last_words: runs::last_words::LastWords::default(),
            log_troubles: runs::log_troubles::LogTroubles::default(),
            holds: holds::Holds::new(boot_id, boot.holds.clone()),
            maintenance: maintenance::Maintenance::new(boot.maintenance.clone()),
            schedule: schedule::Schedule::new(boot.seed, boot.handled.clone()),
            status_files: status_files::StatusFiles::new(boot.status_files),
            monitors: monitors::Monitors::default(),
            alerts: alerts::Alerts::default(),
            api: api::ApiState::default(),
            daemon: daemon::Daemon::new(now, &boot),
        };
        control.take_over(hello, boot);
        control.settle();
        control
    }

    /// Takes in one thing that happened.
    pub(crate) fn handle(&mut self, now: Now, input: Input) {
        self.cx.now = now;
        if self.daemon.reexec.is_frozen() {
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
            Input::Ask(ask) if self.reconfigure.is_first() => self.api.keep_for_later(ask),
            Input::Ask(ask) => self.on_ask(ask),
            Input::Done(done) => self.on_done(*done),
            Input::Timeout => self.on_timeout(),
        }
        if may_take_back {
            self.give_up_unwanted_starts();
        }
        self.settle();
    }

    /// The next thing to do outside; drain it after every [`Self::handle`].
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.cx.poll_output()
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

    fn command(&mut self, command: Command) -> Result<Accepted, Refusal> {
        self.feed_engine(Event::Command(command))
    }

    fn fact(&mut self, fact: Fact) {
        self.api.metrics.count(&self.cx, &fact);
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
