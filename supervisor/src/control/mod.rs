//! The control process: gathers what happens, lets the engine decide, asks the keeper.
//!
//! [`Control`] is sans-IO: one [`Input`] at a time goes in, [`Output`]s come out, and it never
//! waits. The event loop (`event_loop.rs`) and a simulation drive it alike. Effects of the engine
//! are carried out in `effects.rs` alone; facts come in through `facts.rs`.

mod addresses;
mod answers;
mod asks;
mod beginnings;
mod changes;
mod convert;
mod credentials;
mod directory_waits;
mod effects;
mod event_loop;
mod exits;
mod facts;
mod feed;
mod file_restarts;
mod file_watcher;
mod handover;
mod hearing;
mod holds;
mod in_order;
mod input;
mod jobs;
mod lifecycle;
mod listening;
mod logs;
mod made_again;
mod maintenance;
mod memory;
mod names;
mod network_probe;
mod notices;
mod notifications;
mod on_disk;
mod orphaned;
mod preparation;
mod ready_lines;
mod ready_words;
mod reconfigure;
mod records;
mod refusals;
mod running;
mod schedule;
mod selection;
#[cfg(test)]
mod simulation;
mod socket_groups;
mod spawn;
mod status;
mod status_files;
mod take_up;
mod tally;
mod wall_clock;
mod watched_files;
mod watchers;
#[cfg(test)]
mod whole;
mod why;
mod wire;
mod words;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use engine::{Accepted, Command, Engine, Event, Fact, Refusal, RunId, ServiceId};
use keeper::message::{Hello, LogTrouble, Request};
use plan::Plan;
use tokio::sync::watch;

use crate::{
    ask::{ASKS_MAX, Ask},
    prepare::{Resolved, Start},
};

pub(crate) use event_loop::run;
pub(crate) use input::{Broken, Loaded, NotLoaded, Source, Staged, StagedDirectory, StagedFile};
use input::{Input, Job, Now, Output};
pub(crate) use names::matching;
pub(crate) use schedule::Handled;
pub(crate) use words::time;

/// A queue that a boot or shutdown has made longer than this gives its memory back.
const OUTPUTS_KEPT: usize = 64;

/// Everything the control process knows.
pub(crate) struct Control {
    engine: Engine,
    /// The plan that runs.
    plan: Arc<Plan>,
    names: names::Names,
    /// Ids and programs, as long as the plan is being applied for which they were looked up.
    fresh: input::Found,
    /// Runs that are to be prepared, all of one input together.
    starts: Vec<Start>,
    /// Runs whose needs are being found out, with how that is ended early.
    preparing: BTreeMap<RunId, Arc<AtomicBool>>,
    address_waits: addresses::AddressWaits,
    listening: listening::Listening,
    directory_waits: directory_waits::DirectoryWaits,
    /// Services whose last start lacked an account, a program or a place for good.
    lacking: BTreeSet<String>,
    /// Services whose files or directories could not be made, and why.
    broken: BTreeMap<String, String>,
    /// Runs that live, or have ended and are not swept.
    runs: BTreeMap<RunId, Run>,
    /// Those of them that began under an earlier plan.
    outdated: BTreeSet<RunId>,
    tally: tally::Tally,
    /// What each service last said by `STATUS=`.
    status_texts: BTreeMap<ServiceId, String>,
    status_files: status_files::StatusFiles,
    /// What would not go, by service.
    left: BTreeMap<String, Vec<keeper::message::Left>>,
    /// Children of the keeper that belong to no run.
    strays: Vec<keeper::message::Stray>,
    /// What the last validator said that refused, by service.
    last_failures: BTreeMap<String, String>,
    feed: feed::Feed,
    changes: changes::Changes,
    holds: holds::HoldsOnDisk,
    records: records::Records,
    exits: exits::Exits,
    running: running::RunningOnDisk,
    reconfigure: reconfigure::Reconfigure,
    standing: reconfigure::Standing,
    way_back: Option<reconfigure::WayBack>,
    ready_lines: ready_lines::ReadyLines,
    notifications: notifications::Notifications,
    watchers: watchers::Watchers,
    watched_files: watched_files::WatchedFiles,
    file_restarts: file_restarts::FileRestarts,
    /// Logs that cannot be written or rotated, by service.
    log_troubles: BTreeMap<String, LogTrouble>,
    /// Changes when a service has left the plan.
    departures: watch::Sender<()>,
    handover: handover::Handover,
    hearing: hearing::Hearing,
    maintenance: maintenance::Maintenance,
    notices: notices::Notices,
    schedule: schedule::Schedule,
    work: work::Work,
    lifecycle: lifecycle::Lifecycle,
    keeper: KeeperInfo,
    /// What is said to clients at the end of this step.
    answers: Vec<answers::Answer>,
    /// Asks that came before there was a plan to answer them from.
    early: Vec<Ask>,
    /// Name of the user the supervisor runs as.
    own_user: String,
    /// It may run services as other users.
    is_root: bool,
    outputs: VecDeque<Output>,
    /// Services changed by the input that is being handled.
    touched: BTreeSet<ServiceId>,
    /// Highest fact taken in and not yet acknowledged.
    unacknowledged: Option<u64>,
    now: Now,
}

/// One run, as far as the control process follows it.
struct Run {
    service: String,
    pid: Option<i32>,
    purpose: Purpose,
    /// What was looked up for it, of a main run; none: it was started by an earlier control process.
    resolved: Option<Arc<Resolved>>,
    /// Directories of its service, of a main run.
    directories: Vec<PathBuf>,
    /// What it has said of its readiness, by key.
    ready_words: BTreeMap<String, String>,
    /// Of a main run: what is told of it once it is over.
    life: exits::Life,
}

impl Run {
    fn new(service: &str, purpose: Purpose) -> Self {
        Self {
            service: service.to_owned(),
            pid: None,
            purpose,
            resolved: None,
            directories: Vec::new(),
            ready_words: BTreeMap::new(),
            life: exits::Life::default(),
        }
    }
}

/// What a run is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    /// The service itself.
    Main,
    /// Its validator, before a start or reload.
    Validator,
    /// Its reload command, for this main run.
    ReloadCommand(RunId),
    /// An exec probe of this main run.
    Probe(RunId, engine::ProbeKind),
    /// A step of a reconfiguration: an account, or the check of a rendered file.
    Reconfigure,
    /// A message on its way to somebody.
    Delivery,
}

/// What the keeper said of itself.
#[derive(Clone, Debug)]
struct KeeperInfo {
    pid: i32,
    started_ms: u64,
    control_deaths: u32,
    went_back: bool,
}

impl Control {
    /// A control process that has just met its keeper. It takes up what an earlier one left.
    pub(crate) fn new(now: Now, hello: &Hello, plan: Plan, boot: lifecycle::Boot) -> Self {
        let exits = exits::Exits::new(&boot.kernel_boot_id, hello.started_ms);
        let mut control = Self {
            engine: Engine::new(boot.seed, RunId(hello.next_run)),
            plan: Arc::new(plan),
            names: names::Names::default(),
            fresh: BTreeMap::new(),
            starts: Vec::new(),
            preparing: BTreeMap::new(),
            directory_waits: BTreeMap::new(),
            address_waits: addresses::AddressWaits::default(),
            listening: listening::Listening::default(),
            lacking: BTreeSet::new(),
            broken: BTreeMap::new(),
            runs: BTreeMap::new(),
            outdated: BTreeSet::new(),
            tally: tally::Tally::default(),
            status_texts: BTreeMap::new(),
            status_files: status_files::StatusFiles::new(boot.status_files),
            left: BTreeMap::new(),
            strays: Vec::new(),
            last_failures: BTreeMap::new(),
            feed: feed::Feed::default(),
            changes: changes::Changes::default(),
            holds: holds::HoldsOnDisk::new(&boot.kernel_boot_id, boot.holds.clone()),
            records: records::Records::default(),
            running: running::RunningOnDisk::new(boot.running.clone()),
            exits,
            reconfigure: reconfigure::Reconfigure::default(),
            standing: reconfigure::Standing::default(),
            way_back: None,
            ready_lines: ready_lines::ReadyLines::default(),
            notifications: notifications::Notifications::default(),
            watchers: watchers::Watchers::default(),
            watched_files: watched_files::WatchedFiles::default(),
            file_restarts: file_restarts::FileRestarts::default(),
            log_troubles: BTreeMap::new(),
            departures: watch::Sender::new(()),
            handover: handover::Handover::default(),
            hearing: hearing::Hearing::default(),
            maintenance: maintenance::Maintenance::new(boot.maintenance.clone()),
            notices: notices::Notices::default(),
            schedule: schedule::Schedule::new(boot.seed, boot.handled.clone()),
            work: work::Work::default(),
            lifecycle: lifecycle::Lifecycle::new(now, &boot),
            keeper: KeeperInfo {
                pid: hello.keeper_pid,
                started_ms: hello.started_ms,
                control_deaths: hello.control_deaths,
                went_back: hello.went_back,
            },
            answers: Vec::new(),
            early: Vec::new(),
            own_user: boot.own_user.clone(),
            is_root: nix::unistd::Uid::effective().is_root(),
            outputs: VecDeque::new(),
            touched: BTreeSet::new(),
            unacknowledged: None,
            now,
        };
        control.take_up(hello, boot);
        control.settle();
        control
    }

    /// Takes in one thing that happened.
    pub(crate) fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        if self.handover.is_frozen() {
            self.handle_frozen(input);
        } else {
            self.take_in(input);
        }
        self.release_answers();
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
            self.drop_unwanted_starts();
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
        let next = self.outputs.pop_front();
        if self.outputs.is_empty() && self.outputs.capacity() > OUTPUTS_KEPT {
            self.outputs = VecDeque::new();
        }
        next
    }

    /// When [`Input::Timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<engine::Moment> {
        if self.handover.is_frozen() {
            return None;
        }
        let lifecycle = self.lifecycle.poll_timeout();
        self.judgement_timeout()
            .into_iter()
            .chain(lifecycle)
            .chain(self.notifications.poll_timeout())
            .chain(self.watchers_due())
            .chain(self.watched_files.poll_timeout())
            .chain(self.handover.poll_timeout())
            .chain(self.listening.poll_timeout())
            .chain(self.holds.poll_timeout())
            .chain(self.records.poll_timeout())
            .chain(self.exits.poll_timeout())
            .chain(self.running.poll_timeout())
            .chain(self.schedule.poll_timeout(self.now))
            .chain(self.progress_due())
            .chain(self.maintenance.poll_timeout())
            .chain(self.status_files.poll_timeout(self.now.moment))
            .min()
    }

    /// It has to hear, by [`Input::Timeout`], when the wall clock is set.
    pub(crate) fn minds_the_clock(&self) -> bool {
        self.schedule.is_used()
    }

    /// Services in the order in which they are to be stopped when nobody is left to ask.
    pub(crate) fn stop_order(&self) -> Vec<(String, plan::Stop)> {
        let services = self
            .engine
            .stop_order()
            .into_iter()
            .filter_map(|id| self.service(id));
        services
            .map(|service| (service.name.clone(), service.stop))
            .collect()
    }

    fn on_timeout(&mut self) {
        self.judge_by_the_clock();
        self.holds.timeout(self.now.moment);
        self.records.timeout(self.now.moment);
        self.release_exits(false);
        self.running.timeout(self.now.moment);
        self.maintenance.timeout(self.now.moment);
        self.status_files.timeout(self.now.moment);
        self.lifecycle_timeout();
        self.notifications_timeout();
        self.watchers_timeout();
        self.watched_files_timeout();
        self.schedule_timeout();
        self.pass_progress_on();
    }

    fn command(&mut self, command: Command) -> Result<Accepted, Refusal> {
        self.feed_engine(Event::Command(command))
    }

    fn fact(&mut self, fact: Fact) {
        self.count(&fact);
        // A fact cannot be refused.
        let _ = self.feed_engine(Event::Fact(fact));
    }

    /// Hands one event to the engine and carries out what it wants done.
    fn feed_engine(&mut self, event: Event) -> Result<Accepted, Refusal> {
        let answer = self.engine.handle(self.now.moment, event);
        while let Some(effect) = self.engine.poll_effect() {
            self.carry_out(&effect);
        }
        answer
    }

    /// After every input: tells followers what changed, and the keeper what has been taken in.
    fn settle(&mut self) {
        self.look_at_address_waits();
        self.look_at_listening();
        self.look_at_directory_waits();
        self.end_if_one_failed();
        let touched = std::mem::take(&mut self.touched);
        if !touched.is_empty() {
            self.sort_touched(&touched);
        }
        self.store_holds();
        self.write_records();
        self.write_exits();
        self.store_running();
        self.write_status_files();
        self.store_maintenance();
        self.release_changes();
        if !touched.is_empty() {
            self.look_for_trouble(&touched);
            self.advance_changes(&touched);
            self.judge_trial(&touched);
            self.lifecycle_check();
        }
        self.go_back_if_due();
        self.look_for_results();
        self.end_changes();
        self.hangup_after_leases();
        self.store_schedule();
        self.quit_when_stored();
        if let Some(seq) = self.unacknowledged.take() {
            self.outputs.push_back(Output::Keeper(Request::Ack { seq }));
        }
        self.ask_for_preparations();
        self.hand_over_when_quiet();
    }

    /// The main run of a service, by name.
    fn main_run_of(&self, service: &str) -> Option<RunId> {
        self.engine.main_run(self.names.id(service)?)
    }

    fn service(&self, id: ServiceId) -> Option<&plan::Service> {
        self.plan
            .services
            .get(self.names.name(id)?)
            .map(AsRef::as_ref)
    }

    fn tell(&mut self, request: Request) {
        self.outputs.push_back(Output::Keeper(request));
    }

    fn job(&mut self, job: Job) {
        if matches!(job, Job::Holder { .. }) {
            self.handover.lookups += 1;
        }
        self.outputs.push_back(Output::Job(job));
    }
}
