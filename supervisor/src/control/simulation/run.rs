//! One simulation: the control machine, the keeper, the jobs and the clients, one event after the
//! other, with time that jumps to whatever is due next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use engine::Moment;
use keeper::message::{Fact, Notice, Request};

use crate::control::{
    Control,
    input::{Input, Now, Output},
    simulation::{
        checks,
        clients::Clients,
        dice::{Agenda, Dice},
        jobs::{self, Jobs},
        keeper::Keeper,
        maintenance::Administrators,
        plans,
        script::Op,
        words::brief,
        world::World,
    },
};

/// Most events shown after a failure; a single simulation shows all.
const SHOWN_EVENTS: usize = 50;
/// Most timeouts for one due moment: services may have probes at the same moment. More timeouts
/// mean that the loop spins and hears of nothing else.
const IDLE_TIMEOUTS_MAX: u32 = 20;

/// The whole simulated system.
pub(super) struct Simulation {
    pub(super) seed: u64,
    pub(super) dice: Dice,
    /// Separate dice for deaths at the worst moments.
    pub(super) grim: Dice,
    pub(super) now: u64,
    pub(super) control: Option<Control>,
    pub(super) keeper: Keeper,
    pub(super) jobs: Jobs,
    pub(super) clients: Clients,
    pub(super) administrators: Administrators,
    pub(super) script: Agenda<Op>,
    /// Outputs of control that have not left it yet, in order.
    pub(super) sending: Agenda<Output>,
    /// The socket to the keeper takes nothing before this.
    pub(super) full_until: u64,
    /// Messages in the socket to the keeper.
    pub(super) to_keeper: VecDeque<Request>,
    pub(super) to_control: Agenda<Notice>,
    /// How late the next timeout comes.
    pub(super) late: u64,
    /// The due moment of the last timeout, and the number of timeouts for it.
    pub(super) due: Option<Moment>,
    pub(super) timeouts: u32,
    /// Control may die after any step.
    pub(super) mortal: bool,
    /// Separate dice for hangs and deaths at birth; none: neither happens.
    pub(super) trouble: Option<Dice>,
    /// Control takes nothing in before this.
    pub(super) hangs_until: u64,
    /// Separate dice for stalls of the keeper.
    pub(super) stalls: Dice,
    /// How many further control processes die just after they took over.
    pub(super) stillborn: u32,
    /// How often such trouble has happened.
    pub(super) troubles: u64,
    pub(super) leaving: bool,
    /// Whether edits of files mostly lead to reloads.
    pub(super) rewrites: bool,
    /// Its services have status files, and administrators say that there is maintenance.
    pub(super) maintained: bool,
    /// Whether a control process is taking over and has been told nothing new.
    pub(super) taking_over: bool,
    pub(super) terminated: bool,
    pub(super) shown: VecDeque<String>,
    pub(super) shows_all: bool,
}

/// Where the next event comes from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Keeper,
    Jobs,
    Sending,
    ToKeeper,
    ToControl,
    Script,
    Timer,
}

impl Simulation {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let world = World::new(dice.split());
        let mut it = Self {
            seed,
            grim: dice.clone().split(),
            now: jobs::BEGIN_MS,
            control: None,
            keeper: Keeper::new(world, dice.split()),
            jobs: Jobs::new(dice.split()),
            clients: Clients::new(dice.split()),
            administrators: Administrators::new(Dice::new(seed ^ 0x4d41_494e)),
            script: Agenda::default(),
            sending: Agenda::default(),
            full_until: 0,
            to_keeper: VecDeque::new(),
            to_control: Agenda::default(),
            late: 0,
            due: None,
            timeouts: 0,
            mortal: true,
            trouble: None,
            hangs_until: 0,
            stalls: Dice::new(seed.rotate_left(32) ^ 0x5741_4c4c),
            stillborn: 0,
            troubles: 0,
            leaving: false,
            rewrites: false,
            maintained: false,
            taking_over: false,
            terminated: false,
            shown: VecDeque::new(),
            shows_all: super::number("MATTERVISOR_SEED").is_some(),
            dice,
        };
        it.birth();
        it
    }

    /// A simulation in which most changes are reloads.
    pub(super) fn reloading(seed: u64) -> Self {
        let mut it = Self::new(seed);
        it.jobs.disk.site = plans::reloadable(&mut it.dice, &it.jobs.disk.site);
        it.rewrites = true;
        it.keeper.world.fails_reloads = true;
        it
    }

    /// A simulation in which administrators change maintenance, and others read the state.
    pub(super) fn maintained(seed: u64) -> Self {
        let mut it = Self::new(seed);
        it.maintained = true;
        it.jobs.disk.site = plans::maintained(&it.jobs.disk.site);
        it
    }

    /// A simulation in which control hangs at times.
    pub(super) fn troubled(seed: u64) -> Self {
        let mut it = Self::new(seed);
        it.trouble = Some(Dice::new(!seed));
        it
    }

    pub(super) fn show(&mut self, what: &str) {
        if !self.shows_all && self.shown.len() == SHOWN_EVENTS {
            self.shown.pop_front();
        }
        self.shown.push_back(format!("{:>9} {what}", self.now));
    }

    pub(super) fn over(&self) -> bool {
        self.keeper.quit.is_some()
    }

    /// Runs until `end`, or until the keeper has been told to quit.
    pub(super) fn run_until(&mut self, end: u64) {
        while !self.over() {
            let Some((at, source)) = self.next().filter(|(at, _)| *at <= end) else {
                // A stall may have gone beyond.
                self.now = self.now.max(end);
                return;
            };
            self.now = self.now.max(at);
            self.turn(source);
        }
    }

    fn next(&self) -> Option<(u64, Source)> {
        let timer = self.control.as_ref().and_then(Control::poll_timeout);
        let timer = timer.map(|at| at.0.max(self.now) + self.late);
        // Messages that come during a hang are there when it ends, and then go before the clock.
        let heard = |at: Option<u64>| at.map(|at| at.max(self.hangs_until));
        let sent = self.sending.next_at().map(|at| at.max(self.full_until));
        let all = [
            (self.keeper.agenda.next_at(), Source::Keeper),
            (self.next_request(), Source::ToKeeper),
            (heard(sent), Source::Sending),
            (heard(self.to_control.next_at()), Source::ToControl),
            (heard(self.jobs.agenda.next_at()), Source::Jobs),
            (self.script.next_at(), Source::Script),
            (heard(timer), Source::Timer),
        ];
        let due = all
            .into_iter()
            .filter_map(|(at, source)| Some((at?, source)));
        due.min_by_key(|(at, _)| *at)
    }

    /// When the keeper reads what is in the socket.
    pub(super) fn next_request(&self) -> Option<u64> {
        let any = !self.to_keeper.is_empty();
        any.then(|| self.now.max(self.keeper.stalled_until))
    }

    pub(super) fn turn(&mut self, source: Source) {
        match source {
            Source::Keeper => {
                let what = self.keeper.agenda.pop().unwrap();
                self.keeper.happens(self.now, what);
            }
            Source::ToKeeper => {
                let request = self.to_keeper.pop_front().unwrap();
                let reexec = request == Request::Reexec;
                let keeper_reexec = request == Request::ReexecKeeper;
                self.keeper.request(self.now, request);
                if reexec {
                    self.script
                        .push(self.now + self.dice.between(0, 5_000), Op::Succeed);
                }
                if keeper_reexec {
                    self.script
                        .push(self.now + self.stalls.between(0, 5_000), Op::KeeperExecs);
                }
            }
            Source::Sending => {
                let output = self.sending.pop().unwrap();
                self.leave(output);
            }
            Source::ToControl => {
                let notice = self.to_control.pop().unwrap();
                self.show(&format!("<- {notice:?}"));
                self.handle(Input::Notice(notice));
            }
            Source::Jobs => {
                if let Some(done) = self.jobs.finish(self.now, &mut self.keeper) {
                    self.show(&format!("<- {}", brief(&done)));
                    self.handle(Input::Done(Box::new(done)));
                }
            }
            Source::Script => {
                let op = self.script.pop().unwrap();
                self.perform(op);
            }
            Source::Timer => {
                let due = self.control.as_ref().and_then(Control::poll_timeout);
                self.timeouts = if due == self.due {
                    self.timeouts + 1
                } else {
                    0
                };
                self.due = due;
                assert!(self.timeouts < IDLE_TIMEOUTS_MAX, "it spins");
                self.late = self.dice.pick(&[0, 0, 0, 1, 30]);
                self.show("<- timeout");
                self.handle(Input::Timeout);
            }
        }
        self.send_facts();
    }

    pub(super) fn send_facts(&mut self) {
        if self.now < self.keeper.stalled_until {
            return;
        }
        while let Some(notice) = self.keeper.unsent.pop_front() {
            let pause = self.dice.pick(&[0, 0, 1, 2, 200]);
            self.to_control.push_last(self.now + pause, notice);
        }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            moment: Moment(self.now),
            unix_ms: self.now + 1_700_000_000_000,
        }
    }

    pub(super) fn handle(&mut self, input: Input) {
        let now = self.now();
        let Some(control) = &mut self.control else {
            return;
        };
        // Requests from before the first plan are handled in the same step as that plan, and so are
        // requests that were held back for a successor that has failed.
        let alone = !control.reconfigure.is_first() && !control.daemon.reexec.is_frozen();
        control.handle(now, input);
        self.drain(alone);
        self.judge_files();
        if self.mortal && self.dice.below(150) == 0 {
            return self.die();
        }
        // A stall is worst while something is waited for.
        let starts = |it: &Control| !checks::starting(it, &self.keeper).is_empty();
        if self.mortal && self.grim.percent(5) && self.control.as_ref().is_some_and(starts) {
            self.script.push(self.now, Op::Stall);
        }
    }

    pub(super) fn drain(&mut self, alone: bool) {
        let mut outputs = Vec::new();
        let Some(control) = &mut self.control else {
            return;
        };
        while let Some(output) = control.poll_output() {
            outputs.push(output);
        }
        let most =
            checks::OUTPUTS_MAX + checks::OUTPUTS_PER_SERVICE_MAX * control.cx.names.ids().len();
        let answer = |it: &&Output| matches!(it, Output::Answer(_));
        let count = outputs.len() - outputs.iter().filter(answer).count();
        assert!(count < most, "{count} outputs in one step");
        for output in outputs {
            match output {
                Output::Keeper(_) if self.leaving => {}
                Output::Keeper(request) => {
                    self.show(&format!(
                        "-> {}",
                        crate::control::simulation::words::of_request(&request)
                    ));
                    if let Some(control) = &self.control {
                        checks::judge(control, &self.clients, &request, alone);
                        checks::judge_job(
                            control,
                            &self.clients,
                            &self.jobs.disk,
                            &self.keeper,
                            &request,
                        );
                        checks::judge_silence(control, &self.keeper, &request);
                        self.keeper.note_ready_kind(control, &request);
                    }
                    if let Request::Forget { service } = &request
                        && self.taking_over
                    {
                        self.judge_forget(service);
                    }
                    if let Request::Quit { code } = request {
                        self.leaving = true;
                        self.judge_quit(code);
                    }
                    let pause = self.dice.pick(&[0, 0, 0, 1, 3]);
                    self.sending
                        .push_last(self.now + pause, Output::Keeper(request));
                }
                other => self.sending.push_last(self.now, other),
            }
        }
    }

    /// The keeper gets a signal.
    pub(super) fn signal(&mut self, signal: i32) {
        self.terminated |= signal == 15;
        self.keeper.push(Fact::Signalled { signal });
        self.send_facts();
    }

    /// Runs until nothing is wrong any more, by what `wrong` says.
    pub(super) fn settle(&mut self, most_ms: u64, wrong: impl Fn(&Self) -> Option<String>) {
        let end = self.now + most_ms;
        while let Some(what) = wrong(self) {
            assert!(self.now < end, "after {most_ms} ms still: {what}");
            self.run_until((self.now + 1_000).min(end));
            if self.over() {
                return;
            }
        }
    }

    pub(super) fn set_stop_order(&mut self) {
        let control = self.control.as_ref();
        let order: BTreeMap<String, BTreeSet<String>> =
            control.map(checks::dependents).unwrap_or_default();
        self.keeper.stop_order = Some(order);
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in &self.shown {
                eprintln!("{line}");
            }
            eprintln!(
                "the simulation failed; again: MATTERVISOR_SEED={} cargo test -p supervisor simulation_keeps_every_promise{}",
                self.seed,
                if self.trouble.is_some() {
                    "_although"
                } else {
                    ""
                }
            );
        }
    }
}
