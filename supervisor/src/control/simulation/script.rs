//! The script of a simulation: actions of administrators, bad luck, and the end.

use api::ActionRequest;
use keeper::message::{Exit, KeeperRefusal, Notice};
use tokio::sync::oneshot;

use crate::{
    ask::{Ask, EventFilter, Peer, ReexecAsked, ReexecOf},
    control::{
        Control,
        input::Input,
        simulation::{
            clients::{Again, Answer},
            keeper::Happening,
            plans,
            run::Simulation,
        },
    },
};

/// A control process that is silent for longer is replaced by the real keeper.
const SILENT_MS_MAX: u64 = 20_000;

/// One action of the script.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// The control process dies.
    Die,
    /// The next control process starts.
    Birth,
    /// A client asks for something.
    Act,
    /// A client asks for a job's work.
    Work,
    /// An administrator begins or ends maintenance.
    Maintain,
    /// A job has services stopped, or gives them back.
    Lease,
    /// A client repeats a request that it made to a control process which has died.
    AskAgain(Again),
    /// Files are edited; then comes SIGHUP, a client, or nobody.
    Edit,
    /// A process is killed from outside.
    Murder,
    /// A client reads status, `why` and events.
    Look,
    /// The control process has no turn for a while; then everything comes at once.
    Stall,
    /// The keeper asks for a sign of life.
    Watchdog,
    Terminate,
    /// A client asks for another control process.
    Reexec,
    /// The successor takes over, or fails.
    Succeed,
    /// A client asks for another program of the keeper.
    ReexecKeeper,
    /// The keeper becomes another program, or goes on with the one it has.
    KeeperExecs,
    /// Control takes nothing in for a while.
    Hang,
    /// The next control processes die just after they took over.
    DieAgain,
    /// Somebody clears the state directory; the keeper notices.
    LoseFiles,
    /// The keeper does not run for this long, while its children do.
    StallKeeper(u64),
    /// The keeper runs again.
    KeeperGoesOn,
}

impl Simulation {
    /// Draws the actions, and carries them out.
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
        for _ in 0..self.stalls.between(0, 2) {
            let when = self.now + self.stalls.below(at - self.now + 1);
            self.script.push(when, Op::ReexecKeeper);
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

    /// Control goes on after a while, or the keeper replaces it.
    pub(super) fn hang(&mut self, most_ms: u64) {
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
                | Op::ReexecKeeper
                | Op::Watchdog
        );
        if waits && self.now < self.hangs_until {
            // Control gets the request, and handles it later.
            return self.script.push(self.hangs_until, op);
        }
        if matches!(op, Op::Birth) && self.now < self.keeper.stalled_until {
            // The stalled keeper starts the new control process later.
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
            Op::Reexec => self.reexec(ReexecOf::Control),
            Op::ReexecKeeper => self.reexec(ReexecOf::Keeper),
            Op::Succeed => self.succeed(),
            Op::KeeperExecs => self.keeper_execs(),
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
            // The messages that waited with the keeper leave after every turn.
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

    /// The keeper reads nothing for this long; control's messages may find no room in the socket
    /// meanwhile.
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

    pub(super) fn work(&mut self) {
        let (id, ask, answer) = self.clients.ask_job();
        self.request(id, ask, answer);
    }

    pub(super) fn act(&mut self, request: ActionRequest) {
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
    pub(super) fn succeed(&mut self) {
        let frozen = |it: &Control| it.daemon.reexec.is_frozen();
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

    /// The keeper, on behalf of a client, has tried another program.
    fn keeper_execs(&mut self) {
        if self.stalls.percent(50) {
            self.keeper.execs += 1;
            let execs = self.keeper.execs;
            // Its children go on while it takes everything up.
            let ms = self.stalls.between(0, 300);
            self.stall_keeper(ms);
            let version = format!("0.1.{execs}");
            let told = Notice::KeeperReplaced { version, execs };
            self.keeper.unsent.push_back(told);
        } else {
            let why = KeeperRefusal::Silent { seconds: 5 };
            let told = Notice::KeeperNotReplaced { why };
            self.keeper.unsent.push_back(told);
        }
    }

    pub(super) fn reexec(&mut self, of: ReexecOf) {
        let (reply, _) = oneshot::channel();
        let id = format!("reexec-{}", self.dice.below(1 << 30));
        let peer = Peer {
            uid: 0,
            name: "root".to_owned(),
        };
        self.show(&format!("<- reexec of {of:?}"));
        let asked = ReexecAsked { of, id, peer };
        self.ask(Ask::Reexec { asked, reply });
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

    pub(super) fn look(&mut self) {
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

    pub(super) fn request(&mut self, id: String, input: Input, answer: Answer) {
        if self.control.is_none() {
            return;
        }
        let lifts = self.clients.lifts();
        self.clients.wait(id, None, answer, lifts);
        self.handle(input);
    }
}
