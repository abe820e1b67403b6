//! What control has done beside itself: files, accounts, lookups, probes. Answers come late, in any
//! order, and sometimes say no; a control process that dies takes its questions with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::PathBuf,
    sync::Arc,
};

use api::KeptPlan;
use engine::{ProbeKind, RunId};
use plan::{Plan, Problem, Severity};
use tokio::sync::oneshot::error::TryRecvError;

use crate::{
    accounts::{Accounts, MakeCommand},
    control::{
        input::{Done, Job, Swap},
        simulation::{
            clients::Clients,
            dice::{Agenda, Dice},
            keeper::Keeper,
            plans,
        },
    },
    credentials::NotLaid,
    history,
    listening::{Fault, Look, Seen, Sight},
    load_plan::{Loaded, NotLoaded, Source},
    lookups::Lookups,
    plan_store::Swapped,
    port_owner::Holder,
    prepare::{Outcome, Prepared, Resolved, Start},
    staging::{Broken, Staged, StagedFile},
    status_files::Situations,
    store::{Holds, Running, StoredHold},
    unready::Unready,
};

/// What outlives every process.
#[derive(Debug)]
pub(super) struct Disk {
    /// What the administrator's files say.
    pub(super) site: Plan,
    /// The last plan that was applied.
    pub(super) stored: Option<Plan>,
    pub(super) holds: BTreeMap<String, StoredHold>,
    /// They were removed, and not written since.
    pub(super) lost: bool,
    /// What the history has of each change.
    history: BTreeMap<String, Told>,
    /// Ends of runs that the history has, by service and id: how many more each stands for.
    exits: BTreeMap<String, BTreeMap<String, u64>>,
    /// Main runs that live.
    pub(super) running: Running,
    /// Whether there is maintenance.
    pub(super) maintenance: Option<api::Maintenance>,
    /// It was removed, and not written since.
    pub(super) maintenance_lost: bool,
    /// What the status files say.
    pub(super) status_files: Situations,
    /// The last request of each job.
    pub(super) orders: BTreeMap<String, String>,
    /// It had no room for the last ends, and for what lives: nobody waits for that at the end.
    refused: (bool, bool),
    /// What each job has left as its last result.
    results: BTreeMap<String, api::JobResult>,
    /// Rendered files.
    files: BTreeMap<PathBuf, String>,
    /// Which of them have candidates beside them.
    pub(super) candidates: BTreeSet<PathBuf>,
    /// The first plan has found no room for its files, and goes on without.
    pub(super) was_full: bool,
    /// Plans that have worked, the last one first.
    pub(super) kept: Vec<Plan>,
}

/// Which lines of a change the history has.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    asked: bool,
    ended: bool,
}

/// When a simulation begins.
pub(super) const BEGIN_MS: u64 = 1_000_000;
/// Most time from a line in a log to its being seen.
const LINE_LATE_MS: u64 = 200;

/// Most time from a run's first being looked at to its listening.
const LISTENS_LATE_MS: u64 = 5_000;

/// Work under way.
#[derive(Debug)]
pub(super) struct Jobs {
    dice: Dice,
    /// Of its own, for how long ends of runs and what lives take to be written.
    late: Dice,
    pub(super) fair: bool,
    pub(super) disk: Disk,
    pub(super) agenda: Agenda<Work>,
    /// When a run was first looked at, whether it listens.
    looked_at: BTreeMap<RunId, u64>,
    /// When there is no room on the disk for what is small.
    full: Vec<Range<u64>>,
    /// Ways back that were begun because a reload had failed.
    pub(super) ways_back: u64,
}

/// One piece of it.
#[derive(Debug)]
pub(super) enum Work {
    Load(Source),
    Accounts,
    Stage(Arc<Plan>),
    Swap(Box<Swap>),
    PutBack(Vec<StagedFile>),
    Discard(Vec<StagedFile>),
    Store(Holds),
    StoreSchedule,
    StoreOrder(String, String),
    ReadResult(String, String),
    StoreMaintenance(Option<api::Maintenance>),
    StatusFiles(Situations),
    WhatUsersAreTold(u64),
    StoreRunning(Running),
    Record(Vec<history::Line>),
    RecordExits(Vec<api::ExitRecord>),
    Prepare(Start),
    Holder(RunId),
    Addresses,
    Listeners(Vec<Look>),
    Probe(RunId, ProbeKind),
    Line(RunId, String, tokio::sync::oneshot::Receiver<()>),
}

impl Jobs {
    pub(super) fn new(mut dice: Dice) -> Self {
        let mut own = dice.clone().split();
        let full = (0..own.between(0, 2)).map(|_| {
            let begin = BEGIN_MS + own.between(0, 90_000);
            begin..begin + own.between(0, 60_000)
        });
        let full = full.collect();
        let disk = Disk {
            site: plans::draw(&mut dice),
            stored: None,
            holds: BTreeMap::new(),
            lost: false,
            history: BTreeMap::new(),
            exits: BTreeMap::new(),
            running: Running::default(),
            results: BTreeMap::new(),
            maintenance: None,
            maintenance_lost: false,
            status_files: Situations::new(),
            orders: BTreeMap::new(),
            refused: (false, false),
            files: BTreeMap::new(),
            candidates: BTreeSet::new(),
            was_full: false,
            kept: Vec::new(),
        };
        Self {
            late: own,
            dice,
            fair: false,
            disk,
            agenda: Agenda::default(),
            looked_at: BTreeMap::new(),
            full,
            ways_back: 0,
        }
    }

    pub(super) fn start(&mut self, now: u64, job: Job) {
        let (work, longest) = match job {
            Job::Load(source) => (Work::Load(source), 2_000),
            Job::MissingAccounts { .. } => (Work::Accounts, 2_000),
            Job::Stage { plan, .. } => (Work::Stage(plan), 3_000),
            Job::Swap(swap) => {
                self.judge_swap(&swap.plan, &swap.staged);
                (Work::Swap(swap), 1_000)
            }
            Job::PutBack { staged } => (Work::PutBack(staged), 1_000),
            Job::Discard { staged, .. } => (Work::Discard(staged), 500),
            Job::Keep { plan, .. } => return self.disk.keep(&plan, false),
            Job::StoreHolds { holds } => (Work::Store(holds), 500),
            Job::StoreSchedule { .. } => (Work::StoreSchedule, 500),
            Job::StoreOrder { service, order } => (Work::StoreOrder(service, order.id), 500),
            Job::ReadResult { service, id } => (Work::ReadResult(service, id), 500),
            Job::StoreMaintenance { maintenance } => (Work::StoreMaintenance(maintenance), 500),
            Job::WriteStatusFiles { situations, .. } => (Work::StatusFiles(situations), 500),
            Job::AskWhatUsersAreTold { question, .. } => (Work::WhatUsersAreTold(question), 2_000),
            Job::StoreRunning { running } => {
                let at = now + self.late.between(0, 500);
                return self.agenda.push(at, Work::StoreRunning(running));
            }
            Job::Record { lines, .. } => (Work::Record(lines), 500),
            Job::RecordExits { records, .. } => {
                let at = now + self.late.between(0, 500);
                return self.agenda.push(at, Work::RecordExits(records));
            }
            Job::Prepare(starts) => {
                for start in starts {
                    let pause = self.pause(3_000);
                    self.agenda.push(now + pause, Work::Prepare(start));
                }
                return;
            }
            Job::Holder { run, .. } => (Work::Holder(run), 1_000),
            Job::Addresses { .. } => (Work::Addresses, 1_000),
            Job::LookAtListeners { looks, .. } => (Work::Listeners(looks), 1_000),
            Job::Probe {
                run,
                probe,
                timeout_ms,
                ..
            } => (Work::Probe(run, probe), timeout_ms),
            Job::AwaitLine {
                run,
                pattern,
                unwanted,
                ..
            } => (Work::Line(run, pattern, unwanted), 20),
            Job::Check { .. }
            | Job::ShowPlan { .. }
            | Job::Diff { .. }
            | Job::CheckHost(_)
            | Job::LookAtFiles(_) => return,
        };
        let pause = self.pause(longest);
        self.agenda.push(now + pause, work);
    }

    /// Now and then there is no room for it.
    fn order_stored(&mut self, service: String, id: String) -> Done {
        if !self.fair && self.dice.percent(5) {
            return Done::OrderStored(Err("no space left on device".to_owned()));
        }
        self.disk.orders.insert(service, id);
        Done::OrderStored(Ok(()))
    }

    /// Not every job leaves one: then there is that of an earlier request, or none.
    fn read_result(&mut self, service: &str, id: String) -> Done {
        if self.disk.orders.get(service) == Some(&id) && self.dice.percent(80) {
            let result = api::JobResult {
                id: id.clone(),
                ok: true,
                aside: false,
                message: "done".to_owned(),
                report: serde_json::Value::Null,
            };
            self.disk.results.insert(service.to_owned(), result);
        }
        let result = self.disk.results.get(service).cloned().map(Box::new);
        let result = match self.dice.clone().below(20) {
            0 => Err("its result is in /nonexistent: the disk has not answered".to_owned()),
            _ => Ok(result),
        };
        Done::ResultRead { id, result }
    }

    /// Now and then one is late, or cannot be seen.
    fn listeners(&mut self, now: u64, looks: Vec<Look>) -> Vec<Seen> {
        let seen = looks.into_iter().map(|look| {
            let first = *self.looked_at.entry(look.run).or_insert(now);
            let is_late = now > first + LISTENS_LATE_MS;
            let sight = if self.fair || is_late || self.dice.percent(60) {
                Sight::AsPlanned
            } else if self.dice.percent(20) {
                Sight::Hidden("nobody may look".to_owned())
            } else {
                Sight::Otherwise(look.wanted.iter().cloned().map(Fault::Kept).collect())
            };
            Seen {
                service: look.service,
                run: look.run,
                sight,
            }
        });
        seen.collect()
    }

    fn pause(&mut self, longest: u64) -> u64 {
        if self.fair || self.dice.percent(60) {
            self.dice.between(0, 20)
        } else {
            self.dice.between(0, longest)
        }
    }

    /// Exactly the files that have changed are put in place.
    fn judge_swap(&self, plan: &Plan, staged: &[StagedFile]) {
        let staged: BTreeSet<_> = staged.iter().map(|file| file.candidate.clone()).collect();
        let changed = self.changed(plan).into_iter().map(|file| file.candidate);
        assert_eq!(
            staged,
            changed.collect(),
            "the candidates are of another plan"
        );
    }

    pub(super) fn changed(&self, plan: &Plan) -> Vec<StagedFile> {
        let enabled = plan.services.values().filter(|service| service.enabled);
        let files = enabled.flat_map(|service| service.files.iter().map(move |it| (service, it)));
        let changed = files.filter(|(_, it)| self.disk.files.get(&it.path) != Some(&it.content));
        let staged = changed.map(|(service, file)| StagedFile {
            service: service.name.clone(),
            candidate: file.path.with_extension(&file.content),
            path: file.path.clone(),
            user: None,
            altered: true,
            validate: file.validate.clone(),
        });
        staged.collect()
    }

    fn recorded(&mut self, now: u64, lines: Vec<history::Line>) -> Done {
        if self.has_no_room(now) {
            return Done::Recorded(Err((lines, "no space left on device".to_owned())));
        }
        self.disk.append(lines);
        Done::Recorded(Ok(()))
    }

    fn exits_recorded(&mut self, now: u64, records: Vec<api::ExitRecord>) -> Done {
        self.disk.refused.0 = self.has_no_room(now);
        if self.disk.refused.0 {
            return Done::ExitsRecorded(Err("no space left on device".to_owned()));
        }
        self.disk.append_exits(records);
        Done::ExitsRecorded(Ok(()))
    }

    fn running_stored(&mut self, now: u64, running: Running) -> Done {
        self.disk.refused.1 = self.has_no_room(now);
        if self.disk.refused.1 {
            return Done::RunningStored(Err("no space left on device".to_owned()));
        }
        self.disk.running = running;
        Done::RunningStored(Ok(()))
    }

    /// And nothing is in place.
    fn swap_on_full_disk(&mut self, swap: &Swap) -> Done {
        self.disk.discard(&swap.staged);
        self.disk.was_full |= swap.before.is_none();
        Done::Swapped(Err("no space left on device".to_owned()))
    }

    /// The next piece of work is done.
    pub(super) fn finish(&mut self, now: u64, keeper: &mut Keeper) -> Option<Done> {
        let luck = |dice: &mut Dice, fair: bool, percent| !fair && dice.percent(percent);
        let fair = self.fair;
        // What the first plan leaves on no disk is the hardest to live with.
        let full = if self.disk.stored.is_some() { 10 } else { 30 };
        Some(match self.agenda.pop()? {
            Work::Load(source) => Done::Loaded(self.load(&source)),
            Work::Accounts => Done::MissingAccounts(self.accounts()),
            Work::Stage(plan) => Done::Staged(self.stage(&plan)),
            Work::Swap(swap) if luck(&mut self.dice, fair, full) => self.swap_on_full_disk(&swap),
            Work::Swap(swap) => Done::Swapped(Ok(self.swap(&swap))),
            Work::PutBack(staged) => {
                self.disk.put(&staged);
                Done::PutBack
            }
            Work::Discard(staged) => {
                self.disk.discard(&staged);
                Done::Discarded
            }
            Work::Store(_) if self.has_no_room(now) => {
                Done::HoldsStored(Err("no space left on device".to_owned()))
            }
            Work::Store(holds) => self.stored(holds),
            Work::Record(lines) => self.recorded(now, lines),
            Work::RecordExits(records) => self.exits_recorded(now, records),
            Work::StoreRunning(running) => self.running_stored(now, running),
            Work::StoreSchedule => Done::ScheduleStored(Ok(())),
            Work::StoreOrder(service, id) => self.order_stored(service, id),
            Work::ReadResult(service, id) => self.read_result(&service, id),
            Work::StoreMaintenance(said) => self.store_maintenance(now, said),
            Work::StatusFiles(said) => self.write_status_files(now, said),
            Work::WhatUsersAreTold(question) => self.ask_a_server(question),
            Work::Prepare(start) => Done::Prepared {
                run: start.run,
                outcome: self.prepare(&start),
            },
            Work::Holder(run) => {
                let (reason, line) = ("the port is in use".to_owned(), Vec::new());
                let holder = Holder { reason, line };
                Done::Holder { run, holder }
            }
            Work::Addresses if luck(&mut self.dice, fair, 10) => {
                Done::Addresses(Err("nobody may look".to_owned()))
            }
            Work::Addresses => Done::Addresses(Ok(Vec::new())),
            Work::Listeners(looks) => Done::Listeners(self.listeners(now, looks)),
            Work::Line(run, pattern, mut unwanted) => {
                let unwanted_now = unwanted.try_recv() == Err(TryRecvError::Closed);
                let logged = match keeper.runs.get(&run.0) {
                    Some(main) => main.has_logged(now),
                    // It is over. One that is still on its way to the keeper has said nothing.
                    None => run.0 < keeper.next_run,
                };
                if !logged && !unwanted_now {
                    let again = Work::Line(run, pattern, unwanted);
                    self.agenda.push(now + LINE_LATE_MS, again);
                    return None;
                }
                // It may have been seen just before it was no longer wanted, or its run had ended.
                Done::LineSeen { run, pattern }
            }
            Work::Probe(run, probe) => {
                let main = keeper.runs.get(&run.0);
                let ok = main.is_some_and(|main| keeper.world.answers(now, main));
                let detail = if ok { "" } else { "no answer" };
                Done::Probed {
                    run,
                    probe,
                    ok,
                    detail: detail.to_owned(),
                    took: std::time::Duration::ZERO,
                }
            }
        })
    }

    fn store_maintenance(&mut self, now: u64, said: Option<api::Maintenance>) -> Done {
        let fails = self.has_no_room(now);
        self.disk.store_maintenance(said, fails)
    }

    fn write_status_files(&mut self, now: u64, said: Situations) -> Done {
        let fails = self.has_no_room(now);
        self.disk.write_status_files(said, fails)
    }

    fn ask_a_server(&mut self, question: u64) -> Done {
        let silent = !self.fair && self.dice.percent(20);
        self.disk.answer(question, silent)
    }

    fn stored(&mut self, holds: Holds) -> Done {
        self.store(holds);
        Done::HoldsStored(Ok(()))
    }

    /// The disk is full for a while, or just once.
    fn has_no_room(&mut self, now: u64) -> bool {
        let full = self.full.iter().any(|full| full.contains(&now));
        !self.fair && (self.dice.percent(10) || full)
    }

    fn prepare(&mut self, start: &Start) -> Outcome {
        let laid = match start.needs.credentials {
            Some(_) => self.lay(),
            None => Ok(()),
        };
        let in_use = start.in_use.iter();
        let ending = in_use.filter(|it| it.ending).map(|it| it.run).next();
        Ok(Prepared {
            laid,
            in_use_by: ending.filter(|_| self.dice.percent(60)),
            ..Prepared::of(self.resolve(&start.service)?)
        })
    }

    fn lay(&mut self) -> Result<(), NotLaid> {
        let why = NotLaid {
            reason: "cannot read /simulated/key: it is not there".to_owned(),
            earlier: self.dice.percent(50),
        };
        let failed = !self.fair && self.dice.percent(15);
        if failed { Err(why) } else { Ok(()) }
    }

    fn load(&mut self, source: &Source) -> Result<Loaded, NotLoaded> {
        match source {
            Source::Kept(running) => return self.disk.kept_before(running),
            Source::Before(before) => {
                self.ways_back += 1;
                return Ok(back_to(before.plan.clone()));
            }
            Source::Files(_) | Source::FilesAsTheyAre(_) | Source::FirstFiles => {}
        }
        let odds = if self.disk.stored.is_some() { 10 } else { 1 };
        if !self.fair && self.dice.percent(odds) {
            return Err(NotLoaded::Problems(vec![problem()]));
        }
        Ok(loaded(self.disk.site.clone()))
    }

    fn swap(&mut self, swap: &Swap) -> Swapped {
        self.disk.put(&swap.staged);
        self.disk.was_full = false;
        self.disk.stored = Some(Plan::clone(&swap.plan));
        if let Some((before, ..)) = &swap.before {
            self.disk.keep(before, true);
        }
        Swapped {
            rollback: None,
            has_worked: self.disk.kept.contains(&swap.plan),
            stored: true,
            spoiled: BTreeMap::new(),
        }
    }

    fn store(&mut self, holds: Holds) {
        self.disk.holds = holds.services;
        self.disk.lost = false;
    }

    fn accounts(&mut self) -> Accounts {
        let count = self.dice.pick(&[0, 0, 0, 1, 2]);
        let command = |_| MakeCommand {
            services: vec!["s0".to_owned()],
            what: "user s0".to_owned(),
            argv: vec!["/simulated/account".to_owned()],
        };
        let mut accounts = Accounts {
            commands: (0..count).map(command).collect(),
            ..Accounts::default()
        };
        if !self.fair && self.dice.percent(5) {
            let why = "uid 7 belongs to user other".to_owned();
            accounts.clashes.insert("s0".to_owned(), why);
        }
        accounts
    }

    fn stage(&mut self, plan: &Plan) -> Staged {
        let enabled = plan.services.values().filter(|service| service.enabled);
        let mut staged = Staged {
            files: self.changed(plan),
            zone: Some(jiff::tz::TimeZone::UTC),
            ..Staged::default()
        };
        for file in enabled.clone().flat_map(|service| &service.files) {
            self.disk.candidates.remove(&file.path);
        }
        let candidates = staged.files.iter().map(|file| file.path.clone());
        self.disk.candidates.extend(candidates);
        for service in enabled {
            let resolved = self.resolve(service);
            staged.resolved.insert(service.name.clone(), resolved);
            if !self.fair && self.dice.percent(2) {
                let why = "cannot make its directory".to_owned();
                let own = self.dice.percent(50).then(PathBuf::new);
                staged
                    .broken
                    .insert(service.name.clone(), Broken { why, own });
            }
        }
        staged
    }

    /// The program's name tells for which edition of the plan it was looked up.
    fn resolve(&mut self, service: &plan::Service) -> Result<Arc<Resolved>, Unready> {
        if !self.fair && self.dice.percent(8) {
            return Err(if self.dice.percent(30) {
                Unready::passing("nobody can say whether there is such a user".to_owned())
            } else {
                Unready::lasting("there is no such user".to_owned())
            });
        }
        let found = crate::prepare::resolve(service, &Lookups::default())?;
        Ok(Arc::new(Resolved {
            program: service.command[1].clone(),
            ..found
        }))
    }

    /// The control process has died in the midst of it.
    pub(super) fn cut(&mut self) {
        if self.disk.stored.is_none() {
            self.disk.candidates.clear();
        }
        let left: Vec<Work> = self.agenda.drain().collect();
        for work in left {
            match work {
                Work::Swap(swap) if self.dice.percent(50) => drop(self.swap(&swap)),
                // Of several files the first are in place, and the plan is not.
                Work::Stage(plan) if self.disk.stored.is_some() => {
                    let staged = self.changed(&plan).into_iter().map(|file| file.path);
                    self.disk.candidates.extend(staged);
                }
                Work::Swap(swap) => {
                    let some = self.dice.index(swap.staged.len() + 1);
                    self.disk.put(&swap.staged[..some]);
                }
                Work::Store(holds) if self.dice.percent(50) => self.store(holds),
                Work::StoreMaintenance(said) => {
                    let fails = self.dice.percent(50);
                    self.disk.store_maintenance(said, fails);
                }
                Work::StatusFiles(said) => {
                    let fails = self.dice.percent(50);
                    self.disk.write_status_files(said, fails);
                }
                Work::Record(mut lines) => {
                    // Some lines, or none.
                    let written = self.dice.clone().index(lines.len() + 1);
                    lines.truncate(written);
                    self.disk.append(lines);
                }
                Work::RecordExits(mut records) => {
                    let written = self.dice.clone().index(records.len() + 1);
                    records.truncate(written);
                    self.disk.append_exits(records);
                }
                _ => {}
            }
        }
    }
}

impl Disk {
    fn append(&mut self, lines: Vec<history::Line>) {
        for line in lines {
            let told = self.history.entry(line.id).or_default();
            match line.said {
                history::Said::Asked { .. } => told.asked = true,
                history::Said::Ended { .. } => told.ended = true,
            }
        }
    }

    /// Of a run that is written twice the first line counts, as for readers.
    fn append_exits(&mut self, records: Vec<api::ExitRecord>) {
        for record in records {
            let of_it = self.exits.entry(record.service).or_default();
            of_it.entry(record.id).or_insert(record.left_out);
        }
    }

    /// Every end of a main run is in the history, once: by itself or among those left out. What a run that
    /// has ended has left may not have been swept yet; then its end may not have been told.
    pub(super) fn judge_exits(&self, ends: &BTreeMap<u64, (String, bool)>) {
        let services: BTreeSet<&String> = ends.values().map(|(service, _)| service).collect();
        for service in services.into_iter().chain(self.exits.keys()) {
            let of_it = ends.iter().filter(|(_, (name, _))| name == service);
            let all = of_it.clone().count() as u64;
            let over = of_it.clone().filter(|(_, (_, over))| *over).count() as u64;
            let records = self.exits.get(service).into_iter().flatten();
            let told: u64 = records.map(|(_, left_out)| 1 + left_out).sum();
            let least = if self.refused.0 { 0 } else { over };
            assert!(
                (least..=all).contains(&told),
                "{service}: {told} ends told, {over} of {all} are over: {:?} of {:?}",
                self.exits.get(service),
                of_it.collect::<Vec<_>>()
            );
        }
        // What the history does not have stays, for the next daemon to tell.
        let known = |id: &String, service: &String| {
            let records = self.exits.get(service);
            records.is_some_and(|it| it.contains_key(id))
        };
        let mut runs = self.running.0.iter();
        let wrong = runs.find(|(id, live)| !self.refused.0 || known(id, &live.service));
        assert!(
            wrong.is_none() || self.refused.1,
            "said to live after the end: {wrong:?}"
        );
    }

    /// Somebody has removed what was stored, all but the plans.
    pub(super) fn lose_state(&mut self) {
        self.holds.clear();
        self.lost = true;
        self.maintenance = None;
        self.maintenance_lost = true;
    }

    /// What clients were told to be on the disk is there, whatever has died.
    pub(super) fn judge_promises(&self, clients: &Clients) {
        for name in &clients.stored {
            let stored = self.lost || self.holds.contains_key(name);
            assert!(
                stored,
                "{name} is stopped, and the disk knows nothing of it"
            );
        }
        for id in &clients.recorded {
            assert!(self.told(id).asked, "{id} is not in the history");
        }
        for id in &clients.ended {
            assert!(self.told(id).ended, "the history has no end of {id}");
        }
    }

    fn told(&self, id: &str) -> Told {
        self.history.get(id).copied().unwrap_or_default()
    }

    /// In the end the history has all that were taken, and of each change that it has both lines.
    pub(super) fn judge_history(&self, taken: &[String]) {
        for id in taken {
            assert!(self.told(id).asked, "{id} is not in the history");
        }
        let half = |(_, told): &(&String, &Told)| !(told.asked && told.ended);
        let half = self.history.iter().find(half);
        assert!(half.is_none(), "the history has it in part: {half:?}");
    }

    /// Candidates take their places; each has its content for its extension.
    fn put(&mut self, staged: &[StagedFile]) {
        for file in staged {
            let content = file.candidate.extension().unwrap_or_default();
            let content = content.to_string_lossy().into_owned();
            self.files.insert(file.path.clone(), content);
        }
        self.discard(staged);
    }

    fn discard(&mut self, staged: &[StagedFile]) {
        for file in staged {
            self.candidates.remove(&file.path);
        }
    }

    fn keep(&mut self, plan: &Plan, as_first: bool) {
        if !as_first || self.kept.is_empty() {
            self.kept.retain(|it| it != plan);
            self.kept.insert(0, plan.clone());
            self.kept.truncate(2);
        }
    }

    fn kept_before(&self, running: &Plan) -> Result<Loaded, NotLoaded> {
        let plan = self.kept.iter().find(|it| *it != running);
        let plan = plan.ok_or(NotLoaded::NothingKept)?;
        Ok(back_to(plan.clone()))
    }
}

fn back_to(plan: Plan) -> Loaded {
    Loaded {
        kept: Some(KeptPlan {
            at: String::new(),
            by: "root".to_owned(),
            not_up: Vec::new(),
        }),
        rejected: Some(BTreeMap::new()),
        ..loaded(plan)
    }
}

fn loaded(plan: Plan) -> Loaded {
    Loaded {
        plan: Box::new(plan),
        put_back: Vec::new(),
        kept: None,
        rejected: None,
        mark: None,
    }
}

fn problem() -> Problem {
    Problem {
        severity: Severity::Error,
        file: "/nonexistent/site.toml".into(),
        line: Some(1),
        column: None,
        key: "external_url".to_owned(),
        message: "is not a URL".to_owned(),
        hint: None,
        variable: None,
    }
}
