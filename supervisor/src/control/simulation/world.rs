//! How processes behave: each service has a temper, drawn from the dice, until the world is made
//! fair.

use std::collections::BTreeMap;

use keeper::message::{Exit, Role, RunId};

use crate::control::simulation::{dice::Dice, keeper::Happening, processes::Run};

/// How long the real keeper sweeps before it gives up, in milliseconds.
const SWEEP_GIVES_UP_MS: u64 = 5_000;
const EAGER: [Temper; 5] = [Temper::Obedient; 5];
const TEMPERS: [Temper; 11] = [
    Temper::HearsTermAlone,
    Temper::Stubborn,
    Temper::DiesAtOnce,
    Temper::DiesLater,
    Temper::NeverReady,
    Temper::SlowReady,
    Temper::CannotFork,
    Temper::NoProgram,
    Temper::LeavesSomething,
    Temper::Immortal,
    Temper::Obedient,
];

/// How a process behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temper {
    Obedient,
    /// Ends only by SIGKILL.
    Stubborn,
    /// Ends by SIGTERM, and by no other stop signal.
    HearsTermAlone,
    DiesAtOnce,
    DiesLater,
    NeverReady,
    SlowReady,
    /// No process can be made: EAGAIN.
    CannotFork,
    /// No process can be made: ENOENT.
    NoProgram,
    /// Leaves processes that do not end.
    LeavesSomething,
    /// Ends long after SIGKILL.
    Immortal,
}

/// All tempers.
#[derive(Debug)]
pub(super) struct World {
    dice: Dice,
    tempers: BTreeMap<String, Temper>,
    pub(super) fair: bool,
    /// Most reload commands fail.
    pub(super) fails_reloads: bool,
}

type Lots = Vec<(u64, Happening)>;

impl World {
    pub(super) const fn new(dice: Dice) -> Self {
        Self {
            dice,
            tempers: BTreeMap::new(),
            fair: false,
            fails_reloads: false,
        }
    }

    /// The temper of the next run of a service: mostly the service's own.
    pub(super) fn temper(&mut self, service: &str) -> Temper {
        if self.fair {
            return Temper::Obedient;
        }
        let drawn = if self.dice.percent(40) {
            self.dice.pick(&EAGER)
        } else {
            self.dice.pick(&TEMPERS)
        };
        let own = *self.tempers.entry(service.to_owned()).or_insert(drawn);
        if self.dice.percent(75) { own } else { drawn }
    }

    /// A main process: from fork to exec. None: it cannot be forked.
    pub(super) fn birth(&mut self, now: u64, id: RunId, run: &Run) -> Option<Lots> {
        let at = now + self.dice.between(0, 30);
        match run.temper {
            Temper::CannotFork => None,
            Temper::NoProgram => Some(vec![(at, Happening::ExecFails(id, 2))]),
            _ => Some(vec![(at, Happening::Exec(id))]),
        }
    }

    /// A validator, probe, reload command, or step of a reconfiguration.
    pub(super) fn helper(
        &mut self,
        now: u64,
        id: RunId,
        run: &Run,
        main: Option<&Run>,
    ) -> Option<Lots> {
        if !self.fair && self.dice.percent(3) {
            return None;
        }
        let exec = now + self.dice.between(0, 20);
        let end = exec + self.dice.between(0, 300);
        let mut lots = vec![(exec, Happening::Exec(id))];
        let bad = match run.argv[0].as_str() {
            "/simulated/probe" => !main.is_some_and(|main| self.answers(end, main)),
            "/simulated/reload" if self.fails_reloads => !self.fair && self.dice.percent(60),
            _ => !self.fair && self.dice.percent(12),
        };
        if self.fair || !self.dice.percent(4) {
            lots.push((end, Happening::Ends(id, Exit::Code(i32::from(bad)))));
        }
        Some(lots)
    }

    /// Whether a process would answer a probe.
    pub(super) fn answers(&mut self, now: u64, main: &Run) -> bool {
        let ready = main.ready_at.is_some_and(|at| at <= now);
        main.lives() && ready && (self.fair || !self.dice.percent(8))
    }

    /// The events of a main process once it executes, or once the world is fair.
    pub(super) fn life(&mut self, now: u64, id: RunId, run: &mut Run) -> Lots {
        let mut lots = Lots::new();
        let end = |at: u64, exit: Exit| (at, Happening::Ends(id, exit));
        let oneshot = run.argv[2] == "oneshot";
        match run.temper {
            Temper::DiesAtOnce => {
                lots.push(end(now + self.dice.between(0, 5), Exit::Code(1)));
            }
            Temper::DiesLater => {
                let exit = self
                    .dice
                    .pick(&[Exit::Code(0), Exit::Code(3), Exit::Signal(11)]);
                lots.push(end(now + self.dice.between(100, 90_000), exit));
            }
            Temper::NeverReady => return lots,
            _ => {}
        }
        let patience = match run.temper {
            Temper::SlowReady => self.dice.between(2_000, 60_000),
            _ => self.dice.between(0, 700),
        };
        let at = now + patience;
        let answers_from = if self.fair { now } else { at };
        run.ready_at = Some(run.ready_at.unwrap_or(answers_from).min(answers_from));
        if oneshot {
            lots.push(end(at, Exit::Code(0)));
        }
        if run.ready_fd {
            lots.push((at, Happening::Says(id, "READY_FD", "1".to_owned())));
        }
        if run.watchdog_ms.is_some() && !run.pings {
            run.pings = true;
            lots.push((at, Happening::Pings(id)));
        }
        if run.notify && !self.fair && self.dice.percent(20) {
            // The process reloads by itself, and sometimes never says that it has.
            let begin = at + self.dice.between(0, 5_000);
            lots.push((begin, Happening::Says(id, "RELOADING", "1".to_owned())));
            if self.dice.percent(70) {
                let end = begin + self.dice.between(0, 2_000);
                lots.push((end, Happening::Says(id, "READY", "1".to_owned())));
            }
        }
        if run.notify {
            if patience > 2_000 {
                let say = Happening::Says(id, "EXTEND_TIMEOUT_USEC", "30000000".to_owned());
                lots.push((now + 500, say));
                lots.push((now + 600, Happening::Says(id, "STATUS", "slow".to_owned())));
            }
            lots.push((at, Happening::Says(id, "READY", "1".to_owned())));
        }
        if run.asked_to_stop {
            lots.push(end(at, Exit::Code(0)));
        }
        lots
    }

    /// A signal for a main process. `stop`: it comes from a stop.
    pub(super) fn signal(
        &mut self,
        now: u64,
        id: RunId,
        run: &Run,
        signal: i32,
        stop: bool,
    ) -> Lots {
        let soon = now + self.dice.between(0, 800);
        let end = |exit| vec![(soon, Happening::Ends(id, exit))];
        let reload = signal == 1 && !stop;
        match run.temper {
            _ if signal == 9 => end(Exit::Signal(9)),
            Temper::Stubborn | Temper::Immortal => Lots::new(),
            Temper::HearsTermAlone if stop && signal != 15 => Lots::new(),
            Temper::NeverReady if reload => Lots::new(),
            _ if reload && !self.fair && self.dice.percent(10) => end(Exit::Signal(1)),
            _ if reload && run.notify => {
                vec![(soon, Happening::Says(id, "READY", "1".to_owned()))]
            }
            _ if reload => Lots::new(),
            _ if !self.fair && self.dice.percent(15) => {
                let late = now + self.dice.between(800, 12_000);
                vec![(late, Happening::Ends(id, Exit::Code(0)))]
            }
            _ => end(self.dice.pick(&[Exit::Code(0), Exit::Signal(signal)])),
        }
    }

    /// SIGKILL for a run that lives.
    pub(super) fn killed(&mut self, now: u64, id: RunId, run: &Run) -> Lots {
        let end = |at| (at, Happening::Ends(id, Exit::Signal(9)));
        if run.temper != Temper::Immortal || run.role == Role::Helper || self.fair {
            return vec![end(now + self.dice.between(0, 20))];
        }
        let told = (now + SWEEP_GIVES_UP_MS, Happening::OutlivesKill(id));
        vec![told, end(now + self.dice.between(1_000, 60_000))]
    }

    /// How long it takes until nothing is left of a run, or that is given up.
    pub(super) fn sweep_takes(&mut self, run: &Run) -> u64 {
        match run.temper {
            Temper::LeavesSomething if run.role == Role::Main && !self.fair => SWEEP_GIVES_UP_MS,
            _ => self.dice.pick(&[0, 0, 0, 1, 30, 2_000]),
        }
    }

    /// Whether a sweep ends in vain.
    pub(super) fn leaves_something(&mut self, run: &Run) -> bool {
        let may = run.temper == Temper::LeavesSomething && run.role == Role::Main;
        may && !self.fair && self.dice.percent(60)
    }
}
