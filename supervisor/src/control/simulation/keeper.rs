//! A fake keeper behind the message set: holds runs, records and facts as the real keeper does, and
//! checks the requests that it gets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use keeper::message::{Exit, Fact, Notice, Numbered, Request, Role, RunId, Spawn, SpawnStage};

use crate::control::simulation::{
    dice::{Agenda, Dice},
    facts::left,
    processes::{Run, Word},
    world::{Temper, World},
};

/// The keeper, and every process.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) world: World,
    pub(super) dice: Dice,
    pub(super) runs: BTreeMap<RunId, Run>,
    pub(super) records: BTreeMap<String, String>,
    pub(super) facts: VecDeque<Numbered>,
    pub(super) last_fact: u64,
    /// Facts that the control process has not been sent yet.
    pub(super) unsent: VecDeque<Notice>,
    pub(super) next_run: RunId,
    /// How the plan had a run say that it is ready when it was spawned. A later plan may have
    /// another way, and what was said before does not count for that.
    pub(super) ready_kinds: BTreeMap<RunId, plan::ReadyKind>,
    pub(super) opened: BTreeSet<String>,
    pub(super) used: BTreeSet<RunId>,
    pub(super) agenda: Agenda<Happening>,
    /// The keeper is stalled until then: its requests and messages wait.
    pub(super) stalled_until: u64,
    pub(super) deaths: u32,
    /// How often it has become another program.
    pub(super) execs: u32,
    pub(super) quit: Option<u8>,
    /// Ends of main runs: the service, and whether all leftovers are gone or given up.
    pub(super) ends: BTreeMap<RunId, (String, bool)>,
    /// Changes that control has begun to do.
    pub(super) begun: BTreeSet<String>,
    /// The dependents that must be down before a service is asked to stop in a shutdown.
    pub(super) stop_order: Option<BTreeMap<String, BTreeSet<String>>>,
}

/// An event of a process, without any request.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Exec(RunId),
    ExecFails(RunId, i32),
    Says(RunId, &'static str, String),
    /// The process says that it is alive, and goes on saying so.
    Pings(RunId),
    Ends(RunId, Exit),
    TimesOut(RunId),
    SweepEnds(RunId),
    /// SIGKILL has not ended the process in time.
    OutlivesKill(RunId),
}

impl Keeper {
    pub(super) fn new(world: World, dice: Dice) -> Self {
        Self {
            world,
            dice,
            runs: BTreeMap::new(),
            records: BTreeMap::new(),
            facts: VecDeque::new(),
            last_fact: 0,
            unsent: VecDeque::new(),
            next_run: 1,
            ready_kinds: BTreeMap::new(),
            opened: BTreeSet::new(),
            used: BTreeSet::new(),
            agenda: Agenda::default(),
            stalled_until: 0,
            deaths: 0,
            execs: 0,
            quit: None,
            ends: BTreeMap::new(),
            begun: BTreeSet::new(),
            stop_order: None,
        }
    }

    pub(super) fn request(&mut self, now: u64, request: Request) {
        assert!(self.quit.is_none(), "after Quit came {request:?}");
        match request {
            Request::Open(open) => drop(self.opened.insert(open.service)),
            Request::Spawn(spawn) => self.spawn(now, *spawn),
            Request::Signal { run, signal, cont } => self.signal(now, run, signal, cont),
            Request::Sweep { run } => self.sweep(now, run),
            Request::Remember { service, record } => {
                self.judge_doing(&service, &record);
                self.records.insert(service, record);
            }
            Request::Forget { service } => {
                let live = self.main_of(&service).is_some_and(|(_, run)| run.lives());
                assert!(!live, "{service} is forgotten while it runs");
                self.records.remove(&service);
                self.opened.remove(&service);
            }
            Request::Ack { seq } => self.acknowledge(seq),
            Request::Sync { at_ms } => self.unsent.push_back(Notice::Synced { at_ms }),
            Request::Quit { code } => {
                let live = self
                    .runs
                    .values()
                    .find(|run| run.role == Role::Main && run.lives());
                assert!(live.is_none() || code != 0, "quits while {live:?} lives");
                self.quit = Some(code);
            }
            Request::TookOver
            | Request::Reexec
            | Request::ReexecKeeper
            | Request::Here
            | Request::TellInit { .. }
            | Request::Rotate { .. }
            | Request::Stats => {}
        }
    }

    /// The main run of a service that is not swept.
    pub(super) fn main_of(&self, service: &str) -> Option<(RunId, &Run)> {
        let mut runs = self.runs.iter();
        let main = |run: &Run| run.service == service && run.role == Role::Main && !run.swept;
        runs.find(|(_, run)| main(run)).map(|(id, run)| (*id, run))
    }

    fn spawn(&mut self, now: u64, spawn: Spawn) {
        let id = spawn.run;
        assert!(self.used.insert(id), "run {id} is used twice");
        self.next_run = self.next_run.max(id + 1);
        let main = spawn.role == Role::Main;
        if main {
            self.judge_main(&spawn);
        }
        if main && !self.may_spawn(&spawn.service) {
            return self.failed(id, SpawnStage::Unswept, 16);
        }
        let temper = self.world.temper(&spawn.service);
        let timeout = spawn.timeout_ms;
        let run = Run {
            service: spawn.service,
            role: spawn.role,
            argv: spawn.argv,
            notify: spawn.notify,
            ready_fd: spawn.ready_fd.is_some(),
            watchdog_ms: watchdog_ms(&spawn.env),
            pings: false,
            temper,
            executing: false,
            ready_at: None,
            asked_to_stop: false,
            killed: false,
            exit: None,
            swept: false,
            given_up: false,
            notified: BTreeMap::new(),
            words: Vec::new(),
        };
        let lots = if main {
            self.world.birth(now, id, &run)
        } else {
            let same = |it: &&Run| it.service == run.service && it.role == Role::Main && !it.swept;
            let main = self.runs.values().find(same);
            self.world.helper(now, id, &run, main)
        };
        let Some(lots) = lots else {
            return self.failed(id, SpawnStage::Fork, 11);
        };
        self.runs.insert(id, run);
        self.put(lots);
        if let Some(ms) = timeout {
            self.agenda.push(now + ms, Happening::TimesOut(id));
        }
    }

    fn put(&mut self, lots: Vec<(u64, Happening)>) {
        for (at, happening) in lots {
            self.agenda.push(at, happening);
        }
    }

    fn signal(&mut self, now: u64, id: RunId, signal: i32, cont: bool) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.lives()) else {
            return;
        };
        run.asked_to_stop |= cont;
        let (run, cont) = (&self.runs[&id], cont);
        if cont {
            self.judge_stop(&run.service);
        }
        let lots = self.world.signal(now, id, run, signal, cont);
        self.put(lots);
    }

    fn sweep(&mut self, now: u64, id: RunId) {
        match self.runs.get_mut(&id) {
            Some(run) if run.lives() => {
                run.killed = true;
                let lots = self.world.killed(now, id, &self.runs[&id]);
                self.put(lots);
            }
            Some(run) if run.given_up && !run.swept => {
                let soon = now + self.dice.between(0, 20);
                self.agenda.push(soon, Happening::SweepEnds(id));
            }
            _ => {}
        }
    }

    /// Carries out an event.
    pub(super) fn happens(&mut self, now: u64, what: Happening) {
        match what {
            Happening::Exec(id) => self.executes(now, id),
            Happening::ExecFails(id, errno) => {
                if self
                    .runs
                    .get(&id)
                    .is_some_and(|run| run.lives() && !run.executing)
                {
                    self.runs.remove(&id);
                    self.failed(id, SpawnStage::Exec, errno);
                }
            }
            // In a fair world nobody begins what he was never to end.
            Happening::Says(_, "RELOADING", _) if self.world.fair => {}
            Happening::Says(run, key, value) => {
                let Some(it) = self.runs.get_mut(&run).filter(|it| it.lives()) else {
                    return;
                };
                it.notified.insert(key.to_owned(), value.clone());
                it.words
                    .extend(Word::of(key, &value).map(|word| (now, word)));
                let key = key.to_owned();
                self.push(Fact::Notified { run, key, value });
            }
            Happening::Pings(id) => self.pings(now, id),
            Happening::Ends(id, exit) => self.ends(now, id, exit, false),
            Happening::TimesOut(id) => self.ends(now, id, Exit::Signal(9), true),
            Happening::SweepEnds(id) => self.sweep_ends(id),
            Happening::OutlivesKill(id) => self.outlives_kill(id),
        }
    }

    fn pings(&mut self, now: u64, id: RunId) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.lives()) else {
            return;
        };
        let Some(often) = run.watchdog_ms else {
            return;
        };
        run.pings = self.world.fair || !self.dice.percent(10);
        if run.pings {
            let value = if self.world.fair || !self.dice.percent(3) {
                "1"
            } else {
                "trigger"
            };
            self.agenda.push(now + often / 3, Happening::Pings(id));
            self.happens(now, Happening::Says(id, "WATCHDOG", value.to_owned()));
        }
    }

    fn executes(&mut self, now: u64, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        if !run.lives() || run.executing {
            return;
        }
        run.executing = true;
        let lots = if run.role == Role::Main {
            self.world.life(now, id, run)
        } else {
            Vec::new()
        };
        self.put(lots);
        self.push(Fact::Spawned {
            run: id,
            pid: pid(id),
            at_ms: now,
        });
    }

    fn ends(&mut self, now: u64, id: RunId, exit: Exit, timed_out: bool) {
        if !self.runs.get(&id).is_some_and(Run::lives) {
            return;
        }
        self.executes(now, id);
        let run = self.runs.get_mut(&id).unwrap();
        run.exit = Some(exit);
        if run.role == Role::Main {
            self.ends.insert(id, (run.service.clone(), false));
        }
        let sweep = self.world.sweep_takes(run);
        let output = if run.role == Role::Helper {
            "said so"
        } else {
            ""
        };
        self.push(Fact::Exited {
            run: id,
            exit,
            core: false,
            at_ms: now,
            timed_out,
            output: output.to_owned(),
        });
        self.agenda.push(now + sweep, Happening::SweepEnds(id));
    }

    fn sweep_ends(&mut self, id: RunId) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| !run.swept) else {
            return;
        };
        run.given_up = self.world.leaves_something(run);
        run.swept = !run.given_up;
        if let Some((_, over)) = self.ends.get_mut(&id) {
            *over = true;
        }
        let left = if run.given_up { left(id) } else { Vec::new() };
        self.push(Fact::Swept { run: id, left });
    }

    /// SIGKILL has not ended the process, which ends some time later.
    fn outlives_kill(&mut self, id: RunId) {
        if let Some(run) = self.runs.get_mut(&id).filter(|run| run.lives()) {
            run.given_up = true;
            let left = left(id);
            self.push(Fact::Swept { run: id, left });
        }
    }

    fn failed(&mut self, run: RunId, stage: SpawnStage, errno: i32) {
        self.push(Fact::Failed { run, stage, errno });
    }

    /// Whether a service has leftovers.
    pub(super) fn has_leftovers(&self) -> bool {
        self.runs.values().any(|run| run.given_up && !run.swept)
    }

    /// From now on every process does what is expected of it.
    pub(super) fn be_fair(&mut self, now: u64) {
        self.world.fair = true;
        let mut lots = Vec::new();
        for (id, run) in self.runs.iter_mut().filter(|(_, run)| run.lives()) {
            run.temper = Temper::Obedient;
            if run.executing && run.role == Role::Main {
                lots.extend(self.world.life(now, *id, run));
            }
        }
        self.put(lots);
    }
}

pub(super) fn pid(run: RunId) -> i32 {
    i32::try_from(run).unwrap() + 1_000
}

fn watchdog_ms(env: &BTreeMap<String, String>) -> Option<u64> {
    let usec: u64 = env.get("WATCHDOG_USEC")?.parse().unwrap();
    Some(usec / 1000)
}
