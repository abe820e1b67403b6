//! Jobs of the control process: files, accounts, lookups, probes. Results come late, in any order,
//! and sometimes fail; a control process that dies takes its questions with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use engine::{ProbeKind, RunId};
use plan::Plan;
use tokio::sync::oneshot::error::TryRecvError;

use crate::{
    control::{
        input::{Done, Swap, Task},
        simulation::{
            dice::{Agenda, Dice},
            disk::Disk,
            keeper::Keeper,
            plans,
        },
    },
    history,
    listening::{Fault, ListenCheck, Seen, Sight},
    load_plan::Source,
    port_owner::Holder,
    prepare::Start,
    staging::StagedFile,
    status_files::Situations,
    store::{Holds, Running},
};

/// When a simulation begins.
pub(super) const BEGIN_MS: u64 = 1_000_000;
/// Most time from a line in a log to its being seen.
const LINE_LATE_MS: u64 = 200;

/// Most time from a run's first being looked at to its listening.
const LISTENS_LATE_MS: u64 = 5_000;

/// Work under way.
#[derive(Debug)]
pub(super) struct Jobs {
    pub(super) dice: Dice,
    /// Separate dice for the time that writes of ends and of runs alive take.
    pub(super) late: Dice,
    pub(super) fair: bool,
    pub(super) disk: Disk,
    pub(super) agenda: Agenda<Work>,
    /// When a run was first looked at, whether it listens.
    pub(super) looked_at: BTreeMap<RunId, u64>,
    /// When the disk has no room for small files.
    pub(super) full: Vec<Range<u64>>,
    /// Ways back that were begun because a reload had failed.
    pub(super) ways_back: u64,
}

/// One piece of work.
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
    Listeners(Vec<ListenCheck>),
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

    pub(super) fn start(&mut self, now: u64, job: Task) {
        let (work, longest) = match job {
            Task::Load(source) => (Work::Load(source), 2_000),
            Task::MissingAccounts { .. } => (Work::Accounts, 2_000),
            Task::Stage { plan, .. } => (Work::Stage(plan), 3_000),
            Task::Swap(swap) => {
                self.judge_swap(&swap.plan, &swap.staged);
                (Work::Swap(swap), 1_000)
            }
            Task::PutBack { staged } => (Work::PutBack(staged), 1_000),
            Task::Discard { staged, .. } => (Work::Discard(staged), 500),
            Task::Keep { plan, .. } => return self.disk.keep(&plan, false),
            Task::StoreHolds { holds } => (Work::Store(holds), 500),
            Task::StoreSchedule { .. } => (Work::StoreSchedule, 500),
            Task::StoreOrder { service, order } => (Work::StoreOrder(service, order.id), 500),
            Task::ReadResult { service, id } => (Work::ReadResult(service, id), 500),
            Task::StoreMaintenance { maintenance } => (Work::StoreMaintenance(maintenance), 500),
            Task::WriteStatusFiles { situations, .. } => (Work::StatusFiles(situations), 500),
            Task::AskWhatUsersAreTold { question, .. } => (Work::WhatUsersAreTold(question), 2_000),
            Task::StoreRunning { running } => {
                let at = now + self.late.between(0, 500);
                return self.agenda.push(at, Work::StoreRunning(running));
            }
            Task::Record { lines, .. } => (Work::Record(lines), 500),
            Task::RecordExits { records, .. } => {
                let at = now + self.late.between(0, 500);
                return self.agenda.push(at, Work::RecordExits(records));
            }
            Task::Prepare(starts) => {
                for start in starts {
                    let pause = self.pause(3_000);
                    self.agenda.push(now + pause, Work::Prepare(start));
                }
                return;
            }
            Task::Holder { run, .. } => (Work::Holder(run), 1_000),
            Task::Addresses { .. } => (Work::Addresses, 1_000),
            Task::LookAtListeners { looks, .. } => (Work::Listeners(looks), 1_000),
            Task::Probe {
                run,
                probe,
                timeout_ms,
                ..
            } => (Work::Probe(run, probe), timeout_ms),
            Task::AwaitLine {
                run,
                pattern,
                unwanted,
                ..
            } => (Work::Line(run, pattern, unwanted), 20),
            Task::Check { .. }
            | Task::ShowPlan { .. }
            | Task::Diff { .. }
            | Task::CheckHost(_)
            | Task::LookAtFiles(_) => return,
        };
        let pause = self.pause(longest);
        self.agenda.push(now + pause, work);
    }

    /// Looks at listeners; some listen late, or cannot be seen.
    fn listeners(&mut self, now: u64, looks: Vec<ListenCheck>) -> Vec<Seen> {
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

    pub(super) fn pause(&mut self, longest: u64) -> u64 {
        if self.fair || self.dice.percent(60) {
            self.dice.between(0, 20)
        } else {
            self.dice.between(0, longest)
        }
    }

    /// The next piece of work is done.
    pub(super) fn finish(&mut self, now: u64, keeper: &mut Keeper) -> Option<Done> {
        let luck = |dice: &mut Dice, fair: bool, percent| !fair && dice.percent(percent);
        let fair = self.fair;
        // A first plan that is on no disk is the hardest case.
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
                    // The run is over. A run still on its way to the keeper has said nothing.
                    None => run.0 < keeper.next_run,
                };
                if !logged && !unwanted_now {
                    let again = Work::Line(run, pattern, unwanted);
                    self.agenda.push(now + LINE_LATE_MS, again);
                    return None;
                }
                // The line may have been seen just before the run ended, or was no longer wanted.
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

    fn ask_a_server(&mut self, question: u64) -> Done {
        let silent = !self.fair && self.dice.percent(20);
        self.disk.answer(question, silent)
    }

    /// The disk is full for a while, or just once.
    pub(super) fn has_no_room(&mut self, now: u64) -> bool {
        let full = self.full.iter().any(|full| full.contains(&now));
        !self.fair && (self.dice.percent(10) || full)
    }

    /// Drops the work of a control process that has died.
    pub(super) fn cut(&mut self) {
        if self.disk.stored.is_none() {
            self.disk.candidates.clear();
        }
        let left: Vec<Work> = self.agenda.drain().collect();
        for work in left {
            match work {
                Work::Swap(swap) if self.dice.percent(50) => drop(self.swap(&swap)),
                // The first of several files are in place, and the plan is not.
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
