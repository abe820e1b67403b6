//! The whole control process with a test clock and a fake keeper, for tests of one subject at a
//! time. The simulation tests everything together, at random.

use std::{collections::BTreeMap, fs};

use api::{Action, ActionRequest};
use engine::{Moment, RunId};
use keeper::message::{Exit, Fact, Hello, Notice, Numbered, Request, Role, RunInfo};
use plan::{Options, RealHost};

use crate::{
    ask::{Ask, Peer},
    control::{
        Control,
        boot::Boot,
        input::{Done, Input, Now, Output, Task},
        runs::network_probe::No,
    },
    history::Line,
    listening::{ListenCheck, Seen, Sight, Taken},
    load_plan::Loaded,
    lookups::Lookups,
    plan_store::Swapped,
    port_owner::Holder,
    prepare::{Prepared, Start, resolve},
    staging::Staged,
    status_files::Situations,
    store::{Handled, Running},
};

/// 2026-11-23 00:00 UTC.
pub(super) const MIDNIGHT: u64 = 1_795_392_000_000;
pub(super) const MINUTE: u64 = 60_000;

pub(super) struct Harness {
    pub(super) control: Control,
    /// Main runs that the keeper has.
    living: Vec<RunInfo>,
    pub(super) now: Now,
    seq: u64,
    /// Runs that control has asked for, with their services.
    pub(super) spawned: Vec<(String, u64)>,
    /// Environment of the last spawned run.
    pub(super) environment: BTreeMap<String, String>,
    /// Whether preparations of starts hang.
    pub(super) hangs: bool,
    /// Number of changes requested so far.
    changes: u64,
    /// Runs that wait for the search of an address holder.
    pub(super) searching: Vec<RunId>,
    /// Addresses in use; or why they cannot be seen.
    pub(super) taken: Result<Vec<Taken>, String>,
    /// Services whose listening addresses are being looked at.
    pub(super) looks: Vec<ListenCheck>,
    /// Lines that are being written to the history.
    pub(super) recording: Vec<Vec<Line>>,
    /// Ends of runs that are written.
    pub(super) exits: Vec<api::ExitRecord>,
    /// Status files that are being written.
    pub(super) saying: Vec<Situations>,
    /// Questions to services about what users are told.
    pub(super) asking: Vec<u64>,
    /// Whether writes of the ends of runs hang.
    pub(super) exits_hang: bool,
    /// The runs alive in the file, and the number of writes of the file.
    pub(super) running: (Running, u32),
    /// The keeper's records.
    pub(super) records: BTreeMap<String, String>,
    pub(super) stored: Option<Handled>,
    /// The disk's result for writes of schedules and maintenance.
    pub(super) disk: Result<(), String>,
    /// Whether the keeper has been told to quit.
    pub(super) quit: bool,
    /// The plan in the files; none: the current plan.
    files: Option<plan::Plan>,
    options: Options,
    _root: tempfile::TempDir,
}

impl Harness {
    /// A process with services by name and file, and with handled schedules.
    pub(super) fn new(services: &[(&str, &str)], handled: Handled) -> Self {
        let boot = Boot {
            handled,
            ..Boot::default()
        };
        Self::begin(services, boot, false)
    }

    /// As `new`, after a daemon that left this file of runs.
    pub(super) fn booted(services: &[(&str, &str)], running: Running) -> Self {
        let boot = Boot {
            running,
            ..Boot::default()
        };
        Self::begin(services, boot, false)
    }

    /// As `booted`, and writes of the ends of runs hang.
    pub(super) fn booted_with_exits_hanging(services: &[(&str, &str)], running: Running) -> Self {
        let boot = Boot {
            running,
            ..Boot::default()
        };
        Self::begin(services, boot, true)
    }

    fn begin(services: &[(&str, &str)], boot: Boot, exits_hang: bool) -> Self {
        let (root, options) = files(services);
        let plan = plan::load(&RealHost, &options).unwrap();
        let now = Now {
            moment: Moment(5_000),
            unix_ms: MIDNIGHT + MINUTE,
        };
        let stored = boot.running.clone();
        let empty = plan::Plan::empty(plan.paths.clone());
        let mut world = Self {
            control: Control::new(now, &hello(), empty, boot),
            living: Vec::new(),
            now,
            seq: 0,
            spawned: Vec::new(),
            environment: BTreeMap::new(),
            hangs: false,
            changes: 0,
            searching: Vec::new(),
            taken: Ok(Vec::new()),
            looks: Vec::new(),
            recording: Vec::new(),
            exits: Vec::new(),
            saying: Vec::new(),
            asking: Vec::new(),
            exits_hang,
            running: (stored, 0),
            records: BTreeMap::new(),
            stored: None,
            disk: Ok(()),
            quit: false,
            files: None,
            options,
            _root: root,
        };
        world.drain(&plan);
        world
    }

    pub(super) fn handle(&mut self, input: Input) {
        let running = || plan::Plan::clone(&self.control.cx.plan);
        let plan = self.files.clone().unwrap_or_else(running);
        self.control.handle(self.now, input);
        self.drain(&plan);
    }

    /// Carries out all outputs at once. `plan`: the plan in the files.
    fn drain(&mut self, plan: &plan::Plan) {
        while let Some(output) = self.control.poll_output() {
            let done = match output {
                Output::Keeper(request) => {
                    self.keep(request);
                    continue;
                }
                Output::Task(Task::Load(_)) => Done::Loaded(Ok(Loaded {
                    plan: Box::new(plan.clone()),
                    put_back: Vec::new(),
                    kept: None,
                    rejected: None,
                    mark: None,
                })),
                Output::Task(Task::MissingAccounts { .. }) => {
                    Done::MissingAccounts(crate::accounts::Accounts::default())
                }
                Output::Task(Task::Stage { plan, .. }) => Done::Staged(staged(&plan)),
                Output::Task(Task::Prepare(_)) if self.hangs => continue,
                Output::Task(Task::Addresses { .. }) => Done::Addresses(self.taken.clone()),
                Output::Task(Task::LookAtListeners { looks, .. }) => {
                    self.looks.extend(looks);
                    continue;
                }
                Output::Task(Task::StoreHolds { .. }) => Done::HoldsStored(Ok(())),
                Output::Task(Task::StoreRunning { running }) => {
                    self.running.1 += 1;
                    if self.disk.is_ok() {
                        self.running.0 = running;
                    }
                    Done::RunningStored(self.disk.clone())
                }
                Output::Task(Task::RecordExits { .. }) if self.exits_hang => continue,
                Output::Task(Task::RecordExits { records, .. }) => {
                    self.exits.extend(records);
                    Done::ExitsRecorded(Ok(()))
                }
                Output::Task(Task::Record { lines, .. }) => {
                    self.recording.push(lines);
                    continue;
                }
                Output::Task(Task::Holder { run, .. }) => {
                    self.searching.push(run);
                    continue;
                }
                Output::Task(Task::Prepare(starts)) => {
                    self.prepared(starts);
                    continue;
                }
                Output::Task(Task::Swap(_)) => Done::Swapped(Ok(Swapped {
                    stored: true,
                    ..Swapped::default()
                })),
                Output::Task(job) => match self.stored(job) {
                    Some(done) => done,
                    None => continue,
                },
                Output::Answer(answer) => {
                    answer.send();
                    continue;
                }
                _ => continue,
            };
            self.control.handle(self.now, Input::Done(Box::new(done)));
        }
    }

    /// Carries out a store job with the disk's result.
    fn stored(&mut self, job: Task) -> Option<Done> {
        match job {
            Task::StoreMaintenance { .. } => Some(Done::MaintenanceStored(self.disk.clone())),
            Task::StoreSchedule { handled } => {
                assert!(!self.quit, "it is written after the end");
                if self.disk.is_ok() {
                    self.stored = Some(handled);
                }
                Some(Done::ScheduleStored(self.disk.clone()))
            }
            Task::WriteStatusFiles { situations, .. } if situations.is_empty() => {
                Some(Done::StatusFilesWritten(Ok(())))
            }
            Task::AskWhatUsersAreTold { question, .. } => {
                self.asking.push(question);
                None
            }
            Task::WriteStatusFiles { situations, .. } => {
                self.saying.push(situations);
                None
            }
            _ => None,
        }
    }

    /// Handles a request to the keeper.
    fn keep(&mut self, request: Request) {
        match request {
            Request::Spawn(spawn) => {
                self.spawned.push((spawn.service.clone(), spawn.run));
                self.environment = spawn.env;
            }
            Request::Sync { at_ms } => {
                let synced = Input::Notice(Notice::Synced { at_ms });
                self.control.handle(self.now, synced);
            }
            Request::Remember { service, record } => {
                self.records.insert(service, record);
            }
            Request::Forget { service } => {
                self.records.remove(&service);
            }
            Request::Quit { .. } => self.quit = true,
            _ => {}
        }
    }

    /// Another control process takes over from the keeper, which has these runs and facts.
    pub(super) fn reborn(&mut self, runs: Vec<RunInfo>, facts: Vec<Numbered>) {
        let hello = Hello {
            control_deaths: 1,
            // Run numbers that the dead process had only decided on are free.
            next_run: runs.iter().map(|it| it.run + 1).max().unwrap_or(1),
            records: self.records.clone(),
            runs,
            facts,
            ..hello()
        };
        let boot = Boot {
            running: self.running.0.clone(),
            ..Boot::default()
        };
        let plan = plan::Plan::clone(&self.control.cx.plan);
        self.control = Control::new(self.now, &hello, plan.clone(), boot);
        self.drain(&plan);
    }

    /// The administrator writes a service file, and SIGHUP has it applied.
    pub(super) fn write_and_apply(&mut self, name: &str, text: &str) {
        let dir = self.options.root.join("etc/mattervisor/services.d");
        fs::write(dir.join(format!("{name}.toml")), text).unwrap();
        self.files = Some(plan::load(&RealHost, &self.options).unwrap());
        self.signal(1);
    }

    /// The administrator removes a service file, and SIGHUP has that applied.
    pub(super) fn remove_and_apply(&mut self, name: &str) {
        let dir = self.options.root.join("etc/mattervisor/services.d");
        fs::remove_file(dir.join(format!("{name}.toml"))).unwrap();
        self.files = Some(plan::load(&RealHost, &self.options).unwrap());
        self.signal(1);
    }

    /// The result of the present look at a service.
    pub(super) fn seen(&mut self, sight: Sight) {
        let ListenCheck { service, run, .. } = self.looks.remove(0);
        self.done(Done::Listeners(vec![Seen {
            service,
            run,
            sight,
        }]));
    }

    fn prepared(&mut self, starts: Vec<Start>) {
        for start in starts {
            let Start { run, service, .. } = start;
            let found = resolve(&service, &Lookups::default());
            let ending = start.in_use.iter().find(|it| it.ending);
            let outcome = found.map(|found| Prepared {
                in_use_by: ending.map(|it| it.run),
                ..Prepared::of(found.into())
            });
            self.done(Done::Prepared { run, outcome });
        }
    }

    pub(super) fn done(&mut self, done: Done) {
        self.handle(Input::Done(Box::new(done)));
    }

    /// A run has ended by a signal, and nothing is left of it.
    pub(super) fn killed(&mut self, run: u64, signal: i32) {
        self.fact(exited(run, Exit::Signal(signal), self.now.moment));
        self.fact(Fact::Swept { run, left: vec![] });
    }

    /// The keeper receives a signal.
    pub(super) fn signal(&mut self, signal: i32) {
        self.fact(Fact::Signalled { signal });
    }

    /// The oldest lines are written to the history.
    pub(super) fn recorded(&mut self) -> Vec<Line> {
        let lines = self.recording.remove(0);
        self.done(Done::Recorded(Ok(())));
        lines
    }

    /// The write of the oldest status files ends.
    pub(super) fn said(&mut self, result: Result<(), String>) -> Situations {
        let situations = self.saying.remove(0);
        self.done(Done::StatusFilesWritten(result));
        situations
    }

    /// The oldest question is answered.
    pub(super) fn told(&mut self, answer: Result<(), No>) {
        let question = self.asking.remove(0);
        self.done(Done::UsersAreTold { question, answer });
    }

    /// root begins or ends maintenance.
    pub(super) fn set_maintenance(
        &mut self,
        wanted: Option<api::MaintenanceRequest>,
    ) -> tokio::sync::oneshot::Receiver<api::MaintenanceReply> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.changes += 1;
        self.handle(Input::Ask(Ask::SetMaintenance {
            id: format!("change {}", self.changes),
            wanted,
            peer: Peer {
                uid: 0,
                name: "root".to_owned(),
            },
            reply,
        }));
        answer
    }

    /// The search for an address holder ends: these processes, the first of which has the address.
    pub(super) fn found(&mut self, run: RunId, line: Vec<i32>) {
        let reason = format!("it is in use by {line:?}");
        let holder = Holder { reason, line };
        self.done(Done::Holder { run, holder });
    }

    /// root requests an action, without waiting for the outcome.
    pub(super) fn act(&mut self, action: Action, name: &str) {
        self.changes += 1;
        let (reply, _) = tokio::sync::oneshot::channel();
        let request = ActionRequest {
            id: format!("change {}", self.changes),
            action,
            services: vec![name.to_owned()],
            except: Vec::new(),
            wait: false,
        };
        let peer = Peer {
            uid: 0,
            name: "root".to_owned(),
        };
        self.handle(Input::Ask(Ask::Act {
            request,
            peer,
            reply,
        }));
    }

    pub(super) fn fact(&mut self, fact: Fact) {
        self.seq += 1;
        let seq = self.seq;
        self.handle(Input::Notice(Notice::Fact(Numbered { seq, fact })));
    }

    /// The control process dies, and another takes over.
    pub(super) fn replace_control(&mut self) {
        let runs = std::mem::take(&mut self.living);
        self.reborn(runs, Vec::new());
    }

    /// A main run.
    pub(super) fn spawned(&mut self, run: u64) {
        let at_ms = self.now.moment.0;
        let mut own = self.spawned.iter().filter(|it| it.1 == run);
        self.living.extend(own.next().map(|(service, _)| RunInfo {
            run,
            service: service.clone(),
            role: Role::Main,
            pid: 7,
            spawned_ms: at_ms,
            exit: None,
            core: false,
            swept: false,
            left: Vec::new(),
            notified: BTreeMap::new(),
        }));
        self.fact(Fact::Spawned { run, pid: 7, at_ms });
    }

    pub(super) fn ended(&mut self, run: u64) {
        self.fact(exited(run, Exit::Code(0), self.now.moment));
        self.fact(Fact::Swept { run, left: vec![] });
    }

    /// A helper has succeeded.
    pub(super) fn validated(&mut self, run: u64) {
        let at_ms = self.now.moment.0;
        self.fact(Fact::Spawned { run, pid: 8, at_ms });
        self.ended(run);
    }

    /// Time passes, with every timeout in it.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now.moment.after(ms);
        while let Some(due) = self.control.poll_timeout().filter(|due| *due <= end) {
            self.set(due);
            self.handle(Input::Timeout);
        }
        self.set(end);
    }

    fn set(&mut self, moment: Moment) {
        self.now.unix_ms += moment.since(self.now.moment);
        self.now.moment = self.now.moment.max(moment);
    }

    pub(super) fn status(&self, name: &str) -> api::ServiceStatus {
        let names = [name.to_owned()];
        self.control.status(&names).unwrap().services.remove(0)
    }
}

pub(super) const fn exited(run: u64, exit: Exit, at: Moment) -> Fact {
    Fact::Exited {
        run,
        exit,
        core: false,
        at_ms: at.0,
        timed_out: false,
        output: String::new(),
    }
}

/// A keeper that has just started.
/// A root directory with a file for each of these services, and a template that they may name.
pub(super) fn files(services: &[(&str, &str)]) -> (tempfile::TempDir, Options) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("etc/mattervisor/services.d");
    fs::create_dir_all(&dir).unwrap();
    fs::create_dir(root.path().join("catalog")).unwrap();
    fs::write(dir.join("status.j2"), "{{ situation.state }}").unwrap();
    for (name, text) in services {
        fs::write(dir.join(format!("{name}.toml")), text).unwrap();
    }
    let options = Options {
        root: root.path().to_owned(),
        catalog: Some(root.path().join("catalog")),
    };
    (root, options)
}

/// The hello of a keeper without runs and records.
pub(super) fn hello() -> Hello {
    Hello {
        version: keeper::message::VERSION,
        keeper_pid: 1,
        keeper_version: "0.1.0".to_owned(),
        keeper_execs: 0,
        keeper_refusal: None,
        started_ms: 0,
        control_deaths: 0,
        next_run: 1,
        records: BTreeMap::new(),
        runs: Vec::new(),
        facts: Vec::new(),
        leftovers: Vec::new(),
        went_back: false,
        remaining: Vec::new(),
    }
}

/// A staging result with all that the services of a plan need.
fn staged(plan: &plan::Plan) -> Staged {
    let found = plan.services.iter().map(|(name, it)| {
        let found = resolve(it, &Lookups::default());
        (name.clone(), found.map(Into::into))
    });
    Staged {
        resolved: found.collect(),
        zone: Some(jiff::tz::TimeZone::UTC),
        ..Staged::default()
    }
}
