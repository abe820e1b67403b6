//! What is done to a simulation: by administrators, by bad luck, and in the end.

use api::{Action, ActionRequest};
use keeper::message::{Exit, Notice, Role};
use tokio::sync::oneshot;

use crate::{
    ask::{Ask, EventFilter, Peer},
    control::{
        Control,
        input::{Input, Output},
        simulation::{
            checks,
            clients::{Again, Answer},
            keeper::Happening,
            plans,
            run::Simulation,
        },
    },
};

/// A fact that is late comes within this time.
const FACT_MS_MAX: u64 = 1_000;
/// A fair world comes to rest within this time.
const REST_MS_MAX: u64 = 600_000;
/// What was drawn for a process before the world was fair comes within this time.
const DOOM_MS_MAX: u64 = 95_000;
/// A plan with which everything is up counts as one that works after this long.
const PROOF_MS_MAX: u64 = 20_000;
/// A control process that is silent for longer is replaced by the real keeper.
const SILENT_MS_MAX: u64 = 20_000;
/// Of a control process that was asked to stop everything the keeper wants to hear earlier.
const SILENT_AT_THE_END_MS_MAX: u64 = 5_000;
/// SIGTERM to the end, in a fair world.
const STOP_MS_MAX: u64 = 400_000;

/// One thing that is done.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// The control process dies.
    Die,
    /// The next one starts.
    Birth,
    /// A client asks for something.
    Act,
    /// It asks for a job's work.
    Work,
    /// An administrator says that there is maintenance, or none.
    Maintain,
    /// A job has services stopped, or gives them back.
    Lease,
    /// It asks again what it asked a control process that has died.
    AskAgain(Again),
    /// Files are edited; then comes SIGHUP, a client, or nobody.
    Edit,
    /// A process is killed from outside.
    Murder,
    /// Somebody looks.
    Look,
    /// The control process has no turn for a while; then everything comes at once.
    Stall,
    /// The keeper asks for a sign of life.
    Watchdog,
    Terminate,
    /// Somebody wants another control process.
    Reexec,
    /// It takes over, or does not.
    Succeed,
    /// Control takes nothing in for a while.
    Hang,
    /// The next control processes die just after they took over.
    DieAgain,
    /// Somebody clears the state directory; the keeper notices.
    LoseFiles,
    /// The keeper does not run for so long, while its children do.
    StallKeeper(u64),
    /// It goes on.
    KeeperGoesOn,
}

impl Simulation {
    /// Draws what is done, and does it.
    pub(super) fn chaos(&mut self) {
        let mut at = self.now;
        for _ in 0..self.dice.between(8, 45) {
            at += self.dice.pause();
            let op = match self.dice.below(100) {
                0..12 => Op::Die,
                12..45 => Op::Act,
                45..50 => Op::Work,
                50..55 => Op::Lease,
                55..72 => Op::Edit,
                72..85 => Op::Murder,
                85..95 => Op::Look,
                95..98 => Op::Stall,
                98 => Op::Watchdog,
                _ => Op::Reexec,
            };
            self.script.push(at, op);
        }
        self.draw_trouble(at);
        for _ in 0..self.stalls.between(0, 3) {
            let when = self.now + self.stalls.below(at - self.now + 1);
            let ms = self.stalls.pick(&[50, 1_500, 6_000, 25_000]);
            self.script.push(when, Op::StallKeeper(ms));
        }
        self.draw_maintenance(at);
        if self.dice.percent(4) {
            let early = self.now + self.dice.below(at - self.now + 1);
            self.script.push(early, Op::Terminate);
        }
        self.run_until(at + 500);
        self.mortal = false;
    }

    /// Hangs, deaths at birth and lost files, up to a moment.
    fn draw_trouble(&mut self, end: u64) {
        let Some(dice) = &mut self.trouble else {
            return;
        };
        for _ in 0..dice.between(1, 6) {
            let at = self.now + dice.below(end - self.now + 1);
            let op = match dice.below(100) {
                0..50 => Op::Hang,
                50..75 => Op::DieAgain,
                _ => Op::LoseFiles,
            };
            self.script.push(at, op);
        }
    }

    /// It goes on after a while, or the keeper has had enough of it.
    fn hang(&mut self, most_ms: u64) {
        let Some(dice) = &mut self.trouble else {
            return;
        };
        let end = self.now + dice.between(1, most_ms);
        if dice.percent(40) {
            self.script.push(end, Op::Die);
        }
        if self.control.is_some() {
            self.hangs_until = end;
            self.troubles += 1;
        }
    }

    /// The administrator edits the files, and mostly has that applied.
    fn edit_files(&mut self) {
        let edit = if self.rewrites {
            plans::rewrite
        } else {
            plans::edit
        };
        self.jobs.disk.site = edit(&mut self.dice, &self.jobs.disk.site);
        if self.maintained {
            self.jobs.disk.site = plans::maintained(&self.jobs.disk.site);
        }
        match self.dice.below(5) {
            0..2 => self.signal(1),
            2..4 if self.now >= self.hangs_until => self.reconfigure(),
            _ => {}
        }
    }

    pub(super) fn perform(&mut self, op: Op) {
        let waits = matches!(
            op,
            Op::Act
                | Op::Work
                | Op::Lease
                | Op::Maintain
                | Op::AskAgain(_)
                | Op::Look
                | Op::Reexec
                | Op::Watchdog
        );
        if waits && self.now < self.hangs_until {
            // It is asked, and hears of it later.
            return self.script.push(self.hangs_until, op);
        }
        if matches!(op, Op::Birth) && self.now < self.keeper.stalled_until {
            // It is the keeper that bears it.
            return self.script.push(self.keeper.stalled_until, op);
        }
        if !matches!(op, Op::Birth | Op::Die) {
            self.show(&format!("=== {op:?}"));
        }
        match op {
            Op::Die => self.die(),
            Op::Birth => self.birth(),
            Op::Act => {
                let request = self.clients.draw();
                self.act(request);
            }
            Op::Work => self.work(),
            Op::Lease => self.lease(),
            Op::Maintain => self.say_maintenance(),
            Op::AskAgain((request, lifts_before)) => self.act_as_of(request, lifts_before),
            Op::Edit => self.edit_files(),
            Op::Murder => self.murder(),
            Op::Look => self.look(),
            Op::Stall => {
                let ms = self.dice.pick(&[50, 1_000, 20_000, 90_000]);
                self.stall(ms);
            }
            Op::Reexec => self.reexec(),
            Op::Succeed => self.succeed(),
            Op::Watchdog => self.handle(Input::Notice(Notice::AreYouThere)),
            Op::Terminate => self.signal(15),
            Op::Hang => self.hang(SILENT_MS_MAX),
            Op::StallKeeper(ms) => self.stall_keeper(ms),
            Op::LoseFiles => {
                self.jobs.disk.lose_state();
                self.keeper.unsent.push_back(Notice::MadeAgain {
                    paths: vec!["/simulated/state/lock".into()],
                    listener: false,
                    locks: true,
                });
            }
            // What waits with it is sent after every turn.
            Op::KeeperGoesOn => {}
            Op::DieAgain => {
                self.stillborn = self
                    .trouble
                    .as_mut()
                    .map_or(0, |dice| u32::try_from(dice.between(1, 4)).unwrap());
                self.die();
            }
        }
    }

    /// It reads nothing for so long; what control says to it may find no room in the socket meanwhile.
    fn stall_keeper(&mut self, ms: u64) {
        let end = self.now + ms;
        self.keeper.stalled_until = self.keeper.stalled_until.max(end);
        if self.stalls.percent(50) {
            self.full_until = self.keeper.stalled_until;
        }
        self.script.push(end, Op::KeeperGoesOn);
    }

    fn murder(&mut self) {
        let live = self.keeper.runs.iter().filter(|(_, run)| run.lives());
        let live: Vec<u64> = live.map(|(id, _)| *id).collect();
        if !live.is_empty() {
            let end = Happening::Ends(self.dice.pick(&live), Exit::Signal(9));
            self.keeper.agenda.push(self.now, end);
        }
    }

    fn work(&mut self) {
        let (id, ask, answer) = self.clients.ask_job();
        self.request(id, ask, answer);
    }

    fn act(&mut self, request: ActionRequest) {
        self.act_as_of(request, self.clients.lifts());
    }

    fn act_as_of(&mut self, request: ActionRequest, lifts_before: usize) {
        if self.control.is_none() {
            return; // Nobody answers.
        }
        let (input, answer) = self.clients.ask(&request);
        self.show(&format!("<- {request:?}"));
        let id = request.id.clone();
        self.clients.wait(id, Some(request), answer, lifts_before);
        self.handle(input);
    }

    /// Another control process, which has been asked for, takes over or does not.
    fn succeed(&mut self) {
        let frozen = |it: &Control| it.reexec.is_frozen();
        if !self.control.as_ref().is_some_and(frozen) {
            return; // It has died meanwhile.
        }
        if self.dice.percent(50) {
            self.die();
        } else {
            let why = "did not take over within 5 s".to_owned();
            self.to_control
                .push_last(self.now, Notice::NotReplaced { why });
        }
    }

    fn reexec(&mut self) {
        let (reply, _) = oneshot::channel();
        let id = format!("reexec-{}", self.dice.below(1 << 30));
        let peer = Peer {
            uid: 0,
            name: "root".to_owned(),
        };
        self.show("<- reexec");
        self.ask(Ask::Reexec { id, peer, reply });
    }

    fn reconfigure(&mut self) {
        if self.control.is_none() {
            return;
        }
        let (id, input, answer) = self.clients.ask_reconfigure();
        self.show(&format!("<- reconfigure {id}"));
        let lifts = self.clients.lifts();
        self.clients.wait(id, None, answer, lifts);
        self.handle(input);
    }

    fn look(&mut self) {
        let Some(control) = &self.control else {
            return;
        };
        let early = control.reconfigure.is_first();
        let (reply, mut status) = oneshot::channel();
        let names = Vec::new();
        self.ask(Ask::Status { names, reply });
        let (reply, mut why) = oneshot::channel();
        let name = format!("s{}", self.dice.below(7));
        self.ask(Ask::Why { name, reply });
        let (reply, mut events) = oneshot::channel();
        let follow = self.dice.percent(50);
        self.ask(Ask::Events {
            backlog: 100,
            follow,
            filter: EventFilter::default(),
            reply,
        });
        assert!(early || status.try_recv().is_ok() && why.try_recv().is_ok());
        assert!(early || events.try_recv().is_ok());
    }

    /// Control does not die before its answer has been seen.
    fn ask(&mut self, ask: Ask) {
        let mortal = std::mem::take(&mut self.mortal);
        self.handle(Input::Ask(ask));
        self.mortal = mortal;
    }

    /// The world is fair from now on: everything must come to rest, start when told, and end.
    pub(super) fn conclude(&mut self) {
        self.run_until(self.now + 1_000);
        self.keeper.stalled_until = self.now;
        self.full_until = self.now;
        self.keeper.be_fair(self.now);
        self.send_facts();
        self.jobs.fair = true;
        self.show("=== the world is fair");
        if self.terminated {
            return self.end();
        }
        // What was bound to happen happens.
        self.run_until(self.now + DOOM_MS_MAX);
        let mended = plans::mend(&self.jobs.disk.site);
        let applied = self.control.as_ref().is_some_and(|it| {
            it.starts.is_whole()
                && *it.cx.plan == mended
                && it.probation.is_stored_as_files_have_it()
        });
        let current = applied && self.jobs.disk.stored.as_ref() == Some(&mended);
        self.jobs.disk.site = mended;
        if !current || self.dice.percent(50) {
            self.signal(1);
            self.run_until(self.now + 2_000);
        }
        self.settle(REST_MS_MAX, |it| it.unrest(false));
        // A death may be on its way still.
        self.run_until(self.now + FACT_MS_MAX);
        self.start_all();
        self.settle(REST_MS_MAX, |it| it.unrest(true));
        self.run_until(self.now + PROOF_MS_MAX);
        if self.over() {
            return;
        }
        self.judge_end();
        self.judge_maintenance();
        self.set_stop_order();
        self.signal(15);
        if self.dice.percent(50) {
            let at = self.now + self.dice.pause();
            self.script.push(at, Op::Die);
        }
        self.hang(SILENT_AT_THE_END_MS_MAX);
        self.end();
        let clean = self.keeper.quit == Some(0);
        assert!(
            clean || self.keeper.has_leftovers() || self.one_failed(),
            "it ends as if not all had been stopped"
        );
    }

    /// The job that runs has something stopped, or gives all back.
    fn lease(&mut self) {
        let control = self.control.as_ref();
        let job = control.and_then(|it| it.cx.names.name(it.cx.engine.active_job()?));
        let Some(job) = job.map(str::to_owned) else {
            return;
        };
        let (id, ask, answer) = self.clients.ask_lease(job);
        self.request(id, ask, answer);
    }

    fn request(&mut self, id: String, input: Input, answer: Answer) {
        if self.control.is_none() {
            return;
        }
        let lifts = self.clients.lifts();
        self.clients.wait(id, None, answer, lifts);
        self.handle(input);
    }

    fn unrest(&self, all_up: bool) -> Option<String> {
        let Some(control) = &self.control else {
            return Some("there is no control process".to_owned());
        };
        let waits = |id: &str| !all_up && checks::waits_with_its_job(control, id);
        let mut open = self.clients.open.iter();
        let open = open.find(|client| !waits(&client.id));
        let open = open.map(|client| format!("a client waits: {client:?}"));
        checks::unrest(control, all_up).or(open)
    }

    /// A start by hand brings up whatever had failed.
    fn start_all(&mut self) {
        let Some(control) = &self.control else {
            return;
        };
        let enabled = control.cx.plan.services.values().filter(|it| it.enabled);
        let names = enabled.map(|service| service.name.clone());
        let held = |name: &String| {
            let view = control
                .cx
                .names
                .id(name)
                .and_then(|id| control.cx.engine.view(id));
            view.is_some_and(|view| view.hold.is_some())
        };
        let names: Vec<String> = names.filter(|name| !held(name)).collect();
        if !names.is_empty() {
            let request = self.clients.request(Action::Start, names);
            self.act(request);
        }
    }

    fn judge_end(&mut self) {
        let Some(control) = &mut self.control else {
            return;
        };
        checks::judge_editions(control, &self.keeper);
        let altered = self.jobs.changed(&control.cx.plan);
        assert!(altered.is_empty(), "on disk is another plan's: {altered:?}");
        let works = self.jobs.disk.kept.contains(&control.cx.plan);
        // Somebody stopped it before it was up, or it refused to reload.
        let unproven = control.cx.plan.services.values().any(|it| {
            let view = control.cx.names.id(&it.name);
            let view = view.and_then(|id| control.cx.engine.view(id));
            it.enabled && view.is_some_and(|it| it.hold.is_some() || !it.detail.is_empty())
        });
        assert!(
            works || unproven,
            "all is up, and the plan is not kept: {:?}",
            control.probation
        );
        let candidates = &self.jobs.disk.candidates;
        assert!(candidates.is_empty(), "left behind: {candidates:?}");
        checks::judge_stored(control, &self.jobs.disk);
        self.jobs.disk.judge_history(&self.clients.taken);
        let now = crate::control::Now {
            moment: engine::Moment(self.now),
            unix_ms: self.now,
        };
        self.clients.judge_outcomes(|ask| {
            control.handle(now, Input::Ask(ask));
            while let Some(output) = control.poll_output() {
                if let Output::Answer(answer) = output {
                    answer.send();
                }
            }
        });
        let helpers = self
            .keeper
            .runs
            .values()
            .filter(|it| it.role == Role::Helper);
        // A probe may just be under way.
        let most = 2 * control.cx.plan.services.len();
        assert!(helpers.count() <= most, "helpers are left");
        assert!(control.cx.runs.len() <= 3 * control.cx.plan.services.len());
    }

    fn end(&mut self) {
        self.settle(STOP_MS_MAX, |it| {
            (!it.over()).then(|| "it has not ended".to_owned())
        });
        let live = self
            .keeper
            .runs
            .values()
            .find(|run| run.role == Role::Main && run.lives());
        assert!(live.is_none(), "after the end lives {live:?}");
        if self.keeper.quit == Some(0) {
            self.jobs.disk.judge_exits(&self.keeper.ends);
        }
    }
}
