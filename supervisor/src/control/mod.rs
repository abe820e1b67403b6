//! The control process: collects events, lets the engine decide, sends requests to the keeper.
//!
//! [`Control`] is sans-IO: one [`Input`] at a time goes in, [`Output`]s come out, and the machine
//! never waits. The event loop (`event_loop.rs`) and a simulation drive it alike. Only `effects.rs`
//! carries out the engine's effects; facts come in through `facts.rs`.

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
mod service_state;
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
use input::{Input, Now, Output, Task};
use runs::run::{Purpose, Run};

/// The control process: one component per field, each with private state.
pub(crate) struct Control {
    /// What all components read: the engine, the plan, the time; and the outputs, in their order.
    cx: Context,
    // Requests of clients.
    /// Operations: their targets, their progress, how they ended.
    operations: operations::Operations,
    /// Lines on their way to the history of operations.
    audit: operations::audit::AuditLog,
    /// The reconfiguration: a plan's way from files to services, and its probation.
    reconfigure: reconfigure::Reconfigure,
    /// Requests, progress and results of jobs.
    work: work::Work,
    // Runs.
    /// Runs that wait for their spawn.
    starts: runs::starts::Starts,
    /// Runs that wait for a line in their log.
    log_readiness: runs::log_readiness::LogReadiness,
    /// How runs ended, on the way to the history.
    exits: runs::exits::Exits,
    /// Main runs that are alive, on the way to the disk.
    running: runs::living::RunningOnDisk,
    /// Processes that SIGKILL did not end, and children that belong to no run.
    leftovers: runs::leftovers::Leftovers,
    /// The last output of services and their helpers.
    last_words: runs::last_words::LastWords,
    /// Logs that cannot be written or rotated.
    log_troubles: runs::log_troubles::LogTroubles,
    // State that outlives the daemon, on the way to the disk.
    /// Which services administrators have stopped.
    holds: holds::Holds,
    /// The maintenance of the host.
    maintenance: maintenance::Maintenance,
    /// Scheduled services, and the times that were handled.
    schedule: schedule::Schedule,
    /// The content of status files.
    status_files: status_files::StatusFiles,
    // Monitoring and reporting.
    /// Looks at disks, programs, files and sockets.
    monitors: monitors::Monitors,
    /// Troubles of services, and messages about them.
    alerts: alerts::Alerts,
    /// State of the API between two requests.
    api: api::ApiState,
    /// The daemon's own life.
    daemon: daemon::Daemon,
}

impl Control {
    /// A control process that has just met its keeper. It takes over what an earlier control
    /// process left.
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
        // While many prepared starts come in, one result must not withdraw another start.
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

    /// The next output; drain the outputs after every [`Self::handle`].
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.cx.poll_output()
    }

    /// Whether the machine needs an [`Input::Timeout`] when the wall clock is set.
    pub(crate) fn needs_clock_step_events(&self) -> bool {
        self.schedule.is_used()
    }

    /// Services in stop order, for a stop without the keeper.
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
